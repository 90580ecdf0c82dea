"""The steps of grids, signs and factors as a chain takes them: the network, what may be used, the value behind `=`."""

from torch import nn

from fovea.compression.binarise import binarise
from fovea.compression.factors import lowrank, separable
from fovea.compression.inq import inq
from fovea.compression.predefined import predefined
from fovea.compression.quantise import quantise
from fovea.compression.step import Done, Work


def predefined_step(model: nn.Module, work: Work, value: tuple[int, float]) -> Done:
    """Train with fixed zeros: places of a kernel, epochs."""
    support, epochs = value
    return predefined(model, work, support=support, epochs=epochs)


def lowrank_step(model: nn.Module, work: Work, value: tuple[float, float]) -> Done:
    """Write layers as two: share of their multiply-adds, epochs."""
    share, epochs = value
    return lowrank(model, work, share=share, epochs=epochs)


def separable_step(model: nn.Module, work: Work, epochs: float) -> Done:
    """Write convolutions as depthwise and 1 x 1 ones."""
    return separable(model, work, epochs=epochs)


def quantise_step(model: nn.Module, work: Work, epochs: float) -> Done:
    """Train on the grid of int8."""
    return quantise(model, work, epochs=epochs)


def inq_step(model: nn.Module, work: Work, value: tuple[int, float]) -> Done:
    """Make weights powers of two: bits, epochs."""
    bits, epochs = value
    return inq(model, work, bits=bits, epochs=epochs)


def binarise_step(model: nn.Module, work: Work, epochs: float) -> Done:
    """Make weights binary."""
    return binarise(model, work, epochs=epochs)


def xnor_step(model: nn.Module, work: Work, epochs: float) -> Done:
    """Make weights and inputs binary."""
    return binarise(model, work, epochs=epochs, inputs=True)

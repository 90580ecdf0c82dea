"""LeNet-5: LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791. Figure 2.

Departures: the modern form. Max pooling without weights instead of trainable subsampling, ReLU instead of tanh (both
learn faster); all maps of the second convolution see all six of the first; logits instead of radial basis functions;
PyTorch's initialisation. The 61,706 parameters are those of the table in lecture 000, which prints average pooling.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained


class Stage(NamedTuple):
    c: int  # output channels
    k: int  # kernel of the convolution


FIGURE_2 = (
    #      c  k
    Stage( 6, 5),  # C1 28 x 28, S2 14 x 14
    Stage(16, 5),  # C3 10 x 10, S4  5 x  5
)  # fmt: skip
C5, F6 = 120, 84  # units of the dense layers


def _stage(c_in: int, stage: Stage) -> nn.Sequential:
    """Convolution, 2x2 max pooling, ReLU: (N, c_in, H, W) -> (N, c, (H - k + 1) / 2, (W - k + 1) / 2)."""
    layers = {"conv": nn.Conv2d(c_in, stage.c, stage.k), "pool": nn.MaxPool2d(2), "relu": nn.ReLU()}
    return nn.Sequential(OrderedDict(layers))


def _head(c_in: int, classes: int) -> nn.Sequential:
    """Two dense layers with ReLU, then the logits: (N, C, H, W) with C H W = c_in -> (N, classes)."""
    layers = {
        "flatten": nn.Flatten(),
        "dense1": nn.Linear(c_in, C5),
        "relu1": nn.ReLU(),
        "dense2": nn.Linear(C5, F6),
        "relu2": nn.ReLU(),
        "logits": nn.Linear(F6, classes),
    }
    return nn.Sequential(OrderedDict(layers))


_register = partial(
    register,
    paper="doi:10.1109/5.726791",
    title="Gradient-based learning applied to document recognition",
    year=1998,
)


@_register(input=(1, 32, 32), params=61_706, macs=416_520)
def lenet5(classes: int = 10, *, c_in: int = 1, size: int = 32) -> Classifier:
    windows, stages = [], []
    for i, stage in enumerate(FIGURE_2, start=1):
        windows += [Window(f"stage{i}.conv", stage.k), Window(f"stage{i}.pool", 2, stride=2)]
        stages.append(_stage(c_in, stage))
        c_in = stage.c
    return Classifier(stages=stages, head=_head(c_in * chained(size, windows) ** 2, classes))

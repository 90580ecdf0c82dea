"""Pruning as steps of a chain: what each gets from it, and what it says of itself."""

from torch import nn

from fovea.compression.pruning.importance import Samples
from fovea.compression.pruning.prune import Pruning, prune
from fovea.compression.pruning.sparsify import CubicSchedule, Sparsifier, sparsity
from fovea.compression.step import Done, Work
from fovea.texts import percent
from fovea.training.losses import make_loss

SAMPLES = 256
"""Of the training split, that tell what the network loses without channels and blocks."""


def prune_step(model: nn.Module, work: Work, asked: tuple[float, str]) -> Done:
    """Remove whole channels and blocks until a share of a target is removed. Errors as `prune`."""
    amount, target = asked
    settings = Pruning(amount=amount, target=target, clock=work.clock)
    # as validation counts it
    loss = make_loss(work.refit.target, work.refit.recipe.replace(label_smoothing=0.0, aux_weight=0.0))
    samples = Samples(batches=tuple(work.batches(SAMPLES)), loss=loss)
    return prune(model, work.input_shape, settings, samples=samples, progress=work.progress)


def sparsify_step(model: nn.Module, work: Work, asked: tuple[float, float]) -> Done:
    """Train for some epochs in which a share of the weights, the smallest, goes. Errors as `Sparsifier`, `Refit`."""
    amount, epochs = asked
    sparsifier = Sparsifier(model, CubicSchedule(amount=amount), steps=work.refit.steps(epochs))
    work.refit(model, epochs=epochs, teacher=work.teacher, after_step=sparsifier)
    sparsifier.finish()
    return Done(model=model, notes=(f"{percent(sparsity(model))} of the weights are zero",))

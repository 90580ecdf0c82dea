"""Networks that say themselves how they learn: with a loss that needs more than their outputs, or without gradients.

Such a network has a method `learn`. All else of a training is as ever: batches, epochs, validation, checkpoints.
Images are (N, C, H, W) float32, normalised; labels (N,) int64 class indices; logits (N, K) float32.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.training.distributed import world_size
from fovea.training.losses import Loss
from fovea.training.recipe import Recipe


@runtime_checkable
class Learner(Protocol):
    """A network with a rule of its own."""

    def learn(self, images: Tensor, labels: Tensor, *, loss: Loss, progress: float) -> tuple[Tensor, Tensor]:
        """Return what a step on `images` (N, C, H, W) and `labels` (N,) costs, a number, and its logits (N, K).

        A cost with a gradient is followed by a step of the recipe's optimiser. Without one the network has learned
        already: it has changed its parameters and buffers itself, and by no randomness but PyTorch's.
        `loss` is that of the recipe, `progress` the share of the training that is done.
        """


def learner_in(model: nn.Module, recipe: Recipe, *, labels: Tensor, outputs: int, mixes: bool) -> Learner | None:
    """Return the network where it learns by a rule of its own, else None; `labels` are all of the training part.

    Raises:
        UsageError: it does, and the recipe, the task or the number of processes leaves it no way to.
    """
    if not isinstance(model, Learner):
        return None
    about = f"`{type(model).__name__}` learns by a rule of its own, which"
    if labels.dtype != torch.int64 or labels.ndim != 1 or int(labels.max()) >= outputs:
        raise UsageError(f"{about} needs one of several classes per image and an output for each: --task classes.")
    if mixes:
        raise UsageError(f"{about} takes one class per image; leave `mixup` and `cutmix` out of `augment`.")
    if recipe.compile:
        raise UsageError(f"{about} `compile` does not support; leave it out.")
    if world_size() > 1:
        raise UsageError(f"{about} runs in one process; start it without torchrun.")
    return model

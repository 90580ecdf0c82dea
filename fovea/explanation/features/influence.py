"""Which training images made a network answer as it does: TracIn on the last layer, and the nearest of them.

TracIn: Pruthi, Liu, Kale and Sundararajan 2020, arXiv:2002.08484. Features h are (N, D), outputs (N, K), float.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.features.embedding import Embedding

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs (N, K) float and labels (N, ...) -> the mean loss, a scalar."""


class Known(NamedTuple):
    """Images whose truth is known, as a network sees them."""

    features: Tensor
    """(N, D) float: what enters the last dense layer."""
    errors: Tensor
    """(N, K) float: the derivative of the loss by the outputs, as `errors_of` gives it."""


class Checkpoint(NamedTuple):
    """Training and test images as the network saw them at one time of its training."""

    train: Known
    test: Known
    lr: float
    """The learning rate then."""


def errors_of(outputs: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """Return the derivative, (N, K), of each row's loss by its outputs (N, K) float; labels are (N, ...)."""

    def of_one(row: Tensor, label: Tensor) -> Tensor:
        return loss(row[None], label[None])

    derivatives: Tensor = torch.func.vmap(torch.func.grad(of_one))(outputs, labels)
    return derivatives


def known(embedding: Embedding, labels: Tensor, loss: Loss = nn.functional.cross_entropy) -> Known:
    """Return images as `embed` has seen them, whose truth is `labels`: (N,) int64, or whatever the `loss` takes."""
    if len(labels) != len(embedding.outputs):
        raise ShapeError(f"There are {len(labels)} labels for {len(embedding.outputs)} images.")
    return Known(embedding.features, errors_of(embedding.outputs, labels, loss))


def tracin(checkpoints: Iterable[Checkpoint], *, bias: bool = True) -> Tensor:
    """Return how much each training image lowered the loss of each test image: (M, N) float32 for M tests.

    Section 3.2: sum over checkpoints of lr <gradient of the test, gradient of the training image>. For a dense layer
    with a `bias` the gradients are outer products, and the sum is lr (e e') (h h' + 1). Below 0 an image raised the
    loss. Of one checkpoint, the last, it is how a further step on the image would act.

    Raises: UsageError if there is no checkpoint.
    """
    total: Tensor | None = None
    for train, test, lr in checkpoints:
        errors = test.errors.double() @ train.errors.double().T
        likeness = test.features.double() @ train.features.double().T + float(bias)
        part = lr * errors * likeness
        total = part if total is None else total + part
    if total is None:
        raise UsageError("TracIn needs at least one checkpoint.")
    return total.float()


class Influential(NamedTuple):
    """The training images that count most for each of M test images, all (M, count): images int64, shares float32."""

    helping: Tensor
    """Proponents, strongest first."""
    helped: Tensor
    harming: Tensor
    """Opponents, strongest first."""
    harmed: Tensor


def most_influential(influence: Tensor, *, count: int = 5) -> Influential:
    """Return the strongest proponents and opponents of an influence (M, N) float, the first of equal ones first."""
    down = influence.sort(dim=1, descending=True, stable=True)
    up = influence.sort(dim=1, stable=True)
    return Influential(down.indices[:, :count], down.values[:, :count], up.indices[:, :count], up.values[:, :count])

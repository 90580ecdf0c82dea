"""Which training images made a network answer as it does: TracIn on the last layer, and the nearest of them.

TracIn: Pruthi, Liu, Kale and Sundararajan 2020, arXiv:2002.08484. Features h are (N, D), outputs (N, K), float.
"""

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.features.embedding import Embedding


class Known(NamedTuple):
    """Images whose truth is known, as a network sees them."""

    features: Tensor
    """(N, D) float: what enters the last dense layer."""
    errors: Tensor
    """(N, K) float: the derivative of the loss by the outputs, as `class_errors` gives it."""


class Checkpoint(NamedTuple):
    """Training and test images as the network saw them at one time of its training."""

    train: Known
    test: Known
    lr: float
    """The learning rate then."""


def class_errors(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return p - y, (N, K) float: of cross-entropy for outputs (N, K) and labels (N,) int64."""
    return outputs.softmax(1) - nn.functional.one_hot(labels, outputs.shape[1]).to(outputs)


def label_errors(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return p - y, (N, K) float: of binary cross-entropy, summed over labels (N, K) of 0 and 1."""
    return outputs.sigmoid() - labels.to(outputs)


def number_errors(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the outputs less the labels, both (N, K) float: of half the squared error."""
    return outputs - labels.to(outputs).reshape(outputs.shape)


def known(embedding: Embedding, labels: Tensor) -> Known:
    """Return images with class labels (N,) int64, as `embed` has seen them."""
    if len(labels) != len(embedding.outputs):
        raise ShapeError(f"{len(labels)} labels for {len(embedding.outputs)} images.")
    return Known(embedding.features, class_errors(embedding.outputs, labels))


def tracin(checkpoints: Iterable[Checkpoint], *, bias: bool = True) -> Tensor:
    """Return how much each training image lowered the loss of each test image: (M, N) float32 for M tests.

    Section 3.2: sum over checkpoints of lr <gradient of the test, gradient of the training image>. For a dense layer
    with a `bias` the gradients are outer products, and the sum is lr (e e') (h h' + 1). Below 0 an image raised the
    loss. Of one checkpoint, the last, it is how a further step on the image would act.

    Raises: UsageError where there is no checkpoint.
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

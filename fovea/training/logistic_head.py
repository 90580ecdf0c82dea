"""A head by logistic regression on features that are computed once, its regularisation chosen by cross-validation.

Features are (N, D), or (V, N, D) of V versions of every image, the plain one first; labels (N,) int64. scikit-learn
minimises the sum over images of -log p + |W|^2 / (2 C), with the features centred and divided by their deviations, so
that a strength C means the same for every network.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea.metrics import wilson_interval
from fovea.texts import percent
from fovea.training.probing import logistic

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""The C that are compared; the smallest regularises most."""
UNCHOSEN = 0.01
"""The C where classes are too small for a comparison."""
FOLDS, FOLDS_OF_MANY, MANY = 5, 3, 1000
"""Parts of a cross-validation, and fewer of them for so many images or more."""
MOST_VALUES = 1 << 27
"""So many features times images at most: a gigabyte in double precision."""
LEAST_SHARE = 1e-3
"""A feature counts as varying by this share of the mean variance at least."""
MOST_STEPS = 200
REFIT_STEPS = 50

Arrays = NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FittedHead:
    """A dense layer for classes, and how good it is on images that it was not fitted to."""

    weight: Tensor
    """(K, D)."""
    bias: Tensor
    """(K,)."""
    strength: float
    """The C of its regularisation."""
    images: int
    correct: int | None
    """How many of them heads fitted to the others classified rightly; None where none were left out."""
    versions: int = 1
    """So many of each image it was fitted to."""
    loss: float | None = None
    """The mean -log p of those heads, in nats, on the images left out."""

    def described(self) -> str:
        """Return what is known of it in a line."""
        each = f", {self.versions} versions of each" if self.versions > 1 else ""
        text = f"logistic regression on the features of {self.images:,} images{each}, C = {self.strength:g}"
        if self.correct is None:
            return f"{text}; too few images of a class for cross-validation"
        low, high = wilson_interval(self.correct, self.images)
        accuracy = percent(self.correct / self.images)
        return f"{text}; cross-validated accuracy {accuracy} ({100 * low:.1f} to {percent(high)})"


def fitted_head(
    features: Tensor,
    labels: Tensor,
    *,
    classes: int,
    balanced: bool = False,
    strength: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FittedHead:
    """Return the logistic regression of `labels` on `features`, (N, D) or (V, N, D).

    Its `strength`, where none is given, is the one with the smallest mean -log p on images left out, by heads fitted to
    the first version of the others. `balanced` weighs every class equally; `seed` deals images to folds.
    """
    versions = features.double().reshape(-1, *features.shape[-2:]).numpy()
    y, count = labels.numpy(), len(versions)
    found: _Chosen | None = None
    if strength is None and len(np.unique(y)) > 1:
        centre, scale = _standard(versions[0])
        x, _ = _rotated((versions[0] - centre) / scale)
        found = _chosen(x, y, classes=classes, balanced=balanced, seed=seed, progress=progress)
    best = strength or (found.strength if found else UNCHOSEN)
    every = versions.reshape(-1, versions.shape[2])
    centre, scale = _standard(every)
    x, rotation = _rotated((every - centre) / scale)
    # each version counts for its share of an image
    coefficients, intercept = next(_path(x, np.tile(y, count), (best / count,), classes=classes, balanced=balanced))
    weight = (coefficients if rotation is None else coefficients @ rotation) / scale
    bias = intercept - weight @ centre
    correct, loss = (found.correct, found.loss) if found else (None, None)
    return FittedHead(_single(weight), _single(bias), best, len(y), correct, count, loss)


def refitted(weight: Tensor, bias: Tensor, features: Tensor, labels: Tensor, *, strength: float) -> FittedHead:
    """Return the head `weight`, `bias` moved as little as the further labels ask for.

    What is added to it is regularised as a head of this `strength` is.
    """
    x = features.double()
    centre, scale = map(torch.from_numpy, _standard(x.numpy()))
    offset = x @ weight.double().T + bias.double()
    change, shift = logistic(
        (x - centre) / scale,
        labels,
        classes=len(weight),
        penalty=1 / (strength * len(x)),
        steps=REFIT_STEPS,
        offset=offset,
    )
    change = change / scale
    moved = bias.double() + shift - change @ centre
    return FittedHead((weight.double() + change).float(), moved.float(), strength, len(x), None)


def _single(values: Arrays) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()


def _standard(x: Arrays) -> tuple[Arrays, Arrays]:
    """Return the mean and deviation (D,) of each feature; one that hardly varies is not blown up."""
    variance = x.var(0)
    scale = np.sqrt(variance + LEAST_SHARE * variance.mean())
    return x.mean(0), np.where(scale > 0, scale, 1.0)


def _rotated(x: Arrays) -> tuple[Arrays, Arrays | None]:
    """Return features with as few dimensions as images, and the rotation (n, D) back; penalties stay equal."""
    if 2 * len(x) > x.shape[1]:
        return x, None
    left, size, right = np.linalg.svd(x, full_matrices=False)
    return left * size, right


class _Chosen(NamedTuple):
    """The best strength, and what heads of it make of images left out."""

    strength: float
    correct: int
    loss: float


def _chosen(
    x: Arrays, y: NDArray[np.int64], *, classes: int, balanced: bool, seed: int, progress: Progress | None
) -> _Chosen | None:
    """Return the best strength; None for classes of one image."""
    counts = np.bincount(y, minlength=classes)
    folds = FOLDS if len(y) < MANY else FOLDS_OF_MANY
    if counts[counts > 0].min() < 2:
        return None
    dealt = _dealt(y, folds, seed=seed)
    losses, correct = np.zeros(len(STRENGTHS)), np.zeros(len(STRENGTHS), int)
    for fold in range(folds):
        out = dealt == fold
        path = _path(x[~out], y[~out], STRENGTHS, classes=classes, balanced=balanced)
        for index, (weight, bias) in enumerate(path):
            outputs = x[out] @ weight.T + bias
            own = outputs[np.arange(out.sum()), y[out]]
            losses[index] += (np.logaddexp.reduce(outputs, axis=1) - own).sum()
            correct[index] += (outputs.argmax(1) == y[out]).sum()
            if progress:
                progress(fold * len(STRENGTHS) + index + 1, folds * len(STRENGTHS))
    best = int(losses.argmin())
    return _Chosen(STRENGTHS[best], int(correct[best]), losses[best] / len(y))


def _dealt(y: NDArray[np.int64], folds: int, *, seed: int) -> NDArray[np.int64]:
    """Return the fold of every image: each class is spread over all of them."""
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    dealt = np.empty(len(y), np.int64)
    dealt[order] = np.arange(len(y)) % folds
    return dealt


def _path(
    x: Arrays, y: NDArray[np.int64], strengths: tuple[float, ...], *, classes: int, balanced: bool
) -> Iterator[tuple[Arrays, Arrays]]:
    """Yield weight (K, d) and bias (K,) for each strength in turn, each fit beginning where the last ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(warm_start=True, max_iter=MOST_STEPS, class_weight="balanced" if balanced else None)
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so near the end no answer changes
            model.set_params(C=strength).fit(x, y)
        weight, bias = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # one row: the logarithm of the odds
            weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
        full, offsets = np.zeros((classes, x.shape[1])), np.full(classes, bias.min() - np.log(len(y)))
        full[model.classes_], offsets[model.classes_] = weight, bias
        yield full, offsets

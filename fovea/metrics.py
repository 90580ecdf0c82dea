"""How good predictions are: figures for classes, for probabilities and for numbers, each from plain arrays.

The libraries behind them are imported on first use: none is needed to predict.

Labels and predicted classes are (N,) int64 indices, probabilities (N, K) float64 from 0 to 1, numbers (N,) float64.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]


class ClassScores(NamedTuple):
    """Figures per class, each (classes,), 0 where the class was never predicted or has no image."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    """Images of the class."""


class NumberScores(NamedTuple):
    """How far predicted numbers are from the true ones, in the unit of the labels (`r2` has none)."""

    mae: float
    """Mean absolute error."""
    rmse: float
    """Square root of the mean squared error."""
    r2: float | None
    """1 - squared error / squared deviation from the mean; 1 is perfect, 0 the mean itself; None for one image."""


class CalibrationBins(NamedTuple):
    """Images by how sure the network is of its answer, each (bins,); 0 where a bin is empty (Guo et al. 2017)."""

    confidence: NDArray[np.float64]
    """Mean probability of the chosen class."""
    accuracy: NDArray[np.float64]
    images: NDArray[np.int64]


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of the true accuracy after `correct` of `total` were right (Wilson 1927).

    >>> [round(end, 3) for end in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    if not 0 <= correct <= total or total == 0:
        raise UsageError(f"`correct` (={correct}) must lie between 0 and `total` (={total}), and `total` above 0.")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = correct / total
    centre = p + z**2 / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def confusion_matrix(labels: Labels, predicted: Labels, *, classes: int) -> NDArray[np.int64]:
    """Return how often (row) each true class was taken for (column) each class: (classes, classes)."""
    from sklearn import metrics

    counts: NDArray[np.int64] = metrics.confusion_matrix(labels, predicted, labels=np.arange(classes))
    return counts


def class_scores(labels: Labels, predicted: Labels, *, classes: int) -> ClassScores:
    """Return precision, recall, F1 and support of each class."""
    from sklearn import metrics

    scores = metrics.precision_recall_fscore_support(labels, predicted, labels=np.arange(classes), zero_division=0.0)
    return ClassScores(*scores)


def top_k_accuracy(probabilities: Floats, labels: Labels, *, k: int) -> float:
    """Return the share of images whose class is among the `k` most probable of (N, classes)."""
    best = np.argpartition(-probabilities, min(k, probabilities.shape[1]) - 1, axis=1)[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def calibration_bins(probabilities: Floats, labels: Labels, *, bins: int = 15) -> CalibrationBins:
    """Return confidence and accuracy of (N, classes) probabilities in `bins` equal intervals of confidence."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # intervals (a, b], as in the paper
    images = np.bincount(index, minlength=bins)
    sums = (np.bincount(index, weights=values, minlength=bins) for values in (confidence, right))
    mean_confidence, accuracy = (values / np.maximum(images, 1) for values in sums)
    return CalibrationBins(mean_confidence, accuracy, images)


def calibration_error(probabilities: Floats, labels: Labels, *, bins: int = 15) -> float:
    """Return the expected calibration error of (N, classes) probabilities (Guo et al. 2017, equation 3).

    The distance between confidence and accuracy, averaged over images in `bins` equal intervals of confidence.
    """
    confidence, accuracy, images = calibration_bins(probabilities, labels, bins=bins)
    return float((np.abs(accuracy - confidence) * images).sum() / len(labels))


def negative_log_likelihood(probabilities: Floats, labels: Labels) -> float:
    """Return the mean of -log of the probability given to the true class, in nats; finite even where that is 0."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean())


def number_scores(values: Floats, targets: Floats) -> NumberScores:
    """Return the errors of the predicted `values` (N,) against the true `targets` (N,)."""
    from sklearn import metrics

    return NumberScores(
        mae=float(metrics.mean_absolute_error(targets, values)),
        rmse=float(metrics.root_mean_squared_error(targets, values)),
        r2=float(metrics.r2_score(targets, values)) if len(targets) > 1 else None,
    )


def paired_interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return where the mean difference between two trainings lies, after one difference per seed that both had.

    Student's t, which takes the differences for normally distributed.

    >>> [round(end, 2) for end in paired_interval([1.0, 2.0, 3.0])]
    [-0.48, 4.48]
    """
    from scipy.stats import t

    if len(differences) < 2:
        raise UsageError(f"`differences` (={list(differences)}) must be two at least.")
    half = float(t.ppf((1 + confidence) / 2, len(differences) - 1)) * stdev(differences) / math.sqrt(len(differences))
    middle = fmean(differences)
    return middle - half, middle + half


def unpaired_interval(first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95) -> tuple[float, float]:
    """Return where the difference of two accuracies lies (second minus first), each after (right, total) images.

    Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10: the images are taken
    for independent. Where both saw the same images the interval is wider than it need be.

    >>> [round(end, 4) for end in unpaired_interval((48, 80), (56, 70))]
    [0.0524, 0.3339]
    """
    (p, low, high), (q, lower, upper) = (
        (right / total, *wilson_interval(right, total, confidence)) for right, total in (first, second)
    )
    return q - p - math.hypot(high - p, q - lower), q - p + math.hypot(p - low, upper - q)

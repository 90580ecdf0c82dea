"""How good predictions are: figures for classes, for probabilities and for numbers, each from plain arrays.

The libraries behind them are imported on first use: none is needed to predict.

Labels and predicted classes are (N,) int64 indices, probabilities (N, K) float64 from 0 to 1, numbers (N,) float64.
Several labels per image are (N, L) float, 1 present, 0 absent, NaN unknown.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.metrics.resampling import RESAMPLINGS, bootstrap_interval, percentiles

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]

BOOTSTRAP_WORK = 2e8
"""Labels of images that a bootstrap of mean average precision looks at: two seconds or so."""


class ClassScores(NamedTuple):
    """Figures per class, each (classes,), 0 where the class was never predicted or has no image."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    """Images of the class."""


class LabelScores(NamedTuple):
    """Figures per label, each (labels,), over the images of which it is known."""

    precision: NDArray[np.float64]
    """0 where it was never predicted."""
    recall: NDArray[np.float64]
    """0 where no image has it."""
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    """Images that have it."""
    known: NDArray[np.int64]
    """Images of which it is known."""


class NumberScores(NamedTuple):
    """How far predicted numbers are from the true ones, in the unit of the labels (`r2` has none)."""

    mae: float
    """Mean absolute error."""
    rmse: float
    """Square root of the mean squared error."""
    r2: float | None
    """1 - squared error / squared deviation from the mean; 1 is perfect, 0 the mean itself; None for one image."""


class CalibrationBins(NamedTuple):
    """Answers by how sure the network is of them, each (bins,); 0 where a bin is empty (Guo et al. 2017)."""

    confidence: NDArray[np.float64]
    """Mean probability of the answer."""
    accuracy: NDArray[np.float64]
    images: NDArray[np.int64]
    """Answers; one per image where there is one class."""

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance between confidence and accuracy (equation 3)."""
        return float((np.abs(self.accuracy - self.confidence) * self.images).sum() / max(self.images.sum(), 1))


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of the true accuracy after `correct` of `total` were right (Wilson 1927).

    >>> [round(end, 3) for end in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    from statistics import NormalDist

    if not 0 <= correct <= total or total == 0:
        raise UsageError(f"`correct` (={correct}) must be from 0 to `total` (={total}), and `total` must be above 0.")
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
    return _binned(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins=bins)


def presence_bins(probabilities: Floats, labels: Floats, *, bins: int = 15) -> CalibrationBins:
    """Return probability and frequency of several labels, both (N, L), in `bins` equal intervals of probability.

    All labels that are known count equally; `accuracy` is the share of them that is present.
    """
    known = ~np.isnan(labels)
    return _binned(probabilities[known], labels[known] == 1, bins=bins)


def _binned(confidence: Floats, right: NDArray[np.bool_], *, bins: int) -> CalibrationBins:
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # intervals (a, b], as in the paper
    images = np.bincount(index, minlength=bins)
    sums = (np.bincount(index, weights=values, minlength=bins) for values in (confidence, right))
    mean_confidence, accuracy = (values / np.maximum(images, 1) for values in sums)
    return CalibrationBins(mean_confidence, accuracy, images)


def calibration_error(probabilities: Floats, labels: Labels, *, bins: int = 15) -> float:
    """Return the expected calibration error of (N, classes) probabilities (Guo et al. 2017, equation 3).

    The distance between confidence and accuracy, averaged over images in `bins` equal intervals of confidence.
    """
    return calibration_bins(probabilities, labels, bins=bins).error


def negative_log_likelihood(probabilities: Floats, labels: Labels) -> float:
    """Return the mean of -log of the probability given to the true class, in nats; finite even where that is 0."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean())


def presence_likelihood(probabilities: Floats, labels: Floats) -> float:
    """Return the negative log-likelihood of several labels, both (N, L), in nats per label that is known; finite."""
    given = np.where(labels == 1, probabilities, 1 - probabilities)[~np.isnan(labels)]
    return float(-np.log(np.maximum(given, np.finfo(np.float64).tiny)).sum() / max(len(given), 1))


def number_scores(values: Floats, targets: Floats) -> NumberScores:
    """Return the errors of the predicted `values` (N,) against the true `targets` (N,)."""
    from sklearn import metrics

    return NumberScores(
        mae=float(metrics.mean_absolute_error(targets, values)),
        rmse=float(metrics.root_mean_squared_error(targets, values)),
        r2=float(metrics.r2_score(targets, values)) if len(targets) > 1 else None,
    )


def label_scores(labels: Floats, predicted: NDArray[np.bool_]) -> LabelScores:
    """Return precision, recall and F1 of each of several labels (N, L), `predicted` (N, L) bool."""
    present, known = labels == 1, ~np.isnan(labels)
    hits, found, support = ((of & known).sum(axis=0) for of in (present & predicted, predicted, present))
    return LabelScores(
        precision=hits / np.maximum(found, 1),
        recall=hits / np.maximum(support, 1),
        f1=2 * hits / np.maximum(found + support, 1),
        support=support,
        known=known.sum(axis=0),
    )


def micro_f1(labels: Floats, predicted: NDArray[np.bool_]) -> float:
    """Return F1 over all labels (N, L) together, `predicted` (N, L) bool; 0 where none is present or predicted."""
    known = ~np.isnan(labels)
    present, found = labels[known] == 1, predicted[known]
    return float(2 * (present & found).sum() / max(present.sum() + found.sum(), 1))


def average_precision(scores: Floats, labels: Floats, weights: Floats | None = None) -> NDArray[np.float64]:
    """Return the mean over the images with a label of the precision among those that score as high: (B,).

    `scores` (N,) rank the images, `labels` (N,) are 1 or 0; images with NaN are left out. `weights` (B, N) count images
    more than once, for B resamplings; without, B is 1. NaN where no image has the label.
    """
    known = ~np.isnan(labels)
    order = np.argsort(-scores[known], kind="stable")
    present, ranked = labels[known][order] == 1, scores[known][order]
    # of equal scores none is before the other: all are counted up to the last of them
    last = np.searchsorted(-ranked, -ranked[present], side="right") - 1
    counts = np.ones((1, len(order))) if weights is None else weights[:, known][:, order]
    images, hits = (of.cumsum(axis=1)[:, last] for of in (counts, counts * present))
    own = counts[:, present]
    total = own.sum(axis=1)
    sums: NDArray[np.float64] = (own * hits / np.maximum(images, 1)).sum(axis=1)
    return np.where(total > 0, sums / np.maximum(total, 1), np.nan)


def mean_average_precision(scores: Floats, labels: Floats, weights: Floats | None = None) -> NDArray[np.float64]:
    """Return the mean of `average_precision` over the labels that an image has: (B,); all of (N, L)."""
    found = np.stack([average_precision(scores[:, i], labels[:, i], weights) for i in range(labels.shape[1])])
    defined = ~np.isnan(found)
    mean = np.where(defined, found, 0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1)
    return np.where(defined.any(axis=0), mean, np.nan)


def map_interval(scores: Floats, labels: Floats, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return where the mean average precision of (N, L) lies, by the bootstrap over images.

    Efron 1979, doi:10.1214/aos/1176344552: percentiles over 1,000 resamplings, over fewer of many labels.
    """
    N, L = labels.shape
    return bootstrap_interval(
        lambda weights: mean_average_precision(scores, labels, weights),
        N,
        confidence=confidence,
        resamplings=int(np.clip(BOOTSTRAP_WORK / (N * L), 100, RESAMPLINGS)),
    )


def best_threshold(probabilities: Floats, labels: Floats) -> float:
    """Return the probability above which a label counts as present so that F1 is highest; 0..1.

    `probabilities` and `labels` are (N,). It lies in the middle between two images, or is 1/2 where that serves as
    well; of several it is the one nearest to 1/2, and 1/2 where no image has the label.
    """
    known = ~np.isnan(labels)
    order = np.argsort(-probabilities[known], kind="stable")
    ranked, present = probabilities[known][order], labels[known][order] == 1
    if not present.any():
        return 0.5
    below = np.append(ranked[1:], 0.0)
    ends = np.flatnonzero((ranked > below) | (np.arange(len(ranked)) == len(ranked) - 1))
    f1 = 2 * present.cumsum()[ends] / (ends + 1 + present.sum())
    best = ends[f1 >= f1.max() - 1e-12]
    high, low = ranked[best], below[best]
    thresholds = np.where((low < 0.5) & (high > 0.5), 0.5, (high + low) / 2)
    return float(thresholds[np.abs(thresholds - 0.5).argmin()])


def weighted_kappa(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Return the agreement of grades beyond chance, errors weighed by their square: (...,) of counts (..., K, K).

    Cohen 1968, doi:10.1037/h0026256: 1 - sum(w o) / sum(w e), w the squared distance of two grades, o the shares
    observed and e those expected by chance. NaN where all images have one grade, and all answers too.
    """
    K = confusion.shape[-1]
    weights = np.square(np.subtract.outer(np.arange(K), np.arange(K)))
    rows, columns = confusion.sum(axis=-1), confusion.sum(axis=-2)
    expected = rows[..., :, None] * columns[..., None, :] / np.maximum(rows.sum(axis=-1), 1)[..., None, None]
    observed, chance = ((weights * of).sum(axis=(-1, -2)) for of in (confusion, expected))
    return np.where(chance > 0, 1 - observed / np.where(chance > 0, chance, 1), np.nan)


def kappa_interval(confusion: NDArray[Any], *, confidence: float = 0.95) -> tuple[float, float]:
    """Return where the weighted kappa of counts (K, K) lies, by the bootstrap over images (Efron 1979)."""
    K, total = len(confusion), int(confusion.sum())
    drawn = np.random.default_rng(0).multinomial(total, confusion.ravel() / total, RESAMPLINGS)
    return percentiles(weighted_kappa(drawn.reshape(-1, K, K).astype(np.float64)), confidence)


def error_interval(errors: NDArray[Any], confidence: float = 0.95) -> tuple[float, float] | None:
    """Return where the mean lies of what absolute errors (N,) are drawn from, by Student's t; not below 0.

    None for one error, which says nothing of the spread.
    """
    from scipy.stats import t

    if len(errors) < 2:
        return None
    middle = float(errors.mean())
    half = float(t.ppf((1 + confidence) / 2, len(errors) - 1) * errors.std(ddof=1) / math.sqrt(len(errors)))
    return max(0.0, middle - half), middle + half


def paired_interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return where the mean difference between two trainings lies, after one difference per seed that both had.

    Student's t, which takes the differences for normally distributed.

    >>> [round(end, 2) for end in paired_interval([1.0, 2.0, 3.0])]
    [-0.48, 4.48]
    """
    from statistics import fmean, stdev

    from scipy.stats import t

    if len(differences) < 2:
        raise UsageError(f"`differences` (={list(differences)}) must be at least two values.")
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
    return difference_interval(
        *((right / total, *wilson_interval(right, total, confidence)) for right, total in (first, second))
    )


def difference_interval(first: tuple[float, float, float], second: tuple[float, float, float]) -> tuple[float, float]:
    """Return where the difference of two figures lies (second minus first), each given as value, low and high end.

    Of independent figures with intervals of one confidence: Zou and Donner 2008, doi:10.1002/sim.3095.
    """
    (p, low, high), (q, lower, upper) = first, second
    return q - p - math.hypot(high - p, q - lower), q - p + math.hypot(p - low, upper - q)

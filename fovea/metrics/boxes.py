"""Average precision and recall of boxes, as COCO defines them, with intervals over images.

Lin et al. 2014, arXiv:1405.0312; cocodataset.org, section 'Detection Evaluation'. The same figures are those of masks
of instances and points of persons: only how much two objects overlap is another (`fovea.metrics.matching`).

True boxes are (M, 6) float32 of class, x0, y0, x1, y1, crowd, class -1 where there is none; those that were found are
(D, 6) float64 of class, x0, y0, x1, y1, score. Figures are from 0 to 1, NaN where no image has an object.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.decoding.boxes import areas, overlaps
from fovea.metrics.matching import MOST, SIZES, THRESHOLDS, ClassMatches, Compared, matched
from fovea.metrics.resampling import RESAMPLINGS, Statistic, bootstrap_interval

Floats = NDArray[np.float64]

EACH = tuple(range(len(THRESHOLDS)))
"""The numbers of all thresholds."""
AT_50, AT_75 = 0, 5
"""The numbers of an overlap of 0.5 and of 0.75."""
RECALLS = np.linspace(0, 1, 101)
"""At which precision is looked up."""
FEW = (1, 10, MOST)
"""Of what was found in an image, so many count for recall."""
BOOTSTRAP_WORK = 1e8
"""What was found, times thresholds, times resamplings: a few seconds."""


class DetectionScores(NamedTuple):
    """The twelve figures of COCO, means over classes, and average precision per class."""

    ap: float
    """Mean over overlaps from 0.5 to 0.95 in steps of 0.05."""
    ap50: float
    """At an overlap of 0.5, as PASCAL VOC has it."""
    ap75: float
    ap_small: float
    """Of objects up to 32 x 32 pixels."""
    ap_medium: float
    """Of those up to 96 x 96 pixels."""
    ap_large: float
    ar1: float
    """Recall of the best one of each class in an image, mean over overlaps."""
    ar10: float
    ar100: float
    ar_small: float
    ar_medium: float
    ar_large: float
    per_class: Floats
    """Average precision (K,) float64."""
    per_class50: Floats
    """At an overlap of 0.5, (K,) float64."""


def compared_boxes(truth: NDArray[np.float32], found: Floats) -> Compared:
    """Return the boxes (M, 6) float32 of an image beside those that were found in it, (D, 6) float64."""
    truth, found = truth[truth[:, 0] >= 0].astype(np.float64), np.asarray(found, np.float64).reshape(-1, 6)
    crowd = truth[:, 5] > 0
    return Compared(
        classes=truth[:, 0].astype(np.int64),
        areas=areas(truth[:, 1:5]),
        crowd=crowd,
        found_classes=found[:, 0].astype(np.int64),
        found_areas=areas(found[:, 1:5]),
        scores=found[:, 5],
        overlaps=overlaps(found[:, 1:5], truth[:, 1:5], crowd=crowd),
    )


def detection_scores(matches: Sequence[ClassMatches]) -> DetectionScores:
    """Return the figures of what was found (D,) of each class, matched at the ten thresholds and four sizes of COCO."""
    everything = np.stack([_precisions(found) for found in matches])  # (K, A, T)
    recalls = [np.stack([recall(found, most=most)[0] for found in matches]) for most in FEW]
    by_size = np.stack([[recall(found, size=size)[0] for size in range(1, len(SIZES))] for found in matches])
    return DetectionScores(
        ap=_mean(everything[:, 0]),
        ap50=_mean(everything[:, 0, AT_50]),
        ap75=_mean(everything[:, 0, AT_75]),
        ap_small=_mean(everything[:, 1]),
        ap_medium=_mean(everything[:, 2]),
        ap_large=_mean(everything[:, 3]),
        ar1=_mean(recalls[0]),
        ar10=_mean(recalls[1]),
        ar100=_mean(recalls[2]),
        ar_small=_mean(by_size[:, 0]),
        ar_medium=_mean(by_size[:, 1]),
        ar_large=_mean(by_size[:, 2]),
        per_class=np.array([_mean(of[0]) for of in everything]),
        per_class50=everything[:, 0, AT_50],
    )


def _precisions(found: ClassMatches) -> Floats:
    """Return average precision of one class (A, T)."""
    A, T, _ = found.hits.shape
    return np.array([[precision_at_recalls(found, t, size=a).mean() for t in range(T)] for a in range(A)])


def precision_at_recalls(
    found: ClassMatches, threshold: int, *, size: int = 0, weights: Floats | None = None
) -> Floats:
    """Return the precision (B, 101) float64 at recalls from 0 to 1, at the threshold and size of these numbers.

    The highest precision at that recall or a higher one; 0 beyond the highest recall. `weights` (B, N) float64 count
    images more than once; without, B is 1. NaN where there is no object.
    """
    order, hits, wrong, wanted = _counted(found, threshold, size, weights)
    if not len(order):
        return np.where(wanted[:, None] > 0, np.zeros((1, len(RECALLS))), np.nan)
    right, false = hits.cumsum(axis=1), wrong.cumsum(axis=1)
    reached = right / np.where(wanted > 0, wanted, 1)[:, None]
    precision = right / np.maximum(right + false, 1)
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([highest, np.zeros((len(highest), 1))], axis=1)
    at = np.stack([np.searchsorted(row, RECALLS, side="left") for row in reached])
    return np.where(wanted[:, None] > 0, np.take_along_axis(padded, at, axis=1), np.nan)


def average_precision(matches: Sequence[ClassMatches], threshold: int = AT_50) -> Floats:
    """Return the average precision (K,) float64 of each class at the threshold of this number.

    While a network trains, `matched` with that threshold and the size `all` alone is enough for it.
    """
    return np.array([precision_at_recalls(found, threshold).mean() for found in matches])


def recall(found: ClassMatches, *, size: int = 0, most: int = MOST) -> Floats:
    """Return the share (1, T) float64 of the objects of a size that is among the `most` best of their image."""
    wanted = found.wanted[size].sum()
    kept = found.hits[size] & ~found.ignored[size] & (found.ranks < most)
    return np.atleast_2d(kept.sum(axis=1) / wanted if wanted else np.full(len(kept), np.nan))


def _counted(
    found: ClassMatches, threshold: int, size: int, weights: Floats | None
) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Return the order by score, then what counts in it as right and as wrong, (B, D), and the objects (B,)."""
    ignored = found.ignored[size, threshold]
    order = np.argsort(-found.scores, kind="stable")
    order = order[~ignored[order]]
    hits = found.hits[size, threshold, order]
    times = np.ones((1, len(order))) if weights is None else weights[:, found.images[order]]
    counts = found.wanted[size]
    wanted = np.array([float(counts.sum())]) if weights is None else weights @ counts
    return order, times * hits, times * ~hits, wanted


def _mean(values: Floats) -> float:
    """Return the mean of what is defined; NaN where nothing is."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def ap_statistic(matches: Sequence[ClassMatches], thresholds: Sequence[int] = EACH) -> Statistic:
    """Return average precision as a function of how often images count: weights (B, N) float64 to (B,).

    It is the mean over classes and over the thresholds of these numbers, 0 being an overlap of 0.5. The difference of
    two networks' statistics on the same images has a paired interval (`bootstrap_interval`).
    """

    def statistic(weights: Floats) -> Floats:
        found = np.stack(
            [[precision_at_recalls(of, t, weights=weights).mean(axis=1) for t in thresholds] for of in matches]
        ).mean(axis=1)
        defined = ~np.isnan(found)
        return np.where(
            defined.any(axis=0), np.where(defined, found, 0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1), np.nan
        )

    return statistic


def ap_interval(
    matches: Sequence[ClassMatches],
    thresholds: Sequence[int] = EACH,
    *,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return where the average precision at these thresholds lies, by a bootstrap over images, shorter for many."""
    work = len(thresholds) * sum(len(found.scores) for found in matches)
    resamplings = int(np.clip(BOOTSTRAP_WORK / max(work, 1), 100, RESAMPLINGS))
    images = matches[0].wanted.shape[1]
    return bootstrap_interval(ap_statistic(matches, thresholds), images, confidence=confidence, resamplings=resamplings)


def score_boxes(
    truth: Sequence[NDArray[np.float32]], found: Sequence[Floats], *, classes: int
) -> tuple[DetectionScores, list[ClassMatches]]:
    """Return the figures of boxes found (D, 6) float64 in images with true boxes (M, 6) float32, and the matches."""
    images = [compared_boxes(there, own) for there, own in zip(truth, found, strict=True)]
    matches = matched(images, classes=classes)
    return detection_scores(matches), matches

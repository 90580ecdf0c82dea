"""How good masks are: overlaps of classes, from counts of pixels that add up over images and can be resampled.

Masks are (N, H, W) uint8, the class of each pixel from 0 to K - 1; in the true ones 255 is void, which counts nowhere.
Counts are float64 or int64 (..., K): of one image, of many, or weighted sums of them for each resampling.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.metrics.resampling import bootstrap_interval

Masks = NDArray[np.uint8]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64] | Floats

VOID = 255
"""The class of pixels that are neither learned nor scored."""


class PixelCounts(NamedTuple):
    """How many known pixels there are of each class, each (..., K)."""

    hits: Counts
    """Of the class in truth and answer."""
    truth: Counts
    predicted: Counts

    def weighted(self, weights: Floats) -> "PixelCounts":
        """Return sums over the images (N, K), each counted as often as weights (B, N) float64 say: (B, K)."""
        return PixelCounts(*(weights @ counts for counts in self))

    def pooled(self) -> "PixelCounts":
        """Return the sums (K,) over all images (N, K), integers as they are."""
        return PixelCounts(*(counts.sum(axis=0) for counts in self))


def pixel_confusion(truth: Masks, predicted: Masks, *, classes: int) -> NDArray[np.int64]:
    """Return how many pixels of each true class (row) were taken for each class (column): (N, K, K) int64."""
    found = np.empty((len(truth), classes, classes), np.int64)
    for true, answer, counts in zip(truth, predicted, found, strict=True):
        known = true != VOID
        pairs = true[known].astype(np.int64) * classes + answer[known]
        counts[:] = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return found


def pixel_counts(confusion: NDArray[np.int64]) -> PixelCounts:
    """Return pixels per class (..., K) of confusions (..., K, K), all int64."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return PixelCounts(hits, confusion.sum(axis=-1), confusion.sum(axis=-2))


def intersection_over_union(counts: PixelCounts) -> Floats:
    """Return hits / (truth + predicted - hits) of each class, (..., K) from 0 to 1; NaN of one that neither contains.

    The Jaccard index. With counts pooled over the images it is that of PASCAL VOC and Cityscapes.
    """
    return _ratio(counts.hits, counts.truth + counts.predicted - counts.hits)


def dice(counts: PixelCounts) -> Floats:
    """Return 2 hits / (truth + predicted) of each class, (..., K) from 0 to 1; NaN of one that neither contains.

    Dice 1945: the F1 score of pixels. Per image or pooled over images, as the counts are.
    """
    return _ratio(2 * counts.hits, counts.truth + counts.predicted)


def pixel_accuracy(counts: PixelCounts) -> Floats:
    """Return the share of known pixels that are right, (...,) from 0 to 1; NaN where none is known."""
    return _ratio(counts.hits.sum(axis=-1), counts.truth.sum(axis=-1))


def mean_of_classes(values: Floats) -> Floats:
    """Return the mean (...,) float64 of the values (..., K) that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def mean_iou(counts: PixelCounts) -> Floats:
    """Return the mean intersection over union (...,), 0 to 1, of the classes that are in truth or answer."""
    return mean_of_classes(intersection_over_union(counts))


def mean_dice(counts: PixelCounts) -> Floats:
    """Return the mean Dice (...,), 0 to 1, of the classes that are in truth or answer."""
    return mean_of_classes(dice(counts))


def mask_interval(
    counts: PixelCounts, score: Callable[[PixelCounts], Floats] = mean_iou, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return where a score of pooled counts lies, by the bootstrap over images; `counts` are (N, K) int64."""
    return bootstrap_interval(lambda weights: score(counts.weighted(weights)), len(counts.hits), confidence=confidence)


def _ratio(part: Counts, whole: Counts) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)

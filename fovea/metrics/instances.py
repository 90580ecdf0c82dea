"""How good single objects of masks are: panoptic quality, and average precision by the overlap of masks.

Objects are (H, W) int32, 0 where there is none and 1 to I elsewhere; their classes are (I,) int64, 0 to K - 1. An image
is scored by what it holds alone, so that figures over images are sums that can be resampled.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.metrics.masks import mean_of_classes
from fovea.metrics.matching import Compared
from fovea.metrics.resampling import bootstrap_interval

Floats = NDArray[np.float64]
Objects = NDArray[np.int32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Segments:
    """The objects of an image."""

    objects: Objects
    """(H, W) int32."""
    classes: Indices
    """(I,) int64."""
    scores: Floats | None = None
    """(I,) float64 of those that were found; the higher, the surer."""
    crowd: NDArray[np.bool_] | None = None
    """(I,) bool of the true ones: a group, of which any number may be found. None for none."""
    void: NDArray[np.bool_] | None = None
    """(H, W) bool: pixels of which the truth is not known. None for none."""

    @property
    def crowds(self) -> NDArray[np.bool_]:
        """Which objects are groups, (I,) bool."""
        return np.zeros(len(self.classes), bool) if self.crowd is None else self.crowd


class PanopticCounts(NamedTuple):
    """What adds up over images, each float64 (..., K)."""

    overlap: Floats
    """Sum of the overlaps of objects that were found."""
    found: Floats
    """Objects that were found: true positives."""
    wrong: Floats
    """False positives."""
    missed: Floats
    """False negatives."""

    def weighted(self, weights: Floats) -> "PanopticCounts":
        """Return sums over the images (N, K), each counted as often as weights (B, N) float64 say: (B, K)."""
        return PanopticCounts(*(weights @ counts for counts in self))

    def pooled(self) -> "PanopticCounts":
        """Return the float64 sums (K,) over all images (N, K)."""
        return PanopticCounts(*(counts.sum(axis=0) for counts in self))


def compared_segments(truth: Segments, found: Segments) -> Compared:
    """Return the objects of an image beside those that were found, by how much their masks overlap: (D, G) float64.

    Pixels of unknown truth belong to nothing that was found.
    """
    shared = _shared(truth, found)
    areas, found_areas = _areas(truth), _areas(found) - _in_void(truth, found)
    whole = found_areas[:, None] + areas - shared
    whole = np.where(truth.crowds, found_areas[:, None], whole)
    return Compared(
        classes=truth.classes,
        areas=areas,
        crowd=truth.crowds,
        found_classes=found.classes,
        found_areas=found_areas,
        scores=np.zeros(len(found.classes)) if found.scores is None else found.scores,
        overlaps=_ratio(shared, whole),
    )


def panoptic_counts(truth: Segments, found: Segments, *, classes: int) -> PanopticCounts:
    """Return what an image adds to panoptic quality, float64 (K,) each.

    Kirillov et al. 2019, arXiv:1801.00868, section 4.1: an object is found by one of its class whose overlap is above
    1/2, of which there is one at most. What lies by more than half in void, or in a crowd of its class, is not counted.
    """
    pairs = compared_segments(truth, found)
    alike = pairs.found_classes[:, None] == pairs.classes
    hits = alike & (pairs.overlaps > 0.5) & ~pairs.crowd
    in_crowd = (_shared(truth, found) * (alike & pairs.crowd)).sum(axis=1)
    ignored = in_crowd + _in_void(truth, found) > _areas(found) / 2
    wrong, missed = ~hits.any(axis=1) & ~ignored, ~hits.any(axis=0) & ~pairs.crowd
    own = pairs.found_classes
    return PanopticCounts(
        np.bincount(own, (pairs.overlaps * hits).sum(axis=1), classes).astype(np.float64),
        np.bincount(own[hits.any(axis=1)], minlength=classes).astype(np.float64),
        np.bincount(own[wrong], minlength=classes).astype(np.float64),
        np.bincount(pairs.classes[missed], minlength=classes).astype(np.float64),
    )


def panoptic_quality(counts: PanopticCounts) -> Floats:
    """Return segmentation quality times recognition quality of each class, (..., K) float64, 0 to 1.

    Equation 1: the sum of overlaps / (found + wrong / 2 + missed / 2). NaN of a class that is nowhere.
    """
    return _ratio(counts.overlap, counts.found + (counts.wrong + counts.missed) / 2, empty=np.nan)


def segmentation_quality(counts: PanopticCounts) -> Floats:
    """Return the mean overlap of what was found of each class, (..., K) float64, 1/2 to 1; NaN where nothing was."""
    return _ratio(counts.overlap, counts.found, empty=np.nan)


def recognition_quality(counts: PanopticCounts) -> Floats:
    """Return the F1 score of each class, (..., K) float64, 0 to 1; NaN of a class that is nowhere."""
    return _ratio(counts.found, counts.found + (counts.wrong + counts.missed) / 2, empty=np.nan)


def mean_panoptic_quality(counts: PanopticCounts) -> Floats:
    """Return the mean panoptic quality (...,) float64, 0 to 1, of the classes that are in truth or answer."""
    return mean_of_classes(panoptic_quality(counts))


def panoptic_interval(counts: PanopticCounts, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return where the mean panoptic quality lies, by the bootstrap over images; `counts` are (N, K) float64."""
    images = len(counts.found)
    return bootstrap_interval(
        lambda weights: mean_panoptic_quality(counts.weighted(weights)), images, confidence=confidence
    )


def _areas(segments: Segments) -> Floats:
    """Return the pixels (I,) of each object."""
    counts = np.bincount(segments.objects.ravel(), minlength=len(segments.classes) + 1)[1:]
    return counts.astype(np.float64)


def _shared(truth: Segments, found: Segments) -> Floats:
    """Return the pixels (D, G) that each object that was found shares with each true one."""
    G, D = len(truth.classes), len(found.classes)
    pairs = found.objects.ravel().astype(np.int64) * (G + 1) + truth.objects.ravel()
    return np.bincount(pairs, minlength=(D + 1) * (G + 1)).reshape(D + 1, G + 1)[1:, 1:].astype(np.float64)


def _in_void(truth: Segments, found: Segments) -> Floats:
    """Return the pixels (D,) of unknown truth of each object that was found."""
    if truth.void is None:
        return np.zeros(len(found.classes))
    return np.bincount(found.objects[truth.void], minlength=len(found.classes) + 1)[1:].astype(np.float64)


def _ratio(part: Floats, whole: Floats, *, empty: float = 0.0) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), empty)

"""How near points are to the true ones.

True points are (..., P, 3) float32: x, y in pixels, and visibility, 0 where a point is not labelled, which then counts
nowhere. Points that were found are (..., P, 2) float64, or (..., P, 3) with a score. Distances are in pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.metrics.boxes import precision_at_recalls, recall
from fovea.metrics.matching import SIZES, THRESHOLDS, ClassMatches, Compared, matched

Floats = NDArray[np.float64]
Points = NDArray[np.floating]

COCO_DEVIATIONS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""Of the 17 points of COCO's persons, in square roots of the area: how far apart people set them."""
PERSONS = ("all", "medium", "large")
"""Sizes by which COCO scores points."""
MOST = 20
"""Persons of an image that count."""


class PointScores(NamedTuple):
    """The ten figures of COCO for points, from 0 to 1; NaN where no image has a person."""

    ap: float
    ap50: float
    ap75: float
    ap_medium: float
    ap_large: float
    ar: float
    ar50: float
    ar75: float
    ar_medium: float
    ar_large: float


def point_distances(truth: Points, found: Points) -> Floats:
    """Return how far each point (N, P) is from the true one, float64 in pixels; NaN where that is not labelled."""
    away = np.asarray(found, np.float64)[..., :2] - truth[..., :2]
    return np.where(truth[..., 2] > 0, np.hypot(away[..., 0], away[..., 1]), np.nan)


def box_sizes(truth: Points) -> Floats:
    """Return the longer side of the box around the labelled points of each image (N,) float64; NaN of fewer than two.

    The size that Yang and Ramanan 2013 (doi:10.1109/TPAMI.2012.261) measure errors by.
    """
    labelled = (truth[..., 2] > 0)[..., None]
    low = np.where(labelled, truth[..., :2], np.inf).min(axis=-2)
    high = np.where(labelled, truth[..., :2], -np.inf).max(axis=-2)
    sides = np.maximum((high - low).max(axis=-1), 0).astype(np.float64)
    return np.where(sides > 0, sides, np.nan)


def pair_sizes(truth: Points, first: int, second: int) -> Floats:
    """Return how far two of the true points are apart, as the eyes, (N,) float64 in pixels; NaN without both."""
    sides = point_distances(truth[..., [first], :], truth[..., [second], :2])[..., 0]
    return np.where((truth[..., second, 2] > 0) & (sides > 0), sides, np.nan)


def correct_points(distances: Floats, sizes: Floats, *, share: float = 0.1) -> Floats:
    """Return the share (N,) of the labelled points of each image that are at most `share` of its size (N,) away.

    PCK, Yang and Ramanan 2013. `distances` are (N, P) float64; NaN where there is no point or no size.
    """
    return _over_points(np.where(np.isnan(distances), np.nan, distances <= share * sizes[:, None]), sizes)


def normalised_errors(distances: Floats, sizes: Floats) -> Floats:
    """Return the mean distance (N,) float64 of the points of each image by its size (N,); NaN where there is none."""
    return _over_points(distances / sizes[:, None], sizes)


def _over_points(values: Floats, sizes: Floats) -> Floats:
    """Return the means (N,) over points of values (N, P), those that are NaN left out."""
    known = ~np.isnan(values)
    count = known.sum(axis=1) * ~np.isnan(sizes)
    return np.where(count > 0, np.where(known, values, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def object_keypoint_similarity(
    truth: Points, areas: Floats, found: Points, *, deviations: Floats, boxes: Floats | None = None
) -> Floats:
    """Return how similar points found (D, P, 2) and true ones (G, P, 3) of persons are: (D, G) float64, 0 to 1.

    COCO's: the mean over labelled points of exp(-d^2 / (8 area deviation^2)), `areas` (G,) in square pixels. A person
    without a labelled point is as similar as it is near to `boxes` (G, 4), each three times as wide and high.
    """
    place = np.asarray(found, np.float64)[:, None, :, :2]
    away = place - truth[None, :, :, :2]
    labelled = np.asarray(truth[..., 2] > 0)
    known = np.asarray(labelled.any(axis=1))
    counted = np.where(known[:, None], labelled, True)
    if boxes is not None:
        sides = boxes[:, 2:] - boxes[:, :2]
        low, high = (of[None, :, None] for of in (boxes[:, :2] - sides, boxes[:, 2:] + sides))
        beside = np.maximum(low - place, 0) + np.maximum(place - high, 0)
        away = np.where(known[:, None, None], away, beside)
    scale = 8 * (areas[:, None] + np.spacing(1)) * np.square(deviations)
    likeness = np.exp(-np.square(away).sum(axis=-1) / scale) * counted
    similarity: Floats = likeness.sum(axis=-1) / counted.sum(axis=-1)
    return similarity


def compared_points(
    truth: Points, areas: Floats, found: Points, scores: Floats, *, deviations: Floats, boxes: Floats | None = None
) -> Compared:
    """Return the persons of an image (G, P, 3) beside those found (D, P, 2), with scores (D,) float64, as one class.

    Persons without a labelled point are ignored. What was found is as large as the box around all of its points.
    """
    spans = found[..., :2].max(axis=1) - found[..., :2].min(axis=1) if len(found) else np.empty((0, 2))
    return Compared(
        classes=np.zeros(len(truth), np.int64),
        areas=areas,
        crowd=np.zeros(len(truth), bool),
        found_classes=np.zeros(len(found), np.int64),
        found_areas=spans[:, 0] * spans[:, 1],
        scores=scores,
        overlaps=object_keypoint_similarity(truth, areas, found, deviations=deviations, boxes=boxes),
        ignored=np.asarray(~(truth[..., 2] > 0).any(axis=1)),
    )


def point_scores(images: Sequence[Compared]) -> tuple[PointScores, ClassMatches]:
    """Return COCO's figures of persons that were found by their points, and which is which."""
    (matches,) = matched(images, classes=1, sizes=[SIZES[name] for name in PERSONS], most=MOST)
    each = range(len(THRESHOLDS))
    precision = np.array(
        [[precision_at_recalls(matches, t, size=size).mean() for t in each] for size in range(len(PERSONS))]
    )
    found = np.stack([recall(matches, size=size)[0] for size in range(len(PERSONS))])
    figures = [[of[0].mean(), of[0, 0], of[0, 5], of[1].mean(), of[2].mean()] for of in (precision, found)]
    return PointScores(*(float(figure) for row in figures for figure in row)), matches

"""Objects that were found beside those that are there: which is which, as COCO matches them.

Lin et al. 2014, arXiv:1405.0312, and the rules of its evaluation (cocodataset.org, section 'Detection Evaluation'). It
asks of objects only how much they overlap, so boxes, masks and points of persons are matched in the same way.

K is the number of classes, T that of thresholds, A that of ranges of size. Indices are int64, figures float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Overlaps from which on an object is found."""
SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Least and largest area of objects, in square pixels."""
MOST = 100
"""Of what was found of one class in one image, the best."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What is in one image (G objects) and what was found there (D), with their overlaps."""

    classes: Indices
    """(G,), 0 to K - 1."""
    areas: Floats
    """(G,), in square pixels."""
    crowd: Flags
    """(G,): a group, of which any number may be found; counted neither as found nor as missed."""
    found_classes: Indices
    """(D,)."""
    found_areas: Floats
    """(D,)."""
    scores: Floats
    """(D,); the higher, the surer."""
    overlaps: Floats
    """(D, G), 0 to 1."""
    ignored: Flags | None = None
    """(G,): objects that are not counted, but found once at most; None for none."""


@dataclass(frozen=True, kw_only=True)
class ClassMatches:
    """All that was found of one class, image after image, the best of an image first."""

    scores: Floats
    """(D,)."""
    images: Indices
    """(D,): the number of the image."""
    ranks: Indices
    """(D,): how many of the image are better."""
    hits: Flags
    """(A, T, D): there is an object for it."""
    ignored: Flags
    """(A, T, D): it counts neither as right nor as wrong."""
    wanted: Indices
    """(A, N): objects of each image that count."""


def matched(
    images: Sequence[Compared],
    *,
    classes: int,
    thresholds: Floats = THRESHOLDS,
    sizes: Sequence[tuple[float, float]] = tuple(SIZES.values()),
    most: int = MOST,
) -> list[ClassMatches]:
    """Return for each of K `classes` what was found of it in the images, at thresholds (T,) float64 of overlap.

    In an image the best one first takes the object that it overlaps most, among those not yet taken.
    """
    ranges = np.array(sizes, np.float64)
    return [_of_class(images, index, thresholds, ranges, most) for index in range(classes)]


def _of_class(images: Sequence[Compared], index: int, thresholds: Floats, ranges: Floats, most: int) -> ClassMatches:
    A, T, N = len(ranges), len(thresholds), len(images)
    wanted = np.zeros((A, N), np.int64)
    scores, numbers, ranks = [np.empty(0)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    hits, ignored = [np.empty((A, T, 0), bool)], [np.empty((A, T, 0), bool)]
    for number, image in enumerate(images):
        (there,) = np.nonzero(image.classes == index)
        (own,) = np.nonzero(image.found_classes == index)
        own = own[np.argsort(-image.scores[own], kind="stable")[:most]]
        uncounted = image.crowd if image.ignored is None else image.crowd | image.ignored
        left_out = uncounted[there] | _outside(image.areas[there], ranges)
        wanted[:, number] = (~left_out).sum(axis=1)
        if not len(own):
            continue
        hit, free = _taken(image.overlaps[np.ix_(own, there)], left_out, image.crowd[there], thresholds)
        outside = _outside(image.found_areas[own], ranges)[:, None]
        scores.append(image.scores[own])
        numbers.append(np.full(len(own), number))
        ranks.append(np.arange(len(own)))
        hits.append(hit)
        ignored.append(free | (~hit & outside))
    return ClassMatches(
        scores=np.concatenate(scores),
        images=np.concatenate(numbers),
        ranks=np.concatenate(ranks),
        hits=np.concatenate(hits, axis=2),
        ignored=np.concatenate(ignored, axis=2),
        wanted=wanted,
    )


def _outside(areas: Floats, ranges: Floats) -> Flags:
    """Return which areas (G,) are not in which ranges (A, 2): (A, G)."""
    return (areas < ranges[:, :1]) | (areas > ranges[:, 1:])


def _taken(overlaps: Floats, left_out: Flags, crowd: Flags, thresholds: Floats) -> tuple[Flags, Flags]:
    """Return what (A, T, D) has an object, and what has one that does not count; the best come first.

    `overlaps` are (D, G), `left_out` (A, G) says what does not count. Of equal overlaps the last is taken.
    """
    A, T, (D, G) = len(left_out), len(thresholds), overlaps.shape
    hits, ignored = np.zeros((A, T, D), bool), np.zeros((A, T, D), bool)
    if not G:
        return hits, ignored
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    free, counts = np.ones((A, T, G), bool), ~left_out[:, None]
    for d in np.flatnonzero((overlaps >= least.min()).any(axis=1)):
        near = (overlaps[d] >= least) & (free | crowd)
        good = near & counts
        near = np.where(
            good.any(axis=2, keepdims=True), good, near
        )  # one that counts is taken before one that does not
        best = G - 1 - np.where(near, overlaps[d], -1.0)[..., ::-1].argmax(axis=2)
        hits[..., d] = near.any(axis=2)
        ignored[..., d] = hits[..., d] & np.take_along_axis(left_out, best, axis=1)
        a, t = np.nonzero(hits[..., d])
        free[a, t, best[a, t]] = False
    return hits, ignored

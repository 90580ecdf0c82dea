"""Boxes as arrays: how large they are, how much they overlap, and which of those that were found stay.

A box is (x0, y0, x1, y1) in pixels, half-open; arrays are (D, 4) float64 or what converts to it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SIDES = 4


def areas(boxes: ArrayLike) -> Floats:
    """Return width times height (D,) float64 of boxes (D, 4); 0 of those that are inverted."""
    boxes = np.asarray(boxes, np.float64)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    found: Floats = sides[:, 0] * sides[:, 1]
    return found


def intersections(boxes: ArrayLike, others: ArrayLike) -> Floats:
    """Return the area (D, G) float64 that each of the boxes (D, 4) shares with each of the others (G, 4)."""
    a, b = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    shared: Floats = sides[..., 0] * sides[..., 1]
    return shared


def overlaps(boxes: ArrayLike, others: ArrayLike, *, crowd: ArrayLike | None = None) -> Floats:
    """Return the intersection over union (D, G) float64, 0 to 1, of boxes (D, 4) and others (G, 4).

    Of others that are a `crowd` (G,) bool it is the share of the box that lies in them, as COCO has it. It is 0 where
    both boxes are empty.
    """
    shared = intersections(boxes, others)
    own, theirs = areas(boxes)[:, None], areas(others)[None]
    whole = own + theirs - shared
    if crowd is not None:
        whole = np.where(np.asarray(crowd, bool)[None], own, whole)
    return np.where(whole > 0, shared / np.where(whole > 0, whole, 1), 0.0)


def suppressed(boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike, *, overlap: float) -> NDArray[np.int64]:
    """Return which boxes stay, as indices (S,) int64, the best first: greedy suppression, each class by itself.

    Of boxes (D, 4) with scores (D,) and classes (D,), one falls whose intersection over union with a better one of its
    class that stays is above `overlap`. Of equal scores the first is the better one.
    """
    boxes, scores, classes = np.asarray(boxes, np.float64), np.asarray(scores), np.asarray(classes)
    order = np.argsort(-scores, kind="stable")
    stays = np.ones(len(order), bool)
    for index in np.unique(classes):
        (own,) = np.nonzero(classes[order] == index)
        stays[own] = _apart(boxes[order[own]], overlap)
    return order[stays]


def _apart(boxes: Floats, overlap: float) -> NDArray[np.bool_]:
    """Return which boxes (D, 4) of one class stay, the best first."""
    stays = np.ones(len(boxes), bool)
    for i in range(len(boxes) - 1):
        if stays[i]:
            stays[i + 1 :] &= overlaps(boxes[i : i + 1], boxes[i + 1 :])[0] <= overlap
    return stays


def clipped(boxes: ArrayLike, height: float, width: float) -> Floats:
    """Return the boxes (D, 4) float64 cut at the edges of an image of `height` and `width` pixels."""
    inside: Floats = np.clip(np.asarray(boxes, np.float64), 0, [width, height, width, height])
    return inside


def found(classes: ArrayLike, boxes: Floats, scores: ArrayLike) -> Floats:
    """Return rows (D, 6) float64 of class, x0, y0, x1, y1, score."""
    return np.column_stack([np.asarray(classes, np.float64), boxes, np.asarray(scores, np.float64)])


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)) of any shape, float64 from 0 to 1, without overflow."""
    small = np.exp(-np.abs(logits))
    found: Floats = np.where(logits >= 0, 1, small) / (1 + small)
    return found


def logit(probability: float) -> float:
    """Return what `sigmoid` makes a probability of: infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return float(np.log(probability) - np.log1p(-probability))

"""Shapes of boxes that a detector begins with: k-means over the true ones, by how much they overlap.

Redmon and Farhadi 2016, arXiv:1612.08242, section 2, "Dimension Clusters".
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_BOXES = 10_000
"""So many boxes, spread over all, are clustered."""
ROUNDS = 100


def dimension_clusters(sides: NDArray[np.floating], *, count: int) -> Floats | None:
    """Return the `count` mean widths and heights (count, 2) float64 of clusters of `sides` (B, 2), the smallest first.

    The distance is 1 less the overlap of boxes with one middle. The first means are quantiles of the boxes by area, so
    that nothing is drawn. None if there are fewer different shapes than clusters.
    """
    boxes: Floats = np.asarray(sides, np.float64)
    boxes = boxes[(boxes > 0).all(axis=1)]
    if len(np.unique(boxes, axis=0)) < count:
        return None
    boxes = boxes[np.argsort(boxes.prod(axis=1), kind="stable")]
    boxes = boxes[np.unique(np.linspace(0, len(boxes) - 1, min(MOST_BOXES, len(boxes))).astype(int))]
    means: Floats = boxes[((np.arange(count) + 0.5) / count * len(boxes)).astype(int)]
    owners = np.full(len(boxes), -1)
    for _ in range(ROUNDS):
        nearest = shape_overlaps(boxes, means).argmax(axis=1)
        if (nearest == owners).all():
            break
        owners = nearest
        means = np.stack([boxes[owners == i].mean(axis=0) if (owners == i).any() else means[i] for i in range(count)])
    ordered: Floats = means[np.argsort(means.prod(axis=1), kind="stable")]
    return ordered


def shape_overlaps(sides: Floats, others: Floats) -> Floats:
    """Return the intersection over union (B, C), 0 to 1, of boxes with sides (B, 2) and others (C, 2) on one middle."""
    shared = np.minimum(sides[:, None], others[None]).prod(axis=2)
    found: Floats = shared / (sides.prod(axis=1)[:, None] + others.prod(axis=1)[None] - shared)
    return found

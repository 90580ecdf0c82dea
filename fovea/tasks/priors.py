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
    that nothing is drawn. None where there are fewer different shapes than clusters.
    """
    sides = np.asarray(sides, np.float64)
    sides = sides[(sides > 0).all(axis=1)]
    if len(np.unique(sides, axis=0)) < count:
        return None
    sides = sides[np.argsort(sides.prod(axis=1), kind="stable")]
    sides = sides.astype(np.float64)[np.unique(np.linspace(0, len(sides) - 1, min(MOST_BOXES, len(sides))).astype(int))]
    means: Floats = sides[((np.arange(count) + 0.5) / count * len(sides)).astype(int)]
    owners = np.full(len(sides), -1)
    for _ in range(ROUNDS):
        nearest = shape_overlaps(sides, means).argmax(axis=1)
        if (nearest == owners).all():
            break
        owners = nearest
        means = np.stack([sides[owners == i].mean(axis=0) if (owners == i).any() else means[i] for i in range(count)])
    ordered: Floats = means[np.argsort(means.prod(axis=1), kind="stable")]
    return ordered


def shape_overlaps(sides: Floats, others: Floats) -> Floats:
    """Return the intersection over union (B, C), 0 to 1, of boxes with sides (B, 2) and others (C, 2) on one middle."""
    shared = np.minimum(sides[:, None], others[None]).prod(axis=2)
    found: Floats = shared / (sides.prod(axis=1)[:, None] + others.prod(axis=1)[None] - shared)
    return found

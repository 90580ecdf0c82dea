"""Pairs of images that a network sees as the same: copies that are turned, recoloured or painted over among them.

How near that is differs from place to place: a class that a network knows well lies close together. So the distance of
a pair is compared with how far the neighbours of both are as a rule (the ratio test of Lowe 2004, "Distinctive image
features from scale-invariant keypoints", section 7.1).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.retrieval.index import Index
from fovea.retrieval.neighbours import Progress, nearest

NEIGHBOUR = 20
"""Whose distance tells how far neighbours are as a rule."""
RATIO = 0.5
"""A pair is a copy where its distance is less than this share of that of both."""
QUERIES = 1024
"""At a time."""


class Pair(NamedTuple):
    """Two rows of an index."""

    first: int
    second: int
    ratio: float
    """Their distance as a share of that of the 20th neighbour, of whichever is nearer to its own; 0 for the same."""


def alike(index: Index, *, ratio: float = RATIO, progress: Progress | None = None) -> list[Pair]:
    """Return the pairs of images of an index whose directions are close for where they lie, the most similar first.

    Each image is compared with its 20 nearest; of a few images, with a third of them.
    """
    N = len(index)
    k = min(NEIGHBOUR, max(1, N // 3)) + 1  # each is its own nearest
    if N < 2:
        return []
    rows, distances = np.empty((N, k), np.int64), np.empty((N, k), np.float32)
    for first in range(0, N, QUERIES):
        queries = np.asarray(index.embeddings[first : first + QUERIES], np.float32)
        found = nearest(queries, index.embeddings, k, metric="cosine", squares=index.squares)
        rows[first : first + len(queries)] = found.indices
        # as long as the chord between directions: a length, as the ratio test has it
        distances[first : first + len(queries)] = np.sqrt(2 * found.distances)
        if progress is not None:
            progress(first + len(queries), N)
    return _pairs(rows, distances, ratio)


def _pairs(rows: NDArray[np.int64], distances: NDArray[np.float32], ratio: float) -> list[Pair]:
    usual = distances[:, -1]
    shares = _share(distances, np.minimum(usual[:, None], usual[rows]))
    first, column = np.nonzero((shares < ratio) & (rows != np.arange(len(rows))[:, None]))
    found = dict[tuple[int, int], float]()
    for a, c in zip(first.tolist(), column.tolist(), strict=True):
        b = int(rows[a, c])
        found.setdefault((min(a, b), max(a, b)), float(shares[a, c]))
    return sorted((Pair(a, b, share) for (a, b), share in found.items()), key=lambda pair: (pair.ratio, pair[:2]))


def _share(distances: NDArray[np.float32], usual: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return distances as shares; where neighbours coincide as a rule nothing tells a pair, and its share is 1."""
    whole = np.ones(distances.shape)
    return np.divide(distances, usual, out=whole, where=usual > 0)

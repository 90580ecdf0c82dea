"""Pairs of images that may be copies, found without comparing every pair: descriptors are looked for in near cells."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Images
from fovea.data.duplicates.likeness import CHUNK, WHOLE, Box, Floats, Likeness

CROP = 0.85
"""Side of the crops that are searched for, in each of nine places; aligning them finds the exact box."""
VIEWS = (WHOLE, *(Box(y * (1 - CROP), x * (1 - CROP), CROP, CROP) for y, x in product((0, 0.5, 1), repeat=2)))
PROBES = 6
"""How many cells each image is searched for in."""
SAMPLE = 1000
MIN_SIMILARITY = 0.6
CANDIDATES_PER_IMAGE = 3
"""The similarity that counts is, where images are very similar, the one that about so many others reach."""
MIN_CANDIDATES = 50_000
"""Few images may have that many candidates among them, all copies of each other perhaps."""

CANDIDATE = np.dtype(
    [("inner", np.int32), ("outer", np.int32), ("view", np.int8), ("mirrored", np.bool_), ("similarity", np.float32)]
)
"""A pair to be looked at closely: `inner` may be a copy of the box VIEWS[view] of `outer`, or of its mirror image."""

Candidates = NDArray[Any]
Hits = tuple[NDArray[np.int64], NDArray[np.int64], Floats]


def find_candidates(
    thumbnails: Images,
    likeness: Likeness,
    *,
    generator: np.random.Generator,
    advance: Callable[[int], None],
) -> Candidates:
    """Return the pairs (CANDIDATE) among uint8 (N, S, S, C) that may be copies, each once, 3 N or 50,000 at most.

    Every image, its mirror image, and nine crops of both are compared with the images in the cells they fall into.
    `advance` is called with the number of VIEWS that are done.
    """
    N, whole = len(thumbnails), likeness.coefficients(thumbnails)
    cells = _Cells(likeness.whiten(whole), generator)
    found = np.zeros(0, CANDIDATE)
    for view, box in enumerate(VIEWS):
        coefficients = likeness.coefficients(thumbnails, box=box) if view else whole
        for mirrored in (False, True):
            queries = likeness.whiten(likeness.mirrored(coefficients) if mirrored else coefficients)
            rows = [_rows(hits, view, mirrored) for hits in cells.hits(queries)]
            found = np.concatenate([found, *rows])
            # after each search, so that all of them together need no more room than the limit and one search
            found = found[each_pair_once(found, N)[: _limit(N)]]
        advance(view + 1)
    return found


class _Cells:
    """Descriptors in cells around random ones of them: a search looks into few cells, N^1.5 products instead of N^2."""

    def __init__(self, descriptors: Floats, generator: np.random.Generator) -> None:
        N = len(descriptors)
        # about N^0.5 cells with about N^0.5 images each
        count = max(1, round(N**0.5) // 2)
        self.descriptors = descriptors
        self.pivots = descriptors[generator.choice(N, count, replace=False)]
        home = self._nearest(descriptors, 1)[:, 0]
        order = np.argsort(home, kind="stable")
        self.members = np.split(order, np.searchsorted(home[order], np.arange(1, count)))
        sample, others = (descriptors[generator.choice(N, min(N, n), replace=False)] for n in (SAMPLE, 20 * SAMPLE))
        share = min(1.0, (_limit(N) / N + 1) / N)  # one more, as each meets itself
        self.threshold = max(MIN_SIMILARITY, float(np.quantile(sample @ others.T, 1 - share)))

    def hits(self, queries: Floats) -> Iterator[Hits]:
        """Yield (own, query, similarity) of those above the threshold, cell by cell."""
        cells = self._nearest(queries, min(PROBES, len(self.pivots)))
        # the queries of each cell side by side: a flat index // columns is the row of `cells`, so the query
        asked = np.argsort(cells, axis=None, kind="stable")
        starts = np.searchsorted(cells.ravel()[asked], np.arange(1, len(self.pivots)))
        for members, asking in zip(self.members, np.split(asked // cells.shape[1], starts), strict=True):
            own = self.descriptors[members]
            for first in range(0, len(asking), CHUNK):
                query = asking[first : first + CHUNK]
                products = queries[query] @ own.T
                rows, columns = np.divmod(np.flatnonzero(products > self.threshold), len(own))  # np.nonzero is slow
                yield members[columns], query[rows], products[rows, columns]

    def _nearest(self, descriptors: Floats, count: int) -> NDArray[np.int64]:
        """Return the indices of the nearest `count` pivots, in no order."""
        chunks = (descriptors[first : first + CHUNK] @ self.pivots.T for first in range(0, len(descriptors), CHUNK))
        return np.concatenate([np.argpartition(-products, count - 1, axis=1)[:, :count] for products in chunks])


def _limit(images: int) -> int:
    return max(CANDIDATES_PER_IMAGE * images, MIN_CANDIDATES)


def _rows(hits: Hits, view: int, mirrored: bool) -> Candidates:
    inner, outer, similarity = hits
    # no image with itself; two whole images can find each other, of which one row is enough
    other = inner != outer if view or mirrored else inner < outer
    rows = np.empty(int(other.sum()), CANDIDATE)
    rows["inner"], rows["outer"], rows["similarity"] = inner[other], outer[other], similarity[other]
    rows["view"], rows["mirrored"] = view, mirrored
    return rows


def each_pair_once(found: Candidates, images: int) -> NDArray[np.int64]:
    """Return the indices of the most similar row of each pair, in whichever direction, the most similar pairs first.

    `found` is (rows,) of CANDIDATE; the indices are int64 (pairs,).
    """
    order = np.argsort(-found["similarity"], kind="stable")
    # int64, as the product of two int32 overflows
    low, high = (end(found["inner"], found["outer"]).astype(np.int64)[order] for end in (np.minimum, np.maximum))
    # the first of equal keys, which `order` has made the most similar
    _, first = np.unique(low * images + high, return_index=True)
    return order[np.sort(first)]

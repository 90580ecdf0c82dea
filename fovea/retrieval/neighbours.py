"""The exact nearest neighbours, by products of blocks: of arrays that may be mapped from a file larger than memory.

Squared distances are |q|^2 - 2 q e + |e|^2, whose products run at the rate of the matrix library. Their rounding only
chooses candidates, with room for its bound (Higham 2002, "Accuracy and stability of numerical algorithms", section 3.1,
n u |q| |e|); the distances of these are then computed as they are written, in float64.

Queries are (Q, D), embeddings (N, D), both float.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError

Metric = Literal["l2", "cosine"]
METRICS: tuple[str, ...] = get_args(Metric)
QUERIES = 1024
"""At a time: enough for the rate of matrix products, whatever is read from the disk again for the next ones."""
SCORES = 1 << 20
"""Products that are held at a time."""
ROWS = range(1024, 65_537)
"""Embeddings at a time, from the fewest to the most; of half precision not more than `WIDENED`, which stay near."""
WIDENED = 2048
PAIRS = 1 << 22
"""Values of candidates that are held at a time for their exact distances."""
CROWD = 8
"""Times `k`: where more are as near, the block is cut to its own nearest first."""
UNIT = 2.0**-24
"""Of rounding to float32."""

Floats = NDArray[np.floating[Any]]
Progress = Callable[[int, int], None]


class Neighbours(NamedTuple):
    """The nearest rows for each of Q queries, nearest first; of equally near ones the first row comes first."""

    indices: NDArray[np.int64]
    """(Q, k) rows of the embeddings."""
    distances: NDArray[np.float32]
    """(Q, k)."""


def nearest(
    queries: Floats,
    embeddings: Floats,
    k: int,
    *,
    metric: str = "l2",
    squares: NDArray[np.float32] | None = None,
    progress: Progress | None = None,
) -> Neighbours:
    """Return which `k` of the `embeddings` (N, D) float lie nearest to each of the `queries` (Q, D) float.

    `l2` is the Euclidean distance; `cosine` is 1 less the cosine of the angle, 1 where a vector is zero. Embeddings may
    be memory-mapped, of float16 or float32: they are read block by block, once for every 1024 queries. `squares` (N,)
    are their squared norms, computed where they are not given. Fewer than `k` columns come back where N is less.

    Raises:
        UsageError: an unknown `metric`, a `k` below 1, arrays that do not fit, or values that are not finite.
    """
    _check(queries, embeddings, k, metric)
    asked = np.ascontiguousarray(queries, np.float32)
    if not np.isfinite(asked).all():
        raise UsageError("A query holds values that are not finite, which are near nothing; embed it again.")
    k = min(k, len(embeddings))
    found = [
        _Search(asked[first : first + QUERIES], k, metric).over(embeddings, squares, _told(progress, first, len(asked)))
        for first in range(0, len(asked), QUERIES)
    ]
    if not found:
        return Neighbours(np.empty((0, k), np.int64), np.empty((0, k), np.float32))
    return Neighbours(*(np.concatenate(column) for column in zip(*found, strict=True)))


def squared_norms(embeddings: Floats) -> NDArray[np.float32]:
    """Return the squared norms (N,) float32 of embeddings (N, D) float, as `nearest` takes them."""
    parts = [_squares(np.asarray(block)) for _, block in _blocks(embeddings, WIDENED)]
    return np.concatenate([np.empty(0, np.float32), *parts])


def exact_distances(queries: Floats, rows: Floats, metric: str) -> NDArray[np.float64]:
    """Return the distance (n,) float64 of each of the `queries` (n, D) from the row (n, D) beside it, both float."""
    a, b = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        difference = a - b
        return np.sqrt(np.einsum("nd,nd->n", difference, difference))
    norms = np.sqrt(np.einsum("nd,nd->n", a, a) * np.einsum("nd,nd->n", b, b))
    cosine = np.divide(np.einsum("nd,nd->n", a, b), norms, out=np.zeros(len(a)), where=norms > 0)
    return np.maximum(1 - cosine, 0)


def check_metric(metric: str) -> None:
    """Raise UsageError for a distance that is not known."""
    if metric not in METRICS:
        raise UsageError(f"`metric` (={metric}) must be {' or '.join(f'`{name}`' for name in METRICS)}.")


@dataclass
class _Best:
    """The nearest rows so far, and their distances: (Q, k), sorted."""

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]

    def take(self, which: NDArray[np.int64], distances: NDArray[np.float64], indices: NDArray[np.int64]) -> None:
        """Let further rows, each for the query that `which` names, stand among the best."""
        touched, place = np.unique(which, return_inverse=True)
        k = self.indices.shape[1]
        owner = np.concatenate([np.repeat(np.arange(len(touched)), k), place])
        everyone = np.concatenate([self.distances[touched].ravel(), distances])
        rows = np.concatenate([self.indices[touched].ravel(), indices])
        order = np.lexsort((rows, everyone, owner))
        starts = np.searchsorted(owner[order], np.arange(len(touched)))
        kept = order[starts[:, None] + np.arange(k)]
        self.distances[touched], self.indices[touched] = everyone[kept], rows[kept]


class _Search:
    """The search for some queries (Q, D) float32 over all embeddings."""

    def __init__(self, queries: NDArray[np.float32], k: int, metric: str) -> None:
        self.queries, self.k, self.metric = queries, k, metric
        self.squares = np.einsum("qd,qd->q", queries, queries, dtype=np.float64)
        # what is multiplied: scores are low where rows are near
        if metric == "cosine":
            norms = np.sqrt(np.where(self.squares > 0, self.squares, 1))
            self.factors = (-queries / norms[:, None]).astype(np.float32)
        else:
            self.factors = -queries
        Q = len(queries)
        self.best = _Best(np.full((Q, k), np.inf), np.full((Q, k), np.iinfo(np.int64).max))

    def over(self, embeddings: Floats, squares: NDArray[np.float32] | None, progress: Progress | None) -> Neighbours:
        """Return the nearest of all embeddings."""
        N = len(embeddings)
        most = WIDENED if embeddings.dtype == np.float16 else ROWS[-1]
        rows = min(most, max(ROWS[0], SCORES // len(self.queries)))
        with np.errstate(over="ignore", invalid="ignore"):
            for first, block in _blocks(embeddings, rows):
                wide = np.asarray(block, np.float32)
                known = _squares(wide) if squares is None else squares[first : first + len(wide)]
                self._take(wide, np.asarray(known), first)
                if progress is not None:
                    progress(first + len(wide), N)
        if N and self.best.indices.max(initial=0) >= N:
            raise UsageError("The embeddings hold values that are not finite, which are near nothing; embed again.")
        return Neighbours(self.best.indices, self.best.distances.astype(np.float32))

    def _take(self, block: NDArray[np.float32], squares: NDArray[np.float32], first: int) -> None:
        """Let the rows of a block stand among the best."""
        scores, room = self._scores(block, squares)
        limits = self._limits() + room
        near = scores <= limits[:, None]
        crowded = np.flatnonzero(np.count_nonzero(near, axis=1) > CROWD * self.k)
        if len(crowded):
            own = np.partition(scores[crowded], self.k - 1, axis=1)[:, self.k - 1] if self.k < len(block) else np.inf
            limits[crowded] = np.minimum(limits[crowded], own + 2 * room[crowded])
            near[crowded] = scores[crowded] <= limits[crowded, None]
        which, rows = np.nonzero(near)
        step = max(1, PAIRS // block.shape[1])
        for start in range(0, len(rows), step):
            here, there = which[start : start + step], rows[start : start + step]
            self.best.take(here, exact_distances(self.queries[here], block[there], self.metric), there + first)

    def _scores(
        self, block: NDArray[np.float32], squares: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return what grows with the distance (Q, rows), and how far its rounding may be off (Q,)."""
        scores = (block @ self.factors[0])[None] if len(self.factors) == 1 else self.factors @ block.T
        bound = 2 * (block.shape[1] + 2) * UNIT
        if self.metric == "cosine":
            norms = np.sqrt(squares)
            scores *= np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
            return scores, np.full(len(scores), bound)
        scores += squares / 2
        largest = np.sqrt(float(squares.max(initial=0)))
        return scores, bound * (np.sqrt(self.squares) * largest + largest**2)

    def _limits(self) -> NDArray[np.float64]:
        """Return the score (Q,) of the last of the best."""
        last = self.best.distances[:, -1]
        return last - 1 if self.metric == "cosine" else (last**2 - self.squares) / 2


def _squares(block: Floats) -> NDArray[np.float32]:
    return np.einsum("nd,nd->n", block, block, dtype=np.float64).astype(np.float32)


def _blocks(embeddings: Floats, rows: int) -> Iterator[tuple[int, Floats]]:
    for first in range(0, len(embeddings), rows):
        yield first, embeddings[first : first + rows]


def _told(progress: Progress | None, first: int, total: int) -> Progress | None:
    """Return what tells of the rows read for some queries as of a share of all queries."""
    if progress is None:
        return None
    passes = -(-total // QUERIES)
    return lambda done, rows: progress(first // QUERIES * rows + done, passes * rows)


def _check(queries: Floats, embeddings: Floats, k: int, metric: str) -> None:
    check_metric(metric)
    if k < 1:
        raise UsageError(f"`k` (={k}) must be at least 1.")
    if queries.ndim != 2 or embeddings.ndim != 2 or queries.shape[1] != embeddings.shape[1]:
        raise UsageError(
            f"Queries {queries.shape} and embeddings {embeddings.shape} must be (Q, D) and (N, D) of one D."
        )

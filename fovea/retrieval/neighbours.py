"""The exact nearest neighbours, by products of blocks: of arrays that may be mapped from a file larger than memory.

Squared distances are |q|^2 - 2 q e + |e|^2, whose products run at the rate of the matrix library. Their rounding only
chooses candidates, with room for its bound (Higham 2002, "Accuracy and stability of numerical algorithms", section 3.1,
n u |q| |e|); the distances of these are then computed as they are written, in float64.

Queries are (Q, D), embeddings (N, D), both float.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from fovea.errors import UsageError

Metric = Literal["l2", "cosine"]
METRICS: tuple[str, ...] = get_args(Metric)
QUERIES = 1024
"""At a time: enough for the rate of matrix products, whatever is read from the disk again for the next ones."""
SCORES = 1 << 19
"""Products that are held at a time, near the processor."""
ROWS = range(1024, 65_537)
"""Embeddings at a time, from the fewest to the most."""
MULTIPLE = 128
"""Of which they are one: what is left over costs the matrix library more."""
WIDENED = 1024
"""The same of float16: as float32 they stay near the processor."""
PAIRS = 1 << 16
"""Values of candidates that are held at a time, near the processor, for their exact distances."""
GROUPS = 128
"""Of the first embeddings at least: the k-th nearest of the nearest of each leaves few of them to be looked at."""
CROWD = 4
"""Times `k`, in the mean of the queries: with more candidates, those that have no place any more are left out."""
MOST = 1 << 20
"""Candidates that are held: of more, as of embeddings that are all the same, only the nearest are kept."""
UNIT = 2.0**-24
"""Of rounding to float32."""
_ZERO = torch.zeros(1)

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
        raise UsageError("A query has values that are not finite; embed it again.")
    k = min(k, len(embeddings))
    found = [
        _Search(asked[first : first + QUERIES], k, metric).over(embeddings, squares, _told(progress, first, len(asked)))
        for first in range(0, len(asked), QUERIES)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        return Neighbours(np.empty((0, k), np.int64), np.empty((0, k), np.float32))
    return Neighbours(*(np.concatenate(column) for column in zip(*found, strict=True)))


def squared_norms(embeddings: Floats) -> NDArray[np.float32]:
    """Return the squared norms (N,) float32 of embeddings (N, D) float, as `nearest` takes them."""
    parts = [_squares(block) for _, block in _blocks(embeddings, WIDENED)]
    return np.concatenate([np.empty(0, np.float32), *parts])


def exact_distances(queries: Floats, rows: Floats, metric: str) -> NDArray[np.float64]:
    """Return the distance (n,) float64 of each of the `queries` (n, D) from the row (n, D) beside it, both float."""
    a, b = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        difference = a - b
        lengths: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", difference, difference))
        return lengths
    norms = np.sqrt(np.einsum("nd,nd->n", a, a) * np.einsum("nd,nd->n", b, b))
    cosine = np.divide(np.einsum("nd,nd->n", a, b), norms, out=np.zeros(len(a)), where=norms > 0)
    distances: NDArray[np.float64] = np.maximum(1 - cosine, 0)
    return distances


def check_metric(metric: str) -> None:
    """Raise UsageError for a distance that is not known."""
    if metric not in METRICS:
        raise UsageError(f"`metric` (={metric}) must be {' or '.join(f'`{name}`' for name in METRICS)}.")


class _Candidates(NamedTuple):
    """Rows that may be among the nearest: for which query each is, and its score, (n,)."""

    which: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    def and_those(self, other: "_Candidates") -> "_Candidates":
        """Return these and others."""
        return _Candidates(
            np.concatenate([self.which, other.which]),
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.scores, other.scores]),
        )

    def of(self, chosen: NDArray[Any]) -> "_Candidates":
        """Return some of them, by index or by mask."""
        return _Candidates(*(column[chosen] for column in self))


class _Search:
    """The search for some queries (Q, D) float32 over all embeddings.

    A score grows with the distance, and is computed with an error of at most `room` (Q,). Whatever is not above the
    k-th lowest score by more than twice that may be among the nearest.
    """

    def __init__(self, queries: NDArray[np.float32], k: int, metric: str) -> None:
        self.queries, self.k, self.metric = queries, k, metric
        self.squares = np.einsum("qd,qd->q", queries, queries, dtype=np.float64)
        norms = np.sqrt(np.where(self.squares > 0, self.squares, 1))[:, None] if metric == "cosine" else 0.5
        self.factors = (queries / -norms).astype(np.float32)
        Q = len(queries)
        self.lowest = np.full(Q, np.inf)
        """(Q,): the k-th score so far."""
        self.room = np.zeros(Q)
        none = np.empty(0, np.int64)
        self.found = _Candidates(none, none, np.empty(0, np.float32))

    def over(self, embeddings: Floats, squares: NDArray[np.float32] | None, progress: Progress | None) -> Neighbours:
        """Return the nearest of all embeddings."""
        N, Q = len(embeddings), len(self.queries)
        most = WIDENED if embeddings.dtype == np.float16 else ROWS[-1]
        rows = min(most, max(ROWS[0], SCORES // Q // MULTIPLE * MULTIPLE))
        self._products, self._near = _MEMORY.of(rows * Q)
        known = None if squares is None else np.ascontiguousarray(squares, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            if known is not None:
                self._make_room(known, embeddings.shape[1])
            for first, block in _blocks(embeddings, rows):
                own = _squares(block) if known is None else known[first : first + len(block)]
                if known is None:
                    self._make_room(own, embeddings.shape[1])
                self._take(self._scores(block, own), first)
                if len(self.found.which) > MOST:
                    self._settle(embeddings)
                if progress is not None:
                    progress(first + len(block), N)
            return self._nearest(embeddings)

    def _make_room(self, squares: NDArray[np.float32], D: int) -> None:
        """Let there be room for the rounding of the scores of embeddings of these squared norms (n,)."""
        bound = 2 * (D + 2) * UNIT
        if self.metric == "cosine":
            self.room = np.full(len(self.queries), bound)
            return
        largest = float(squares.max(initial=0))
        self.room = np.maximum(self.room, 2 * bound * (np.sqrt(self.squares * largest) + largest))

    def _scores(self, block: NDArray[np.float32], squares: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores (Q, rows) of a block, in memory that is used again.

        Of several queries by PyTorch, whose library multiplies matrices in two thirds of the time of NumPy's.
        """
        Q, rows = len(self.queries), len(block)
        scores = self._products[: Q * rows].reshape(Q, rows)
        cosine = self.metric == "cosine"
        if Q == 1:  # at the rate of the memory, and NumPy is the sooner to begin
            np.matmul(block, self.factors[0], out=scores[0])
            if not cosine:
                scores += squares
        else:
            added, factors, out = _ZERO if cosine else _tensor(squares), _tensor(self.factors), _tensor(scores)
            torch.addmm(added, factors, _tensor(block).T, beta=float(not cosine), out=out)
        if self.metric == "cosine":
            norms = np.sqrt(squares)
            scores *= np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        return scores

    def _take(self, scores: NDArray[np.float32], first: int) -> None:
        """Let what is near in a block stand among the candidates."""
        if not first and self.k < scores.shape[1]:
            self.lowest = _at_most(scores, self.k)
        limits = np.nextafter(self._limits().astype(np.float32), np.float32(np.inf))
        below = self._near[: scores.size]
        np.less_equal(scores, limits[:, None], out=below.reshape(scores.shape))
        near = np.flatnonzero(below)
        if not len(near):
            return
        which, rows = np.divmod(near, scores.shape[1])
        self.found = self.found.and_those(_Candidates(which, rows + first, scores.ravel()[near]))
        if len(self.found.which) > CROWD * len(scores) * self.k:
            self._prune()

    def _limits(self) -> NDArray[np.float64]:
        return self.lowest + 2 * self.room

    def _prune(self) -> None:
        """Leave out candidates that the others leave no place."""
        found = self.found.of(np.lexsort((self.found.scores, self.found.which)))
        starts = np.searchsorted(found.which, np.arange(len(self.queries) + 1))
        enough = np.flatnonzero(np.diff(starts) >= self.k)
        self.lowest[enough] = found.scores[starts[enough] + self.k - 1]
        self.found = found.of(found.scores <= self._limits()[found.which])

    def _settle(self, embeddings: Floats) -> None:
        """Leave only the nearest among the candidates, where there are many as near."""
        self._prune()
        if len(self.found.which) > MOST // 2:
            order, _ = self._exactly(embeddings)
            self.found = self.found.of(order[order >= 0])

    def _exactly(self, embeddings: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return which candidates are the k nearest (Q, k), -1 where there are too few, and their distances."""
        which, rows, _ = self.found
        distances = np.empty(len(which))
        step = max(1, PAIRS // embeddings.shape[1])
        for start in range(0, len(which), step):
            some = slice(start, start + step)
            distances[some] = exact_distances(
                self.queries[which[some]], np.asarray(embeddings[rows[some]], np.float32), self.metric
            )
        order = np.lexsort((rows, distances, which))
        starts = np.searchsorted(which[order], np.arange(len(self.queries) + 1))
        place = starts[:-1, None] + np.arange(self.k)
        there = place < starts[1:, None]
        chosen = np.where(there, order[np.where(there, place, 0)] if len(order) else -1, -1)
        return chosen, np.where(there, distances[chosen] if len(order) else np.inf, np.inf)

    def _nearest(self, embeddings: Floats) -> Neighbours:
        if self.k and len(self.found.which) > 2 * len(self.queries) * self.k:
            self._prune()
        chosen, distances = self._exactly(embeddings)
        if (chosen < 0).any() or not np.isfinite(distances).all():
            raise UsageError("The embeddings have values that are not finite; embed the images again.")
        return Neighbours(self.found.rows[chosen], distances.astype(np.float32))


def _at_most(scores: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """Return a bound (Q,) above the k-th lowest of the scores (Q, n), and near to it: from groups of them."""
    Q, n = scores.shape
    groups = max(GROUPS, 8 * k)
    if n >= groups:
        scores = scores[:, : n // groups * groups].reshape(Q, -1, groups).min(axis=1)
    bound: NDArray[np.float64] = np.partition(scores, k - 1, axis=1)[:, k - 1].astype(np.float64)
    return bound


class _Memory(threading.local):
    """What a thread holds for its searches: memory that is new costs a fault for each of its pages."""

    products = np.empty(0, np.float32)
    near = np.empty(0, np.bool_)

    def of(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return room for so many products, and for which of them are near; of a few MB at most."""
        if len(self.products) < count:
            self.products, self.near = np.empty(count, np.float32), np.empty(count, np.bool_)
        return self.products[:count], self.near[:count]


_MEMORY = _Memory()


def _squares(block: NDArray[np.float32]) -> NDArray[np.float32]:
    squares: NDArray[np.float32] = np.einsum("nd,nd->n", block, block, dtype=np.float64).astype(np.float32)
    return squares


def _tensor(array: Floats) -> torch.Tensor:
    """Return an array as a tensor, in the same memory where that can be."""
    _let_warn()
    return torch.from_numpy(np.require(array, requirements=("C_CONTIGUOUS", "ALIGNED")))


@cache
def _let_warn() -> None:
    """Let PyTorch warn of an array that cannot be written, here where nobody writes; it does so once in a process."""
    fixed = np.zeros(1)
    fixed.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.from_numpy(fixed)


def _blocks(embeddings: Floats, rows: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield embeddings (n, D) as float32, and the row that each block begins with.

    They lie where they are; others than float32 in memory that is used again for every block.
    """
    if embeddings.dtype == np.float32 and embeddings.flags.c_contiguous and embeddings.flags.aligned:
        for first in range(0, len(embeddings), rows):
            yield first, embeddings[first : first + rows]
        return
    buffer = torch.empty(min(rows, len(embeddings)), embeddings.shape[1])
    for first in range(0, len(embeddings), rows):
        block = embeddings[first : first + rows]
        given = block if block.dtype == np.float16 else block.astype(np.float32)
        yield first, buffer[: len(block)].copy_(_tensor(given)).numpy()


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
            f"Queries {queries.shape} and embeddings {embeddings.shape} must be (Q, D) and (N, D) with the same D."
        )

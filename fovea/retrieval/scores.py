"""How good embeddings are for search: recall at k, mean average precision, and what the neighbours vote for.

Embeddings are (N, D) float32, labels (N,) int64 class indices.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.errors import UsageError
from fovea.metrics import error_interval, wilson_interval
from fovea.retrieval.neighbours import check_metric

Embeddings = NDArray[np.float32]
Labels = NDArray[np.int64]

RANKS = (1, 5, 10)
"""The k of recall at k."""
VOTERS = 10
"""Neighbours that vote on a class."""
BLOCK = 1 << 24
"""Distances in memory at a time."""


class Measured(NamedTuple):
    """A share, and where the true one lies with 95 % confidence."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class RetrievalScores:
    """What a search finds when each query asks for images of its own class."""

    metric: str
    """`l2` or `cosine`."""
    queries: int
    """Queries whose class is among the images searched; all figures are over these."""
    alone: int
    """Queries left out, since no image searched has their class."""
    searched: int
    leave_one_out: bool
    """Whether each image asked for the others of one set."""
    recall: Mapping[int, Measured]
    """By k: the share of queries with an image of their class among the k nearest (Jegou et al. 2011)."""
    mean_average_precision: Measured
    """Mean over queries of the mean, over all images of the class, of the precision down to that image."""
    vote: Measured
    """Accuracy of the class that most of the `voters` nearest have; of equal ones that of the nearer."""
    voters: int
    class_mean: Measured
    """Accuracy of the class whose mean embedding is nearest."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        recall = {str(k): found._asdict() for k, found in self.recall.items()}
        measured = {name: getattr(self, name)._asdict() for name in ("mean_average_precision", "vote", "class_mean")}
        return {**asdict(self), "recall": recall, **measured}


class _Found(NamedTuple):
    """What is known of some queries, each (Q,)."""

    first: NDArray[np.int64]
    """How many images stand before the first of the query's class."""
    precision: NDArray[np.float64]
    voted: Labels


def retrieval_scores(
    queries: tuple[Embeddings, Labels],
    gallery: tuple[Embeddings, Labels] | None = None,
    *,
    metric: str = "l2",
    voters: int = VOTERS,
    progress: Callable[[int, int], None] | None = None,
) -> RetrievalScores:
    """Return the scores of `queries`, embeddings (Q, D) float32 with labels (Q,) int64, searched in `gallery` (N, D).

    Without `gallery` each query is searched among the others. Of equal distances none is before the other: precision
    counts all of them. Memory is bounded; the time is that of Q sorts of N numbers.

    Raises:
        UsageError: an unknown `metric`, or no query whose class is searched.
    """
    check_metric(metric)
    (x, labels), alone = queries, gallery is None
    known, of_known = queries if gallery is None else gallery
    order = np.argsort(of_known, kind="stable")  # each class lies together
    space = _Space.of(known[order], of_known[order], metric)
    support = space.support(labels) - alone
    asked = np.flatnonzero(support > 0)
    if not len(asked):
        raise UsageError("No query has another image of its class; a class must have at least two images.")
    own = np.argsort(order) if alone else None
    found = list(_searched(space, (x, labels, own), asked, voters=voters, progress=progress))
    first, precision, voted = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return RetrievalScores(
        metric=metric,
        queries=len(asked),
        alone=len(labels) - len(asked),
        searched=len(of_known) - alone,
        leave_one_out=alone,
        recall={k: _share(first < k) for k in RANKS},
        mean_average_precision=_mean(precision),
        vote=_share(voted == labels[asked]),
        voters=voters,
        class_mean=_share(_nearest_mean(space, x[asked], labels[asked], alone=alone) == labels[asked]),
    )


class _Space(NamedTuple):
    """Embeddings that are searched, sorted by class."""

    points: Embeddings
    squares: NDArray[np.float32]
    """(N,)"""
    labels: Labels
    metric: str

    @classmethod
    def of(cls, points: Embeddings, labels: Labels, metric: str) -> "_Space":
        points = np.asarray(points, np.float32)
        points = unit(points) if metric == "cosine" else points
        return cls(points, np.square(points).sum(1), labels, metric)

    def distances(self, queries: Embeddings) -> NDArray[np.float32]:
        """Return what orders images as their distances do, (Q, N)."""
        queries = np.asarray(queries, np.float32)
        if self.metric == "cosine":
            return -(unit(queries) @ self.points.T)
        return self.squares - 2 * (queries @ self.points.T)

    def bounds(self, labels: Labels) -> NDArray[np.int64]:
        """Return where the images of each label begin and end, (Q, 2)."""
        return np.stack([np.searchsorted(self.labels, labels, side) for side in ("left", "right")], 1)

    def support(self, labels: Labels) -> NDArray[np.int64]:
        """Return how many images each label has, (Q,)."""
        return np.diff(self.bounds(labels), axis=1)[:, 0]


def unit(points: Embeddings) -> Embeddings:
    """Return embeddings (N, D) float32 at length 1; zeros stay zeros."""
    length = np.linalg.norm(points, axis=1, keepdims=True)
    scaled: Embeddings = (points / np.where(length > 0, length, 1)).astype(np.float32)
    return scaled


def _searched(
    space: _Space,
    queries: tuple[Embeddings, Labels, NDArray[np.int64] | None],
    asked: NDArray[np.int64],
    *,
    voters: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[_Found]:
    """Yield what is found for the queries `asked`, a block at a time; `own` is where each stands in the space."""
    x, labels, own = queries
    rows = max(1, BLOCK // len(space.labels))
    for start in range(0, len(asked), rows):
        block = asked[start : start + rows]
        distances = space.distances(x[block])
        if own is not None:
            distances[np.arange(len(block)), own[block]] = np.inf
        ranked = [
            _ranked(row, first, last) for row, (first, last) in zip(distances, space.bounds(labels[block]), strict=True)
        ]
        first, precision = zip(*ranked, strict=True)
        yield _Found(np.array(first), np.array(precision), _votes(space, distances, voters))
        if progress is not None:
            progress(start + len(block), len(asked))


def _ranked(distances: NDArray[np.float32], first: int, last: int) -> tuple[int, float]:
    """Return how many images stand before those of a class, which are from `first` to `last`, and its precision."""
    everyone, own = np.sort(distances), np.sort(distances[first:last])
    own = own[np.isfinite(own)]  # the query itself is at infinity
    places = np.searchsorted(everyone, own, side="right")
    hits = np.searchsorted(own, own, side="right")
    return int(np.searchsorted(everyone, own[0], side="left")), float((hits / places).mean())


def _votes(space: _Space, distances: NDArray[np.float32], voters: int) -> Labels:
    """Return the class (Q,) of most of the nearest images; of equal ones that of the nearer."""
    Q, N = distances.shape
    count = min(voters, int(np.isfinite(distances[0]).sum()))
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count] if count < N else np.tile(np.arange(N), (Q, 1))
    nearest = np.take_along_axis(
        nearest, np.argsort(np.take_along_axis(distances, nearest, 1), axis=1, kind="stable"), 1
    )
    return vote(space.labels[nearest])


def vote(labels: Labels) -> Labels:
    """Return the most frequent label (Q,) int64 of each row (Q, k), nearest first; of as frequent ones the nearer."""
    Q, k = labels.shape
    _, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape)
    # each counts a little more than all that are farther, together less than one vote
    weights = np.broadcast_to(1 + 0.5 ** np.arange(1, k + 1), (Q, k))
    counts = np.zeros((Q, int(index.max()) + 1))
    np.add.at(counts, (np.arange(Q)[:, None], index), weights)
    names = np.unique(labels)
    chosen: Labels = names[counts.argmax(1)]
    return chosen


def class_means(points: Embeddings, labels: Labels) -> tuple[NDArray[np.float64], Labels, NDArray[np.int64]]:
    """Return the mean embedding of each class (K, D) float64, the classes (K,), and their images (K,) int64."""
    order = np.argsort(labels, kind="stable")
    classes, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    groups = np.split(order, first[1:])
    return np.stack([points[group].mean(0, dtype=np.float64) for group in groups]), classes, counts


def _nearest_mean(space: _Space, queries: Embeddings, labels: Labels, *, alone: bool) -> Labels:
    """Return the class (Q,) whose mean is nearest; left out of the mean of its own class is a query that is `alone`."""
    means, classes, counts = class_means(space.points, space.labels)
    x = (unit(queries) if space.metric == "cosine" else queries).astype(np.float64)
    if space.metric == "cosine":
        length = np.linalg.norm(means, axis=1)
        scores = x @ (means / np.maximum(length, 1e-300)[:, None]).T
    else:
        scores = 2 * x @ means.T - np.square(means).sum(1)
    if alone:
        own = np.searchsorted(classes, labels)
        n = counts[own].astype(np.float64)[:, None]
        rest = (means[own] * n - x) / np.maximum(n - 1, 1)
        products, squares = (x * rest).sum(1), np.square(rest).sum(1)
        cosine = space.metric == "cosine"
        scores[np.arange(len(x)), own] = (
            products / np.maximum(squares**0.5, 1e-300) if cosine else 2 * products - squares
        )
    found: Labels = classes[scores.argmax(1)]
    return found


def _share(right: NDArray[np.bool_]) -> Measured:
    return Measured(float(right.mean()), wilson_interval(int(right.sum()), len(right)))


def _mean(values: NDArray[np.float64]) -> Measured:
    """Return the mean of shares with its interval by Student's t, within 0..1."""
    middle = float(values.mean())
    low, high = error_interval(values) or (0.0, 1.0)
    return Measured(middle, (low, min(1.0, high)))

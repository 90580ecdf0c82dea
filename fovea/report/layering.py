"""Places for the boxes of a graph: in rows, each below all that it depends on, with short and straight edges.

The steps are those of Sugiyama, Tagawa and Toda 1981: rows by the longest path, bends where an edge passes a row,
orders by the mean of the neighbours, then places.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import factorized

SWEEPS = 8
"""Times that the rows are ordered by their neighbours above or below."""
ROUNDS, PULL = 120, 0.5
"""Of the search for places, and how strongly each holds on to the last one."""
STRAIGHT = 1000.0
"""Weight of an edge that is the only one of both its ends: chains are straight, whatever joins them at an angle."""

Array = NDArray[np.float64]
Edge = tuple[int, int]


class Point(NamedTuple):
    """The middle of a box or a bend: how far to the right, and in which row."""

    x: float
    row: int


class Layout(NamedTuple):
    """Where boxes stand, and where edges pass."""

    boxes: list[Point]
    routes: dict[Edge, list[Point]]
    """From the box that an edge comes from, by the bends in the rows between, to the box that it goes to."""


@dataclass
class _Layered:
    """The graph with a bend wherever an edge passes a row; boxes first, then bends."""

    widths: list[float]
    rows: list[int]
    chains: dict[Edge, list[int]] = field(default_factory=dict)
    order: list[list[int]] = field(default_factory=list)
    """For each row what stands in it, from left to right."""
    above: list[list[int]] = field(default_factory=list)
    """For each box or bend its neighbours in the row above."""
    below: list[list[int]] = field(default_factory=list)


def layered(widths: Sequence[float], edges: Iterable[Edge], *, gap: float) -> Layout:
    """Return places for boxes of these widths, `gap` apart; edges go from a lower to a higher index."""
    graph = _with_bends(widths, sorted(set(edges)), bend=gap)
    for sweep in range(SWEEPS):
        _order(graph, down=sweep % 2 == 0)
    xs = _places(graph, gap) if graph.rows else []
    points = [Point(x, row) for x, row in zip(xs, graph.rows, strict=True)]
    routes = {edge: [points[vertex] for vertex in chain] for edge, chain in graph.chains.items()}
    return Layout(points[: len(widths)], routes)


def _with_bends(widths: Sequence[float], edges: Sequence[Edge], *, bend: float) -> _Layered:
    graph = _Layered(list(widths), _rows(len(widths), edges))
    for source, target in edges:
        between = range(graph.rows[source] + 1, graph.rows[target])
        bends = range(len(graph.rows), len(graph.rows) + len(between))
        graph.rows += between
        graph.widths += [bend] * len(between)
        graph.chains[source, target] = [source, *bends, target]
    graph.above = [[] for _ in graph.rows]
    graph.below = [[] for _ in graph.rows]
    for chain in graph.chains.values():
        for a, b in pairwise(chain):
            graph.above[b].append(a)
            graph.below[a].append(b)
    graph.order = [[] for _ in range(max(graph.rows, default=-1) + 1)]
    for vertex, row in enumerate(graph.rows):
        graph.order[row].append(vertex)
    return graph


def _rows(count: int, edges: Sequence[Edge]) -> list[int]:
    rows = [0] * count
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        rows[target] = max(rows[target], rows[source] + 1)
    users: dict[int, list[int]] = {}
    for source, target in edges:
        users.setdefault(source, []).append(target)
    fed = {target for _, target in edges}
    for source in users.keys() - fed:  # what gets nothing stands right above the first that needs it
        rows[source] = min(rows[target] for target in users[source]) - 1
    return rows


def _order(graph: _Layered, *, down: bool) -> None:
    """Sort each row by the mean place of its neighbours in the row before."""
    place = {vertex: i for row in graph.order for i, vertex in enumerate(row)}
    neighbours = graph.above if down else graph.below
    for row in graph.order if down else reversed(graph.order):
        means = {vertex: mean(place[n] for n in neighbours[vertex] or [vertex]) for vertex in row}
        row.sort(key=means.__getitem__)
        place.update((vertex, i) for i, vertex in enumerate(row))


def _places(graph: _Layered, gap: float) -> list[float]:
    """Return the places with the least sum of squares of the edges' slopes, by the method of multipliers.

    Rows that are apart and edges that are short are sought in turn; `debt` is what the one still owes the other.
    """
    edges = [(a, b) for b, above in enumerate(graph.above) for a in above]
    only = [len(graph.below[a]) == len(graph.above[b]) == 1 for a, b in edges]
    solve = factorized(_laplacian(len(graph.rows), edges, np.where(only, STRAIGHT, 1.0)))
    xs, debt = np.zeros((2, len(graph.rows)))
    widths = np.array(graph.widths)
    shared = [(np.array(row), _offsets(widths[row], gap)) for row in graph.order if len(row) > 1]
    for _ in range(ROUNDS):
        short = solve(PULL * (xs - debt))
        xs = short + debt  # what stands alone in its row has room
        for row, offsets in shared:
            xs[row] = _apart(xs[row], offsets)
        debt += short - xs
    return [float(x) for x in xs - (xs - widths / 2).min()]


def _laplacian(count: int, edges: Sequence[Edge], weights: Array) -> csc_matrix:
    """Return L + `PULL` I, with x' L x the weighted sum of squares of the differences along edges."""
    a, b = np.array(edges, int).reshape(-1, 2).T
    rows = np.concatenate([a, b, a, b, np.arange(count)])
    columns = np.concatenate([a, b, b, a, np.arange(count)])
    return csc_matrix((np.concatenate([weights, weights, -weights, -weights, np.full(count, PULL)]), (rows, columns)))


def _offsets(widths: Array, gap: float) -> Array:
    """Return how far to the right of the first each box stands, where they are `gap` apart."""
    return np.concatenate([[0.0], np.cumsum((widths[:-1] + widths[1:]) / 2 + gap)])


def _apart(wanted: Array, offsets: Array) -> Array:
    """Return the places in the same order nearest to `wanted`, by squares, that are at least the `offsets` apart.

    With the room that they need taken off, places must not decrease: neighbours that would are pooled in their mean.
    """
    pools: list[tuple[float, int]] = []
    for x in (wanted - offsets).tolist():
        middle, count = x, 1
        while pools and pools[-1][0] > middle:
            other, more = pools.pop()
            middle, count = (middle * count + other * more) / (count + more), count + more
        pools.append((middle, count))
    places: Array = np.array([middle for middle, count in pools for _ in range(count)]) + offsets
    return places

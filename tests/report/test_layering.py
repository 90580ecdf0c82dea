import itertools
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fovea.report.layering import Layout, Point, layered

GRAPHS = st.integers(1, 12).flatmap(
    lambda n: st.lists(
        st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda edge: edge[0] < edge[1]), max_size=25
    ).map(lambda edges: (n, edges))
)


def crossings(layout):
    """Return how often two edges cross: what a good order keeps low."""
    segments = [pair for route in layout.routes.values() for pair in pairwise(route)]
    return sum(
        (a[0].x - b[0].x) * (a[1].x - b[1].x) < 0
        for i, a in enumerate(segments)
        for b in segments[:i]
        if a[0].row == b[0].row
    )


def test_a_chain_is_a_straight_line():
    layout = layered([100, 60, 100], [(0, 1), (1, 2)], gap=20)
    assert layout.boxes == [Point(50, 0), Point(50, 1), Point(50, 2)]


def test_branches_stand_side_by_side_below_their_middle():
    layout = layered([100] * 4, [(0, 1), (0, 2), (1, 3), (2, 3)], gap=20)
    assert layout.boxes == [Point(110, 0), Point(50, 1), Point(170, 1), Point(110, 2)]


def test_an_edge_that_passes_a_row_bends_beside_its_box():
    layout = layered([100] * 3, [(0, 1), (1, 2), (0, 2)], gap=20)
    start, bend, end = layout.routes[0, 2]
    assert (start, end) == (layout.boxes[0], layout.boxes[2])
    assert bend.row == 1 and abs(bend.x - layout.boxes[1].x) >= 50 + 20


def test_two_chains_from_the_same_box_do_not_cross():
    # 0 -> 1 -> 3 -> 5 and 0 -> 2 -> 4 -> 5, given in the order that would cross
    edges = [(0, 1), (0, 2), (1, 4), (2, 3), (3, 5), (4, 5)]
    assert crossings(layered([50] * 6, edges, gap=10)) == 0


def test_edges_that_cross_are_counted():
    boxes = [Point(0, 0), Point(10, 0), Point(0, 1), Point(10, 1)]
    assert crossings(Layout(boxes, {(0, 3): [boxes[0], boxes[3]], (1, 2): [boxes[1], boxes[2]]})) == 1


def test_nothing_has_no_places():
    assert layered([], [], gap=1) == ([], {})


@settings(max_examples=40)
@given(GRAPHS)
def test_edges_go_down_and_boxes_are_apart(graph):
    count, edges = graph
    widths = [30.0 + 7 * (i % 3) for i in range(count)]
    layout = layered(widths, edges, gap=10)
    for (source, target), route in layout.routes.items():
        assert (route[0], route[-1]) == (layout.boxes[source], layout.boxes[target])
        assert [point.row for point in route] == list(range(route[0].row, route[-1].row + 1))
    assert layout.routes.keys() == set(edges)
    for (a, wa), (b, wb) in itertools.combinations(zip(layout.boxes, widths, strict=True), 2):
        assert a.row != b.row or abs(a.x - b.x) >= (wa + wb) / 2 + 10 - 1e-6
    assert min(x - w / 2 for (x, _), w in zip(layout.boxes, widths, strict=True)) >= -1e-9


@settings(max_examples=40)
@given(GRAPHS)
def test_the_same_graph_gives_the_same_places(graph):
    count, edges = graph
    assert layered([10] * count, edges, gap=5) == layered([10] * count, edges[::-1] + edges, gap=5)


@pytest.mark.parametrize("skips", [1, 3])
def test_a_box_in_no_edge_stands_in_the_first_row(skips):
    layout = layered([10] * (skips + 1), [], gap=5)
    assert [point.row for point in layout.boxes] == [0] * (skips + 1)

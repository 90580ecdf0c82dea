import numpy as np
import pytest
from small_graphs import core, random

from fovea.exporting.int8.arithmetic import Steps
from fovea.exporting.int8.calibration import Observed, min_max
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.ranges import steps_of
from fovea.exporting.int8.selection import select


def joining(*, also_read):
    """Return two convolutions whose results are put together; others read the first of them where asked."""
    generator = np.random.default_rng(0)
    nodes = [
        ("Conv", ["input", "w"], "a", {}),
        ("Conv", ["input", "w"], "b", {}),
        ("Concat", ["a", "b"], "c", {"axis": 1}),
        ("Conv", ["c", "v"], "d", {}),
        ("Conv", ["a", "w"], "e", {}),
        ("Add", ["d", "e" if also_read else "d"], "f", {}),
        ("Conv", ["f", "w"], "logits", {}),
    ]
    constants = {"w": random(generator, 2, 2, 1, 1), "v": random(generator, 2, 4, 1, 1)}
    graph = Graph.of(core([node for node in nodes if also_read or node[2] != "e"], constants, shape=(2, 3, 3)))
    return graph, select(graph, stored=["input"])


def steps(graph, selection, ends, **fixed):
    seen = {name: Observed(*ends.get(name, (0, 1))) for name in selection.values - graph.constants.keys()}
    return steps_of(graph, selection, seen, min_max, fixed=fixed)


def test_the_steps_of_a_value_cover_its_range():
    found = steps(*joining(also_read=False), {"input": (-2, 3)})
    assert found["input"] == Steps.of_range(-2, 3)


def test_what_is_only_put_together_is_stored_alike():
    found = steps(*joining(also_read=False), {"a": (0, 1), "b": (0, 40), "c": (0, 40)})
    assert found["a"] == found["b"] == found["c"] == Steps.of_range(0, 40)


def test_a_narrow_value_that_others_read_too_keeps_its_steps():
    found = steps(*joining(also_read=True), {"a": (0, 1), "b": (0, 40), "c": (0, 40)})
    assert found["a"] == Steps.of_range(0, 1)
    assert found["b"] == found["c"] == Steps.of_range(0, 40)


def test_a_value_of_about_the_same_range_is_stored_alike():
    found = steps(*joining(also_read=True), {"a": (0, 30), "b": (0, 40), "c": (0, 40)})
    assert found["a"] == found["c"]


def test_steps_that_are_fixed_hold_for_the_group():
    found = steps(*joining(also_read=False), {"c": (0, 40)}, c=Steps(1.0, 7))
    assert found["a"] == found["b"] == Steps(1.0, 7)


def test_a_constant_has_the_steps_of_its_own_range():
    nodes = [("Conv", ["input", "w"], "a", {}), ("Add", ["a", "by"], "b", {}), ("Conv", ["b", "w"], "logits", {})]
    constants = {"w": np.ones((2, 2, 1, 1), np.float32), "by": np.array([-1.0, 4.1], np.float32).reshape(1, 2, 1, 1)}
    graph = Graph.of(core(nodes, constants, shape=(2, 3, 3)))
    found = steps(graph, select(graph, stored=["input"]), {})
    assert found["by"] == pytest.approx((0.02, 50))

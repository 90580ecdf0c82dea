import numpy as np
import onnx
import pytest
from onnx import helper
from small_graphs import core

from fovea.exporting.int8.graph import Graph, attributes, set_attribute


@pytest.fixture
def graph():
    nodes = [
        ("Relu", ["input"], "a", {}),
        ("Neg", ["a"], "b", {}),
        ("Add", ["a", "b"], "c", {}),
        ("Mul", ["c", "two"], "logits", {}),
    ]
    return Graph.of(core(nodes, {"two": np.float32(2), "idle": np.float32(3)}, shape=(3,)))


def test_who_makes_a_value_and_who_reads_it(graph):
    assert graph.makers()["c"].op_type == "Add"
    assert [node.op_type for node in graph.readers()["a"]] == ["Neg", "Add"]
    assert "logits" not in graph.readers()
    assert graph.output_names == {"logits"}


def test_nodes_are_sorted_behind_what_they_read(graph):
    graph.nodes.reverse()
    graph.sort()
    assert [node.op_type for node in graph.nodes] == ["Relu", "Neg", "Add", "Mul"]


def test_what_nobody_reads_is_taken_out(graph):
    graph.add("Neg", ["b"], "nobody")
    graph.prune()
    assert [node.op_type for node in graph.nodes] == ["Relu", "Neg", "Add", "Mul"]


def test_readers_are_led_to_another_value_but_those_left_out(graph):
    left = graph.makers()["b"]
    graph.rename_reads("a", "input", but=[left])
    assert [list(node.input) for node in graph.nodes][1:3] == [["a"], ["input", "b"]]


def test_names_are_new(graph):
    assert graph.fresh("a") == "a_1"
    assert graph.fresh("a") == "a_2"
    assert graph.add("Neg", ["a"], "logits") == "logits_1"


def test_a_model_has_the_constants_that_are_read(graph):
    model = graph.model(core([("Neg", ["input"], "logits", {})], {}, shape=(3,)))
    onnx.checker.check_model(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["two"]


def test_constant_nodes_become_constants():
    made = core([("Add", ["input", "one"], "logits", {})], {}, shape=(3,))
    made.graph.node.insert(0, helper.make_node("Constant", [], ["one"], value_floats=[1.0]))
    graph = Graph.of(made)
    assert graph.constants["one"].tolist() == [1.0]
    assert len(graph.nodes) == 1


def test_attributes_are_read_as_text_and_replaced():
    node = helper.make_node("Conv", ["a", "b"], ["c"], auto_pad="NOTSET", group=1)
    set_attribute(node, "group", 2)
    assert attributes(node) == {"auto_pad": "NOTSET", "group": 2}

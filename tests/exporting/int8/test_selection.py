import numpy as np
import pytest
from small_graphs import convolutional, core, random

from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.selection import layers, limits, select


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def operators(selection):
    return [node.op_type for node in selection.nodes]


def test_layers_activations_and_pools_run_in_int8(generator):
    graph = Graph.of(convolutional(generator))
    chosen = select(graph, stored=["input"])
    assert operators(chosen) == ["Conv", "Relu", "Conv", "Clip", "GlobalAveragePool", "Reshape", "Gemm"]
    assert sorted(chosen.fused) == ["a", "c"]


def test_what_an_activation_cuts_and_logits_have_no_steps(generator):
    chosen = select(Graph.of(convolutional(generator)), stored=["input"])
    assert chosen.values == {"input", "b", "d", "e", "f"}
    assert {"e", "f"} in chosen.groups


def test_a_layer_is_kept_with_its_activation(generator):
    graph = Graph.of(convolutional(generator))
    kept = select(graph, kept=["c_node"], stored=["input"])
    assert operators(kept) == ["Conv", "Relu", "Gemm"]


def test_what_follows_the_last_layer_stays_float(generator):
    nodes = [
        ("Conv", ["input", "w"], "a", {}),
        ("Relu", ["a"], "b", {}),
        ("GlobalAveragePool", ["b"], "c", {}),
        ("Reshape", ["c", "flat"], "logits", {}),
    ]
    graph = Graph.of(core(nodes, {"w": random(generator, 2, 3, 1, 1), "flat": np.array([0, -1])}, shape=(3, 4, 4)))
    assert operators(select(graph)) == ["Conv", "Relu"]


def test_a_concatenation_with_a_float_value_stays_float(generator):
    constants = {
        "w": random(generator, 2, 3, 1, 1),
        "v": random(generator, 2, 3, 1, 1),
        "u": random(generator, 2, 4, 1, 1),
    }
    nodes = [
        ("Conv", ["input", "w"], "a", {}),
        ("Conv", ["input", "v"], "b", {}),
        ("Concat", ["a", "b"], "c", {"axis": 1}),
        ("Conv", ["c", "u"], "logits", {}),
    ]
    graph = Graph.of(core(nodes, constants, shape=(3, 4, 4)))
    assert operators(select(graph)) == ["Conv", "Conv", "Concat", "Conv"]
    assert operators(select(graph, kept=["b_node"])) == ["Conv", "Conv"]


def test_weights_that_are_computed_stay_float():
    nodes = [("Relu", ["input"], "w", {}), ("MatMul", ["input", "w"], "logits", {})]
    assert select(Graph.of(core(nodes, {}, shape=(3,)))).nodes == []


def test_where_an_activation_cuts():
    constants = {"least": np.float32(-1), "most": np.float32(1), "high": np.float32(2)}
    nodes = [
        ("Relu", ["input"], "a", {}),
        ("Clip", ["a", "least", "most"], "b", {}),
        ("Clip", ["b", "", "most"], "c", {}),
        ("Clip", ["c", "high"], "logits", {}),
    ]
    graph = Graph.of(core(nodes, constants, shape=(3,)))
    infinite = float("inf")
    found = [limits(graph, node) for node in graph.nodes]
    assert found == [(0, infinite), (-1, 1), (-infinite, 1), None]


def test_layers_are_what_has_weights(generator):
    assert [node.op_type for node in layers(Graph.of(convolutional(generator)))] == ["Conv", "Conv", "Gemm"]

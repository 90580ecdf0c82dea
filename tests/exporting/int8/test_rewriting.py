import numpy as np
import pytest
from small_graphs import core, random

from fovea.exporting.int8.graph import attributes
from fovea.exporting.int8.rewriting import fold
from fovea.exporting.int8.session import session


def run(model, x):
    return session(model).run(None, {"input": x})[0]


def operators(model):
    return [node.op_type for node in model.graph.node]


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def same(model, x):
    folded = fold(model)
    assert run(folded, x) == pytest.approx(run(model, x), abs=1e-5)
    return operators(folded)


def test_a_mean_of_places_becomes_a_convolution(generator):
    values = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    model = core([("AveragePool", ["input"], "logits", values)], {}, shape=(2, 6, 6))
    assert same(model, random(generator, 2, 2, 6, 6)) == ["Conv"]


def test_a_mean_that_leaves_padding_out_stays(generator):
    values = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    model = core([("AveragePool", ["input"], "logits", values)], {}, shape=(2, 6, 6))
    assert same(model, random(generator, 2, 2, 6, 6)) == ["AveragePool"]


@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mean_of_all_places_becomes_a_global_pool(generator, keepdims):
    nodes = [("ReduceMean", ["input", "axes"], "logits", {"keepdims": keepdims})]
    model = core(nodes, {"axes": np.array([-1, -2])}, shape=(2, 3, 5))
    assert same(model, random(generator, 2, 2, 3, 5))[0] == "GlobalAveragePool"


def test_a_mean_of_channels_stays(generator):
    model = core([("ReduceMean", ["input", "axes"], "logits", {})], {"axes": np.array([1])}, shape=(2, 3, 5))
    assert same(model, random(generator, 2, 2, 3, 5)) == ["ReduceMean"]


def test_a_hard_swish_becomes_a_product_with_a_gate(generator):
    model = core([("HardSwish", ["input"], "logits", {})], {}, shape=(3, 2, 2))
    assert same(model, 4 * random(generator, 4, 3, 2, 2)) == ["HardSigmoid", "Mul"]


def test_groups_of_few_channels_are_written_out(generator):
    model = core(
        [("Conv", ["input", "w"], "logits", {"group": 3})], {"w": random(generator, 6, 1, 3, 3)}, shape=(3, 5, 5)
    )
    assert same(model, random(generator, 2, 3, 5, 5)) == ["Conv"]
    assert attributes(fold(model).graph.node[0])["group"] == 1


def test_an_activation_moves_before_what_only_puts_together(generator):
    nodes = [
        ("Conv", ["input", "w"], "a", {}),
        ("Conv", ["input", "v"], "b", {}),
        ("Concat", ["a", "b"], "c", {"axis": 1}),
        ("MaxPool", ["c"], "d", {"kernel_shape": [2, 2]}),
        ("Relu", ["d"], "logits", {}),
    ]
    model = core(nodes, {"w": random(generator, 2, 2, 1, 1), "v": random(generator, 3, 2, 1, 1)}, shape=(2, 4, 4))
    assert same(model, random(generator, 2, 2, 4, 4)) == ["Conv", "Conv", "Relu", "Relu", "Concat", "MaxPool"]


def test_an_activation_stays_behind_what_others_read_too(generator):
    nodes = [
        ("Conv", ["input", "w"], "a", {}),
        ("Concat", ["a", "input"], "c", {"axis": 1}),
        ("Relu", ["c"], "logits", {}),
    ]
    model = core(nodes, {"w": random(generator, 2, 2, 1, 1)}, shape=(2, 4, 4))
    assert same(model, random(generator, 2, 2, 4, 4)) == ["Conv", "Concat", "Relu"]


def test_a_shape_that_is_computed_from_the_batch_becomes_fixed(generator):
    nodes = [
        ("Shape", ["input"], "sizes", {"end": 1}),
        ("Concat", ["sizes", "rest"], "shape", {"axis": 0}),
        ("Relu", ["input"], "a", {}),
        ("Reshape", ["a", "shape"], "logits", {}),
    ]
    model = core(nodes, {"rest": np.array([12])}, shape=(3, 2, 2))
    assert same(model, random(generator, 5, 3, 2, 2)) == ["Relu", "Reshape"]


def test_layers_have_the_names_of_their_places(generator):
    nodes = [("Conv", ["input", "stage1.conv.weight"], "a", {}), ("Relu", ["a"], "logits", {})]
    model = core(nodes, {"stage1.conv.weight": random(generator, 2, 3, 1, 1)}, shape=(3, 4, 4))
    assert fold(model).graph.node[0].name == "stage1.conv"

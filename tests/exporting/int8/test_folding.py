import numpy as np
import pytest
from small_graphs import core, random

from fovea.exporting.int8.graph import Graph, attributes
from fovea.exporting.int8.rewriting import fold
from fovea.exporting.int8.session import session


def norm(generator, channels, *, rising=False):
    gain = np.abs(random(generator, channels)) + 0.5 if rising else random(generator, channels)
    return {
        "gain": gain,
        "shift": random(generator, channels),
        "mean": random(generator, channels),
        "variance": np.abs(random(generator, channels)) + 0.1,
    }


def run(model, x):
    return session(model).run(None, {"input": x})[0]


def operators(model):
    return [node.op_type for node in model.graph.node]


@pytest.fixture
def generator():
    return np.random.default_rng(0)


NORM = ("BatchNormalization", ["y", "gain", "shift", "mean", "variance"], "logits", {"epsilon": 1e-3})


def test_a_batch_norm_goes_into_the_convolution_before_it(generator):
    weights = {"w": random(generator, 5, 3, 3, 3), "b": random(generator, 5)}
    model = core([("Conv", ["input", "w", "b"], "y", {}), NORM], {**weights, **norm(generator, 5)}, shape=(3, 6, 6))
    x = random(generator, 2, 3, 6, 6)
    assert operators(fold(model)) == ["Conv"]
    assert run(fold(model), x) == pytest.approx(run(model, x), abs=1e-5)


def test_the_folded_weights_are_those_by_hand():
    values = {"gain": [2.0], "shift": [1.0], "mean": [3.0], "variance": [4.0 - 1e-3]}
    constants = {name: np.array(value, np.float32) for name, value in values.items()}
    constants["w"] = np.full((1, 1, 1, 1), 5.0, np.float32)
    folded = Graph.of(fold(core([("Conv", ["input", "w"], "y", {}), NORM], constants, shape=(1, 2, 2))))
    # 2 * (5 x - 3) / 2 + 1
    assert folded.constants[folded.nodes[0].input[1]] == pytest.approx(5)
    assert folded.constants[folded.nodes[0].input[2]] == pytest.approx(-2)


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_batch_norm_goes_into_a_dense_layer(generator, transposed):
    weights = random(generator, 4, 3) if transposed else random(generator, 3, 4)
    nodes = [("Gemm", ["input", "w"], "y", {"transB": transposed}), NORM]
    model = core(nodes, {"w": weights, **norm(generator, 4)}, shape=(3,))
    x = random(generator, 2, 3)
    assert operators(fold(model)) == ["Gemm"]
    assert run(fold(model), x) == pytest.approx(run(model, x), abs=1e-5)


def test_a_batch_norm_that_cannot_go_anywhere_becomes_a_convolution(generator):
    nodes = [("Relu", ["input"], "y", {}), NORM]
    model = core(nodes, norm(generator, 3), shape=(3, 4, 5))
    folded, x = fold(model), random(generator, 2, 3, 4, 5)
    assert operators(folded) == ["Relu", "Conv"]
    assert attributes(folded.graph.node[1])["group"] == 3
    assert run(folded, x) == pytest.approx(run(model, x), abs=1e-5)


def test_a_batch_norm_stays_out_of_a_convolution_that_others_read(generator):
    nodes = [
        ("Conv", ["input", "w"], "y", {}),
        ("BatchNormalization", ["y", "gain", "shift", "mean", "variance"], "z", {}),
        ("Add", ["y", "z"], "logits", {}),
    ]
    model = core(nodes, {"w": random(generator, 3, 3, 1, 1), **norm(generator, 3)}, shape=(3, 4, 4))
    x = random(generator, 2, 3, 4, 4)
    assert operators(fold(model)) == ["Conv", "Conv", "Add"]
    assert run(fold(model), x) == pytest.approx(run(model, x), abs=1e-5)


@pytest.mark.parametrize("rising", [True, False])
def test_a_batch_norm_passes_the_maximum_where_it_rises(generator, rising):
    nodes = [
        ("Conv", ["input", "w"], "c", {}),
        ("MaxPool", ["c"], "y", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        NORM,
    ]
    model = core(nodes, {"w": random(generator, 3, 2, 1, 1), **norm(generator, 3, rising=rising)}, shape=(2, 4, 4))
    x = random(generator, 2, 2, 4, 4)
    assert operators(fold(model)) == (["Conv", "MaxPool"] if rising else ["Conv", "MaxPool", "Conv"])
    assert run(fold(model), x) == pytest.approx(run(model, x), abs=1e-5)


@pytest.mark.parametrize(("kind", "shape"), [("Mul", (3, 1, 1)), ("Add", (1, 3, 1, 1)), ("Mul", ())])
def test_what_is_one_number_for_each_channel_goes_into_the_weights(generator, kind, shape):
    constants = {"w": random(generator, 3, 2, 1, 1), "by": random(generator, *shape)}
    model = core([("Conv", ["input", "w"], "y", {}), (kind, ["y", "by"], "logits", {})], constants, shape=(2, 4, 4))
    x = random(generator, 2, 2, 4, 4)
    assert operators(fold(model)) == ["Conv"]
    assert run(fold(model), x) == pytest.approx(run(model, x), abs=1e-5)


def test_what_is_one_number_for_each_column_stays(generator):
    constants = {"w": random(generator, 3, 2, 1, 1), "by": random(generator, 3)}
    model = core([("Conv", ["input", "w"], "y", {}), ("Mul", ["y", "by"], "logits", {})], constants, shape=(2, 3, 3))
    x = random(generator, 2, 2, 3, 3)
    assert operators(fold(model)) == ["Conv", "Mul"]
    assert run(fold(model), x) == pytest.approx(run(model, x), abs=1e-5)

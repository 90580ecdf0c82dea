import numpy as np
import onnx
import pytest
from small_graphs import convolutional, core, random

from fovea.exporting.int8.arithmetic import Steps, quantised_bias, quantised_weights
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.selection import select
from fovea.exporting.int8.session import session
from fovea.exporting.int8.writing import Writer


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def written(model, steps, *, kept=(), means=None):
    graph = Graph.of(model)
    selection = select(graph, kept=kept, stored=["input"])
    Writer(graph, selection, {name: steps[name] for name in selection.values}, means or {}).write()
    result = graph.model(model)
    onnx.checker.check_model(result)
    return result


def run(model, x, **options):
    return session(model, **options).run(None, {"input": x})[0]


def operators(model):
    return [node.op_type for node in model.graph.node]


def test_a_dense_layer_is_a_product_of_whole_numbers(generator):
    weights, bias = random(generator, 3, 4), random(generator, 3)
    model = core([("Gemm", ["input", "w", "b"], "logits", {"transB": 1})], {"w": weights, "b": bias}, shape=(4,))
    steps = Steps.of_range(-3, 3)
    x = random(generator, 5, 4)
    found = quantised_weights(weights, axis=0)
    scales = found.scales * np.float32(steps.scale)
    whole = (steps.stored(x).astype(int) - steps.zero_point) @ found.stored.T.astype(int) + quantised_bias(bias, scales)
    assert run(written(model, {"input": steps}), x) == pytest.approx(whole * scales, rel=1e-5)


def test_a_convolution_between_pairs_gives_whole_steps(generator):
    weights, bias = random(generator, 2, 3, 1, 1), random(generator, 2)
    model = core([("Conv", ["input", "w", "b"], "logits", {})], {"w": weights, "b": bias}, shape=(3, 2, 2))
    steps = {"input": Steps.of_range(-3, 3), "logits": Steps.of_range(-4, 4)}
    x = random(generator, 4, 3, 2, 2)
    found = quantised_weights(weights, axis=0)
    exact = np.einsum("nchw,fc->nfhw", steps["input"].meant(steps["input"].stored(x)), found.meant[:, :, 0, 0])
    expected = steps["logits"].meant(steps["logits"].stored(exact + bias.reshape(1, -1, 1, 1)))
    apart = np.abs(run(written(model, steps), x) - expected)
    assert apart.max() <= steps["logits"].scale * 1.001
    assert (apart < 1e-5).mean() > 0.9


def test_an_activation_is_cut_by_the_steps(generator):
    steps = dict.fromkeys("bdef", Steps(0.02, 0)) | {"input": Steps.of_range(-3, 3)}
    made = operators(written(convolutional(generator), steps))
    assert "Relu" not in made
    assert "Clip" not in made


def test_an_activation_stays_where_the_steps_reach_further(generator):
    steps = {name: Steps.of_range(-9, 9) for name in ("input", "b", "d", "e", "f")}
    made = operators(written(convolutional(generator), steps))
    assert {"Relu", "Clip"} < set(made)


def test_int8_is_near_float(generator):
    model = convolutional(generator)
    steps = {"input": Steps.of_range(-4, 4), "b": Steps.of_range(0, 20), "d": Steps.of_range(0, 6)}
    steps |= dict.fromkeys("ef", Steps.of_range(0, 6))
    x = random(generator, 16, 3, 8, 8)
    exact = run(model, x)
    assert np.abs(run(written(model, steps), x) - exact).max() < 0.05 * exact.std()


def test_optimised_and_plain_agree_within_steps(generator):
    model = convolutional(generator)
    steps = {"input": Steps.of_range(-4, 4), "b": Steps.of_range(0, 20), "d": Steps.of_range(0, 6)}
    steps |= dict.fromkeys("ef", Steps.of_range(0, 6))
    x = random(generator, 16, 3, 8, 8)
    model = written(model, steps)
    fast, plain = run(model, x), run(model, x, optimised=False)
    assert np.abs(fast - plain).max() < 0.05 * plain.std()


def test_a_kept_layer_computes_in_float(generator, tmp_path):
    nodes = [
        ("Conv", ["input", "w"], "a", {}),
        ("Conv", ["a", "v"], "b", {}),
        ("Relu", ["b"], "c", {}),
        ("Conv", ["c", "w"], "logits", {}),
    ]
    model = core(nodes, {"w": random(generator, 4, 4, 1, 1), "v": random(generator, 4, 4, 1, 1)}, shape=(4, 6, 6))
    steps = {name: Steps.of_range(-9, 9) for name in ("input", "a", "c", "logits")}
    run_of = session(written(model, steps, kept=["b_node"]), save=tmp_path / "optimised.onnx")
    optimised = operators(onnx.load(tmp_path / "optimised.onnx"))
    assert run_of.get_outputs()[0].name == "logits"
    assert optimised.count("QLinearConv") == 2
    assert len([name for name in optimised if name in ("Conv", "FusedConv")]) == 1


def test_no_pair_stands_between_nodes_in_int8(generator, tmp_path):
    nodes = [
        ("Conv", ["input", "w"], "a", {"pads": [1] * 4}),
        ("Relu", ["a"], "b", {}),
        ("Conv", ["b", "v"], "c", {"pads": [1] * 4, "group": 4}),
        ("HardSigmoid", ["c"], "d", {"alpha": 1 / 6, "beta": 0.5}),
        ("Mul", ["c", "d"], "e", {}),
        ("Add", ["b", "e"], "f", {}),
        ("MaxPool", ["f"], "g", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("GlobalAveragePool", ["g"], "h", {}),
        ("Reshape", ["h", "flat"], "i", {}),
        ("Gemm", ["i", "u"], "logits", {}),
    ]
    constants = {
        "w": random(generator, 4, 3, 3, 3),
        "v": random(generator, 4, 1, 3, 3),
        "u": random(generator, 4, 2),
        "flat": np.array([0, -1]),
    }
    model = core(nodes, constants, shape=(3, 8, 8))
    steps = {name: Steps.of_range(-9, 9) for name in ("input", "c", "d", "e", "f", "g", "h", "i")}
    steps["b"] = Steps.of_range(0, 20)
    session(written(model, steps), save=tmp_path / "optimised.onnx")
    optimised = operators(onnx.load(tmp_path / "optimised.onnx"))
    assert optimised.count("QuantizeLinear") == 1
    assert "DequantizeLinear" not in optimised


def test_a_hard_sigmoid_is_cut_at_both_ends(generator):
    nodes = [
        ("Conv", ["input", "w"], "a", {}),
        ("HardSigmoid", ["a"], "b", {"alpha": 1 / 6, "beta": 0.5}),
        ("Gemm", ["b", "v"], "logits", {}),
    ]
    nodes[2:] = [("Reshape", ["b", "flat"], "c", {}), ("Gemm", ["c", "v"], "logits", {})]
    constants = {"w": np.ones((1, 1, 1, 1), np.float32), "v": np.ones((1, 1), np.float32), "flat": np.array([0, -1])}
    model = core(nodes, constants, shape=(1, 1, 1))
    steps = {
        "input": Steps.of_range(-10, 10),
        "a": Steps.of_range(-10, 10),
        "b": Steps(1 / 255, 0),
        "c": Steps(1 / 255, 0),
    }
    x = np.array([-9, -3, 0, 1, 3, 9], np.float32).reshape(-1, 1, 1, 1)
    found = run(written(model, steps), x)[:, 0]
    assert found == pytest.approx([0, 0, 0.5, 2 / 3, 1, 1], abs=0.01)


def test_the_bias_gives_back_what_rounding_takes_on_average():
    weights = np.array([[1.27, 0.00499]], np.float32)
    model = core([("Gemm", ["input", "w"], "logits", {"transB": 1})], {"w": weights}, shape=(2,))
    x = np.array([[0.0, 100.0]], np.float32)
    steps = {"input": Steps.of_range(0, 102)}
    assert run(written(model, steps), x) == pytest.approx(0)
    corrected = written(model, steps, means={"input": np.array([0.0, 100.0])})
    assert run(corrected, x) == pytest.approx(0.499, abs=1e-3)

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fovea.exporting.core import float_core
from fovea.exporting.half import LARGEST, halved
from fovea.exporting.ranges import largest_values


def core_of(nodes, constants, *, output=2):
    """Return a core by hand: (N, 4) -> (N, output)."""
    value = helper.make_tensor_value_info
    made = [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()]
    given, logits = value("input", TensorProto.FLOAT, ["N", 4]), value("logits", TensorProto.FLOAT, ["N", output])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [logits], made), opset_imports=[helper.make_opsetid("", 20)]
    )
    model.ir_version = 10
    return model


def dense(name, given, made):
    return helper.make_node("MatMul", [given, f"{name}.weight"], [made], name=name)


WEIGHT = np.linspace(-1, 1, 16).reshape(4, 4)
LAST = np.linspace(1, -1, 8).reshape(4, 2)
SUMMED = core_of(
    [
        dense("first", "input", "a"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("ReduceMean", ["b"], ["c"], name="mean", keepdims=1, axes=None),
        helper.make_node("Sub", ["b", "c"], ["d"], name="centre"),
        dense("last", "d", "logits"),
    ],
    {"first.weight": WEIGHT, "last.weight": LAST},
)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)


def ran(model, x):
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(["logits"], {"input": x})[0]


def kinds(model):
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_a_half_graph_computes_nearly_the_same_from_float32_to_float32(x):
    half, kept = halved(SUMMED, x)
    logits = ran(half, x)
    assert (logits.dtype, kept) == (np.float32, [])
    np.testing.assert_allclose(logits, ran(SUMMED, x), atol=5e-3)


def test_weights_become_half_and_the_core_stays(x):
    before = SUMMED.SerializeToString()
    half, _ = halved(SUMMED, x)
    assert kinds(half) == {f"{name}.half": TensorProto.FLOAT16 for name in ("first.weight", "last.weight")}
    assert SUMMED.SerializeToString() == before


def test_sums_stay_float32_between_casts(x):
    half, _ = halved(SUMMED, x)
    (mean,) = [node for node in half.graph.node if node.op_type == "ReduceMean"]
    assert not mean.input[0].endswith(".half")
    assert Counter(node.op_type for node in half.graph.node)["Cast"] == 4  # the input, before and behind it, the logits


@pytest.mark.parametrize("size", [40_000.0, 1e6])
def test_what_is_too_large_for_half_stays_float32_and_is_listed(x, size):
    large = core_of(
        [dense("first", "input", "a"), dense("last", "a", "logits")],
        {"first.weight": WEIGHT * size / np.abs(x @ WEIGHT).max(), "last.weight": LAST / size},
    )
    half, kept = halved(large, x)
    assert kept == ["first", "last"]
    np.testing.assert_allclose(ran(half, x), ran(large, x), rtol=1e-6)


def test_a_weight_that_is_too_large_counts_although_values_are_not(x):
    large = core_of([dense("first", "input", "logits")], {"first.weight": LAST * 1e5})
    assert halved(large, x * 1e-6)[1] == ["first"]


def test_a_network_with_pooling_and_norms_is_halved(loaded):
    core = float_core(loaded.model, loaded.preprocess.shape)
    x = torch.randn(4, *loaded.preprocess.shape).numpy()
    half, kept = halved(core, x)
    assert kept == []
    assert half.ByteSize() < core.ByteSize()
    np.testing.assert_allclose(ran(half, x), ran(core, x), atol=0.05)


def test_the_largest_value_of_each_tensor_is_found_over_all_inputs(x):
    found = largest_values(SUMMED, "input", x, of=["a", "b", "logits"])
    assert found["a"] == pytest.approx(np.abs(x @ WEIGHT).max(), rel=1e-6)
    assert found["b"] == pytest.approx((x @ WEIGHT).max(), rel=1e-6)
    assert set(found) == {"a", "b", "logits"}
    assert LARGEST < 65504

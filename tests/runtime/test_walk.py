"""Graphs that would take memory, time or the process are refused before onnxruntime sees them."""

import time

import numpy as np
import onnxruntime
import pytest
from bombs import peak_of
from onnx import TensorProto, helper
from onnx_files import network, nodes, onnx_model, stored, tensors, value, write_onnx

from fovea import runtime
from fovea.errors import BundleError
from fovea.runtime.onnx_file import read_onnx
from fovea.runtime.walk import _Walk, planned


def after(*body, **values):
    """Return the changes of a network that does `body` to its normalised input (N, 3, 4, 4), then takes a mean."""
    made = [
        helper.make_node(operator, i.split(" "), o.split(" "), **(a[0] if a else {})) for operator, i, o, *a in body
    ]
    end = [
        helper.make_node("Flatten", ["y"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "end.axes"], ["mean"]),
        helper.make_node("Mul", ["mean", "end.weights"], ["logits"]),
    ]
    own = stored(**{"end.axes": np.array([1]), "end.weights": np.ones(3, np.float32)}, **values)
    return {"nodes": [*nodes()[:3], *made, *end, nodes()[-1]], "tensors": [*tensors(), *own]}


def whole(*values):
    return np.array(values, np.int64)


X = "normalised"
LARGE = 30_000
REFUSED = {
    "expands": (
        after(
            ("Expand", "c s", "e"),
            ("ReduceMax", "e", "m"),
            ("Add", f"{X} m", "y"),
            c=np.ones(1, np.float32),
            s=whole(LARGE, LARGE),
        ),
        "makes a tensor of 3,600 MB",
    ),
    "constant of a shape": (
        after(("ConstantOfShape", "s", "z"), ("ReduceMax", "z", "m"), ("Add", f"{X} m", "y"), s=whole(LARGE, LARGE)),
        "makes a tensor of 3,600 MB",
    ),
    "tiles": (after(("Tile", f"{X} s", "y"), s=whole(1, 1, LARGE, LARGE)), "makes a tensor of"),
    "pads": (after(("Pad", f"{X} s", "y"), s=whole(0, 0, LARGE, LARGE, 0, 0, 0, 0)), "makes a tensor of"),
    "transposes far apart": (
        after(
            ("ConvTranspose", f"{X} w", "y", {"strides": [LARGE, LARGE]}),
            w=np.ones((3, 3, 1, 1), np.float32),
        ),
        "makes a tensor of",
    ),
    "transposes to nothing": (
        after(("ConvTranspose", f"{X} w", "y", {"pads": [9, 9, 9, 9]}), w=np.ones((3, 3, 1, 1), np.float32)),
        "leaves nothing",
    ),
    "transposes with other weights": (
        after(("ConvTranspose", f"{X} w", "y"), w=np.ones((5, 3, 1, 1), np.float32)),
        "do not match",
    ),
    "enlarges": (after(("Resize", f"{X}  s", "y"), s=np.array([1, 1, 9e4, 9e4], np.float32)), "makes a tensor of"),
    "counts": (
        after(
            ("Range", "a b c", "r"),
            ("ReduceMax", "r", "m"),
            ("Cast", "m", "f", {"to": 1}),
            ("Add", f"{X} f", "y"),
            a=np.array(0),
            b=np.array(2**40),
            c=np.array(1),
        ),
        "lengths",
    ),
    "pads a convolution": (
        after(("Conv", f"{X} w", "y", {"pads": [2**20] * 4}), w=np.ones((1, 3, 1, 1), np.float32)),
        "it pads with",
    ),
    "gathers more and more": (
        after(
            *(
                ("Concat", " ".join([f"v{i}" if i else X] * 60), f"v{i + 1}" if i < 5 else "y", {"axis": 2})
                for i in range(6)
            )
        ),
        "makes a tensor of",
    ),
    "reshapes by the image": (
        after(
            ("Cast", f"{X}", "i", {"to": 7}),
            ("ReduceMax", "i", "m", {"keepdims": 0}),
            ("Unsqueeze", "m z", "s"),
            ("Reshape", f"{X} s", "y"),
            z=whole(0),
        ),
        "not known before it runs",
    ),
    "divides by nothing": (
        after(("Cast", f"{X}", "i", {"to": 7}), ("Div", "i z", "d"), ("Cast", "d", "y", {"to": 1}), z=whole(0)),
        "may not be above 0",
    ),
    "divides the least number": (
        after(("Cast", f"{X}", "i", {"to": 7}), ("Div", "i z", "d"), ("Cast", "d", "y", {"to": 1}), z=whole(-1)),
        "may not be above 0",
    ),
    "takes a remainder of nothing": (
        after(
            ("Cast", f"{X}", "i", {"to": 6}),
            ("Mod", "i z", "d"),
            ("Cast", "d", "y", {"to": 1}),
            z=np.array([0], np.int32),
        ),
        "may not be above 0",
    ),
    "a stride of 0": (
        after(("Conv", f"{X} w", "y", {"strides": [0, 1]}), w=np.ones((1, 3, 1, 1), np.float32)),
        "`strides` must be",
    ),
    "a negative dilation": (
        after(("Conv", f"{X} w", "y", {"dilations": [-1, 1]}), w=np.ones((1, 3, 1, 1), np.float32)),
        "`dilations` must be",
    ),
    "no groups": (after(("Conv", f"{X} w", "y", {"group": 0}), w=np.ones((1, 3, 1, 1), np.float32)), "`group` "),
    "other weights": (after(("Conv", f"{X} w", "y"), w=np.ones((1, 5, 1, 1), np.float32)), "do not fit weights"),
    "a window of nothing": (after(("MaxPool", X, "y", {"kernel_shape": [0, 1]})), "`kernel_shape` must be"),
    "an empty window": (
        after(("AveragePool", X, "y", {"kernel_shape": [1, 1], "pads": [1, 1, 1, 1]})),
        "as wide as its window",
    ),
    "indices outside": (after(("Gather", f"{X} i", "y", {"axis": 1}), i=whole(3)), "an index is outside"),
    "an empty cut": (after(("Slice", f"{X} a a b", "y"), a=whole(2), b=whole(1)), "a tensor without values"),
    "reflects more than there is": (
        after(("Pad", f"{X} s", "y", {"mode": "reflect"}), s=whole(0, 0, 4, 0, 0, 0, 0, 0)),
        "it reflects 4 of 4",
    ),
    "takes away": (after(("Pad", f"{X} s", "y"), s=whole(0, 0, -1, 0, 0, 0, 0, 0)), "widths"),
    "scales of another length": (
        after(
            ("QuantizeLinear", f"{X} s z", "q"),
            ("DequantizeLinear", "q s z", "y"),
            s=np.ones(7, np.float32),
            z=np.zeros(7, np.uint8),
        ),
        "its scales are",
    ),
    "no operator of ours": (after(("NonZero", X, "y")), "`NonZero` is none that Fovea writes"),
    "another domain": (
        after(("FusedMatMul", f"{X} {X}", "y", {"domain": "com.microsoft"})),
        "of `com.microsoft` is none",
    ),
    "an attribute of another kind": (after(("Softmax", X, "y", {"axis": "1"})), "attribute `axis`"),
    "an attribute that is not known": (
        after(("Relu", X, "y", {"consumed_inputs": [1]})),
        "attribute `consumed_inputs`",
    ),
    "an input that is missing": (after(("Relu", "nothing", "y")), "uses `nothing`, which nothing before it makes"),
    "a circle": (
        after(("Add", f"{X} b", "a"), ("Relu", "a", "b"), ("Relu", "b", "y")),
        "uses `b`, which nothing before",
    ),
    "a value made twice": (after(("Relu", X, "y"), ("Relu", X, "y")), "`y` is made twice"),
    "a stored value made again": (after(("Relu", X, "scale"), ("Relu", X, "y")), "`scale` is made twice"),
    "one row for all": (
        after(("ReduceMean", f"{X} s", "y"), s=whole(0)),
        r"of 3 samples it makes `probabilities` of \(1, 3\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_graph_is_refused_with_its_reason(tmp_path, name):
    changes, reason = REFUSED[name]
    path = write_onnx(tmp_path / "net.onnx", **changes)
    began = time.perf_counter()
    with pytest.raises(BundleError, match=reason) as raised:
        net = runtime.load(path, threads=1)
        net.scores(np.zeros((3, 4, 4, 3), np.uint8))
    assert "\n" not in str(raised.value) and "`net.onnx`" in str(raised.value)
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("name", ["expands", "constant of a shape", "enlarges", "gathers more and more"])
def test_what_is_refused_takes_no_memory(tmp_path, name):
    path = write_onnx(tmp_path / "net.onnx", **REFUSED[name][0])
    taken, said = peak_of(path, "load(path, threads=1)", imports="import onnxruntime; from fovea.runtime import load")
    assert taken < 30_000_000 and said != "read"


def plan_of(**changes):
    file = read_onnx(onnx_model(**changes).SerializeToString(), "net.onnx")
    return planned(file, file.inputs[0], (4, 4, 3))


def test_what_a_network_holds_grows_with_its_samples():
    plan = plan_of(**network([("Relu", "normalised", "features")], head=np.ones((48, 3), np.float32)))
    one, ten = plan.needs(1), plan.needs(10)
    # float32 as (N, 4, 4, 3) and as (N, 3, 4, 4), the channels of either filled up to 16
    assert one.peak == 4 * (16 * 4 * 3 + 16 * 4 * 4)
    assert ten.peak == 10 * one.peak


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": [2, 2]},
        {"strides": [3, 1], "pads": [1, 0, 2, 1], "output_padding": [2, 0]},
        {"dilations": [2, 3], "group": 3},
    ],
)
def test_a_transposed_convolution_has_the_shape_that_onnxruntime_gives_it(tmp_path, settings):
    weight = np.ones((3, 2 if "group" not in settings else 1, 3, 2), np.float32)
    changes = after(("ConvTranspose", f"{X} w", "t", settings), ("Identity", "t", "y"), w=weight)
    model = onnx_model(**changes)
    model.graph.output.append(value("t", TensorProto.FLOAT, None))
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(
        ["t"], {"images": np.zeros((2, 4, 4, 3), np.uint8)}
    )
    seen = []
    monitored = plan_of(**changes)
    walk = _Walk(monitored, 2)
    for step in monitored.steps:
        walk.take(step)
        seen += [walk.known["t"].shape] if "t" in step.node.outputs else []
    assert seen == [found.shape]


def test_values_that_are_needed_no_more_are_not_counted():
    chain = [("Relu", f"v{i}" if i else "normalised", f"v{i + 1}") for i in range(50)]
    plan = plan_of(**network([*chain, ("Neg", "v50", "features")], head=np.ones((48, 3), np.float32)))
    few = plan_of(**network([("Neg", "normalised", "features")], head=np.ones((48, 3), np.float32)))
    assert plan.needs(1).peak == few.needs(1).peak


def test_more_samples_than_their_share_of_memory_are_refused(monkeypatch):
    monkeypatch.setenv("FOVEA_INPUT_MB", "1")
    squared = after(
        ("Flatten", X, "f"),
        ("Transpose", "f", "t"),
        ("MatMul", "f t", "g"),
        ("ReduceSum", "g one", "h"),
        ("Flatten", "h", "y"),
        one=whole(1),
    )
    plan = plan_of(**squared)
    plan.check_batch(10)
    with pytest.raises(BundleError, match=r"would need \d+ MB for 3000 samples"):
        plan.check_batch(3000)


def test_work_is_bounded(monkeypatch):
    monkeypatch.setattr("fovea.runtime.walk.MOST_WORK", 1000)
    with pytest.raises(BundleError, match="takes more than 1,000 multiplications for one sample"):
        plan_of(
            **network(
                [("Conv", "normalised w", "features")],
                w=np.ones((8, 3, 3, 3), np.float32),
                head=np.ones((32, 3), np.float32),
            )
        ).needs(1)


@pytest.mark.parametrize("opset", [7, 13, 17, 24, 99])
def test_other_versions_of_the_operators_are_refused(opset):
    with pytest.raises(BundleError, match=f"operators of ai.onnx {opset}; supported are those of ai.onnx 18 to 23"):
        plan_of(opsets=[helper.make_opsetid("", opset)])


def test_what_the_file_says_of_its_values_must_be_true():
    model = onnx_model()
    model.graph.value_info.append(value("pooled", TensorProto.FLOAT, ["N", 3, 1, 2]))
    file = read_onnx(model.SerializeToString(), "net.onnx")
    with pytest.raises(BundleError, match="it says that `pooled` is float32"):
        planned(file, file.inputs[0], (4, 4, 3)).needs(1)


@pytest.mark.slow
def test_the_most_nodes_that_are_read_take_seconds_at_the_most(tmp_path):
    chain = [("Neg", f"v{i}" if i else "normalised", f"v{i + 1}") for i in range(9_990)]
    path = write_onnx(
        tmp_path / "net.onnx", **network([*chain, ("Neg", "v9990", "features")], head=np.ones((48, 3), np.float32))
    )
    began = time.process_time()
    assert runtime.load(path, threads=1).scores(np.zeros((1, 4, 4, 3), np.uint8)).shape == (1, 3)
    assert time.process_time() - began < 30

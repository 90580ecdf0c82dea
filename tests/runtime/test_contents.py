import json

import numpy as np
import pytest
from onnx import TensorProto
from onnx_files import EXPORT, SIZE, card_values, graphs, network, nodes, onnx_model, value, write_onnx

from fovea import runtime
from fovea.errors import BundleError
from fovea.jobs.info import info
from fovea.runtime.contents import check_contents
from fovea.runtime.onnx_file import read_onnx


def contents(**changes):
    return check_contents(read_onnx(onnx_model(**changes).SerializeToString(), "net.onnx"))


def test_card_and_graph_that_agree_are_taken():
    found = contents()
    assert found.card["classes"] == ["red", "green", "blue"] and found.card.other["export"] == EXPORT
    assert (found.input, found.outputs, found.rows) == ("images", ("probabilities", "logits"), ((3,), (3,)))
    assert found.batch is None and found.sample_bytes > 0
    assert contents(batch=2).batch == 2
    assert contents(**graphs()["labels"]).outputs == ("probabilities", "logits", "present")


def outputs(*names, kind=TensorProto.FLOAT, shape=("N", 3)):
    return {"outputs": [value(name, kind, list(shape)) for name in names]}


def inputs(kind=TensorProto.UINT8, shape=("N", SIZE, SIZE, 3), name="images", count=1):
    return {"inputs": [value(name if index == 0 else f"{name}{index}", kind, list(shape)) for index in range(count)]}


def preprocess(**changes):
    return {**card_values()["preprocess"], **changes}


def metadata(**changes):
    card = card_values()
    own = {
        "fovea": json.dumps(card),
        "classes": json.dumps(card["classes"]),
        "preprocess": json.dumps(card["preprocess"]),
    }
    return {"metadata": {key: text for key, text in (own | changes).items() if text is not None}}


REFUSED = {
    "no card": (metadata(fovea=None), "not written by Fovea: it has no `fovea` entry"),
    "a card that is no JSON": (metadata(fovea="{"), "is not valid JSON"),
    "a card of a megabyte": (
        metadata(fovea=json.dumps({**card_values(), "x": "y" * 1_000_001})),
        "the limit is 1000000",
    ),
    "a deep card": (metadata(fovea="[" * 100_000), "not valid JSON|nested|must be a JSON object"),
    "a newer card": ({"card": card_values(format=99)}, "upgrade Fovea"),
    "other classes": (metadata(classes='["a"]'), "`classes` in its metadata contradicts its card"),
    "classes that are not JSON": (metadata(classes="["), "`classes` in its metadata contradicts"),
    "other preprocessing": (metadata(preprocess="{}"), "`preprocess` in its metadata contradicts"),
    "no export": (
        {"card": {k: v for k, v in card_values().items() if k != "export"}},
        "does not say how it was exported",
    ),
    "raw": ({"card": card_values(export={**EXPORT, "raw": True})}, "was exported with `--raw`"),
    "unknown precision": ({"card": card_values(export={**EXPORT, "precision": "int2"})}, "an unknown precision"),
    "an export that is a text": ({"card": card_values(export="x")}, "does not say how"),
    "two inputs": (inputs(count=2), "has 2 inputs"),
    "no input": ({"inputs": []}, "has 0 inputs"),
    "an input of another name": (inputs(name="input"), "takes `input`, uint8"),
    "an input that is stored": (inputs(name="scale"), "has 1 inputs"),
    "an input of another type": (
        inputs(TensorProto.FLOAT),
        "float32 of \\('N', 4, 4, 3\\), but its card declares `images`, uint8",
    ),
    "an input of another size": (
        inputs(shape=("N", 8, 8, 3)),
        "its card declares `images`, uint8 of \\('N', 4, 4, 3\\)",
    ),
    "an input of other channels": (inputs(shape=("N", 4, 4, 1)), "declares"),
    "an input without a batch": (inputs(shape=(4, 4, 3)), "declares"),
    "a batch of nothing": (inputs(shape=(0, 4, 4, 3)), "declares"),
    "another size on the card": (
        {"card": card_values(preprocess=preprocess(size=[8, 8]))},
        "declares `images`, uint8 of \\('N', 8, 8, 3\\)",
    ),
    "another kind on the card": ({"card": card_values(preprocess={"input": "clips"})}, "preprocessing cannot be used"),
    "one output": (
        outputs("probabilities"),
        ("has the outputs probabilities, but its card declares probabilities, logits"),
    ),
    "outputs in another order": (outputs("logits", "probabilities"), "has the outputs logits, probabilities"),
    "more outputs": (outputs("probabilities", "logits", "pooled"), "has the outputs"),
    "no outputs": ({"outputs": []}, "has the outputs none"),
    "outputs of another type": (outputs("probabilities", "logits", kind=TensorProto.DOUBLE), "has the outputs"),
    "more columns": (
        outputs("probabilities", "logits", shape=("N", 4)),
        "is of \\('N', 4\\), but its card declares \\(N, 3\\)",
    ),
    "more classes on the card": (
        {"card": card_values(classes=["a", "b", "c", "d"], outputs=4, arguments={"classes": 4})},
        "declares \\(N, 4\\)",
    ),
    "columns that are open and others": (
        outputs("probabilities", "logits", shape=("N", "K"))
        | network([("Relu", "normalised", "features")], head=np.ones((48, 5), np.float32)),
        r"makes `probabilities` of \(1, 5\), but its card declares \(1, 3\)",
    ),
    "a number on the card": (
        {
            "card": card_values(
                task="number", loss="mse", outputs=1, classes=[], arguments={}, target={"mean": 0.0, "std": 1.0}
            )
        },
        "its card declares numbers, logits",
    ),
    "labels on the card": (
        {"card": card_values(format=2, task="labels", loss="bce", target={"thresholds": [0.5] * 3})},
        "declares probabilities, logits, present",
    ),
    "an output that nothing makes": ({"nodes": nodes()[:5]}, "nothing makes its output `probabilities`"),
    "a batch of millions": ({"batch": 100_000_000}, "would need"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_contradicts_is_refused(tmp_path, name):
    changes, reason = REFUSED[name]
    path = write_onnx(tmp_path / "net.onnx", **changes)
    with pytest.raises(BundleError, match=reason) as raised:
        runtime.load(path)
    assert "\n" not in str(raised.value)


def test_the_card_of_a_raw_export_can_be_read(tmp_path):
    path = write_onnx(tmp_path / "net.onnx", card=card_values(export={**EXPORT, "raw": True}))
    found = info(path)
    assert found.card["export"]["raw"] and found.values == 1 and found.bytes == path.stat().st_size


def test_a_size_that_is_left_open_takes_that_of_the_card():
    found = contents(**inputs(shape=("N", "H", "W", 3)), card=card_values(export={**EXPORT, "dynamic_size": True}))
    assert found.plan.sample_shape == (SIZE, SIZE, 3)

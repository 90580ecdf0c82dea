import json
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

from fovea.card import Card
from fovea.exporting.assembly import assembled, input_name, prefix_nodes, with_card
from fovea.exporting.samples import generated
from fovea.exporting.settings import PLAIN, ExportSettings
from fovea.inputs.clips import ClipPreprocess
from fovea.inputs.series import SeriesPreprocess
from fovea.inputs.spectrograms import SpectrogramPreprocess
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number

RGB = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
KINDS = {
    "images": Preprocess(size=(5, 7), channels=3, **RGB),
    "grey": Preprocess(size=(6, 4), channels=1, mean=(0.5,), std=(0.5,)),
    "series": SeriesPreprocess(length=9, channels=2, mean=(1e6, -3.0), std=(2.0, 1e-3)),
    "spectrograms": SpectrogramPreprocess(rate=4000, seconds=0.2, mean=(-40.0,), std=(12.0,)),
    "clips": ClipPreprocess(frames=3, size=(4, 5), channels=3, **RGB),
}
TARGETS = {
    "classes": Classes(names=("a", "b", "c"), temperature=0.37),
    "binary": Classes(names=("a", "b"), loss="binary", temperature=2.5),
    "margin": Classes(names=("a", "b", "c"), loss="margin"),
    "labels": SeveralLabels(names=("a", "b"), loss="bce", thresholds=(0.3, 0.9), temperature=1.7),
    "grade": Grade(names=("1", "2", "3"), temperature=0.8),
    "number": Number(mean=30.0, std=5.0),
}


def session_of(model):
    return onnxruntime.InferenceSession(model.SerializeToString())


def prefix_alone(preprocess):
    """Return a session of the nodes before the core."""
    nodes, constants = prefix_nodes(preprocess, given="samples")
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(preprocess.dtype))
    given = helper.make_tensor_value_info("samples", kind, ["N", *preprocess.stored_shape])
    made = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["N", *preprocess.shape])
    graph = helper.make_graph(nodes, "prefix", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return session_of(model)


def dense_core(weight):
    """Return a core by hand: a dense layer of weights (K, 24) on grey images."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "weight"], ["logits"], name="dense", transB=1),
    ]
    given = value("input", onnx.TensorProto.FLOAT, ["N", 1, 6, 4])
    made = value("logits", onnx.TensorProto.FLOAT, ["N", len(weight)])
    graph = helper.make_graph(nodes, "dense", [given], [made], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return model


@pytest.fixture(scope="module")
def exported():
    """Return a function of a target's name that gives its card, its dense weights and its whole exported model."""

    @cache
    def make(name, settings=PLAIN):
        target = TARGETS[name]
        weight = np.random.default_rng(0).normal(0, 0.5, (target.outputs, 24)).astype(np.float32)
        card = Card(architecture="custom", arguments={}, target=target, preprocess=KINDS["grey"], fovea="0")
        return card, weight, assembled(dense_core(weight), card, settings)

    return make


def logits_of(weight, stored):
    return KINDS["grey"].normalise(stored).reshape(len(stored), -1).astype(np.float64) @ weight.T


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_prepended_normalises_as_preprocessing_does(kind):
    preprocess = KINDS[kind]
    stored = generated(preprocess, count=3).stored
    (found,) = prefix_alone(preprocess).run(None, {"samples": stored})
    expected = preprocess.normalise(stored)
    assert found.shape == (3, *preprocess.shape)
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=3e-7 * np.abs(expected).max())


def test_every_byte_is_normalised_to_the_rounding_of_float32():
    preprocess = Preprocess(size=(16, 16), channels=1, mean=(0.4914,), std=(0.2023,))
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    (found,) = prefix_alone(preprocess).run(None, {"samples": stored})
    exact = (stored.astype(np.float64) / 255 - 0.4914) / 0.2023
    assert np.abs(found[0, 0] - exact[0, ..., 0]).max() < 2.5e-7


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_appended_decodes_as_the_target_does(exported, name):
    card, weight, model = exported(name)
    stored = generated(card.preprocess, count=16).stored
    rows, logits, *others = session_of(model).run(None, {"images": stored})
    np.testing.assert_allclose(logits, logits_of(weight, stored), rtol=1e-4, atol=1e-4)
    expected = card.target.decode(torch.from_numpy(logits))
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-6)
    assert (card.target.decisions(rows.astype(np.float64)) == card.target.decisions(expected)).all()
    for present in others:
        assert (present == card.target.present(expected)).all()


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("classes", ["probabilities", "logits"]), ("number", ["numbers", "logits"])]
    + [("labels", ["probabilities", "logits", "present"])],
)
def test_outputs_have_their_names_in_this_order(exported, name, outputs):
    *_, model = exported(name)
    assert [value.name for value in model.graph.output] == outputs
    onnx.checker.check_model(model, full_check=True)


def test_large_logits_keep_their_difference_at_a_small_temperature(make_loaded):
    target = Classes(names=("a", "b"), temperature=1e-3)
    logits = torch.tensor([[1000.0, 1000.001], [1000.0, 1000.0]])
    rows = target.decoded(logits)
    np.testing.assert_allclose(rows, target.decode(logits), atol=1e-6)


def test_raw_leaves_preprocessing_and_decoding_out(exported):
    card, weight, model = exported("classes", ExportSettings(raw=True))
    assert [value.name for value in model.graph.input] == ["input"]
    assert [value.name for value in model.graph.output] == ["logits"]
    stored = generated(card.preprocess, count=4).stored
    (logits,) = session_of(model).run(None, {"input": card.preprocess.normalise(stored)})
    np.testing.assert_allclose(logits, logits_of(weight, stored), rtol=1e-4, atol=1e-4)


def test_the_core_is_not_changed(exported):
    card, weight, _ = exported("classes")
    core = dense_core(weight)
    before = core.SerializeToString()
    assembled(core, card, ExportSettings(raw=True))
    with_card(assembled(core, card, ExportSettings(raw=True)), card)
    assert core.SerializeToString() == before


def test_the_card_is_in_the_metadata_with_classes_and_preprocessing_beside_it(exported):
    card, _, model = exported("labels")
    found = session_of(with_card(model, card)).get_modelmeta().custom_metadata_map
    assert Card.parse(found["fovea"], "x").to_dict() == card.to_dict()
    assert json.loads(found["classes"]) == ["a", "b"]
    assert json.loads(found["preprocess"]) == card.preprocess.to_dict()


@pytest.mark.parametrize(("kind", "name"), [("images", "images"), ("series", "series"), ("clips", "clips")])
def test_the_input_is_called_what_it_takes(kind, name):
    assert input_name(KINDS[kind]) == name

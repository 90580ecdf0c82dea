import json
from contextlib import nullcontext
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from fovea.card import Card
from fovea.display import Display
from fovea.exporting.assembly import assembled
from fovea.exporting.int8 import core, file
from fovea.exporting.int8.file import Int8Request, int8_content
from fovea.exporting.int8.samples import Samples
from fovea.exporting.int8.settings import Int8Settings
from fovea.exporting.int8.speed import Speed
from fovea.exporting.reference import ProofError
from fovea.exporting.samples import FEWEST, USUAL, generated
from fovea.exporting.settings import ExportSettings

INT8 = ExportSettings(precision="int8")
FASTER = Speed(float_ms=3.0, int8_ms=1.0, ratio=3.0, quartiles=(2.9, 3.1))
SLOWER = Speed(float_ms=1.0, int8_ms=1.25, ratio=0.8, quartiles=(0.7, 0.9))


@pytest.fixture(scope="module")
def write(loaded):
    """Return a function that makes the content of the file of a small network, as fast as is said."""
    stored = generated(loaded.preprocess, count=96).stored
    labels = loaded.scores(stored).argmax(1)

    @cache
    def made(settings=INT8, *, speed=FASTER, **wishes):
        request = Int8Request(
            settings=Int8Settings(**{"max_drop": 20, **wishes}),
            calibration=Samples(stored[:48], loaded.preprocess, source="images of x, split train"),
            validation=Samples(stored[48:], loaded.preprocess, labels[48:], "images of x, split val"),
            display=Display(quiet=True),
        )
        with pytest.MonkeyPatch.context() as patch:  # what this machine is like does not matter
            patch.setattr(core, "compared", lambda *_: speed)
            return int8_content(loaded, settings, request, generated(loaded.preprocess))

    return made


def test_the_file_takes_images_and_gives_decoded_rows_near_those_in_float(write, loaded):
    session = onnxruntime.InferenceSession(write().content)
    stored = generated(loaded.preprocess, count=40).stored
    rows, logits = session.run(None, {"images": stored})
    assert [output.name for output in session.get_outputs()] == ["probabilities", "logits"]
    assert [(each.name, each.type) for each in session.get_inputs()] == [("images", "tensor(uint8)")]
    assert np.abs(rows - loaded.scores(stored)).max() < 0.1
    exact = loaded.outputs(stored).numpy()
    assert np.square(logits - exact).mean() < 0.02 * exact.var(axis=0).mean()


def test_the_card_says_what_was_lost_what_stays_float_and_how_fast_it_is(write):
    made = write(keep=("0",))
    session = onnxruntime.InferenceSession(made.content)
    export = Card.parse(session.get_modelmeta().custom_metadata_map["fovea"], "net.onnx")["export"]
    assert export == json.loads(json.dumps(made.facts))
    assert (export["precision"], export["raw"], export["kept_float"]) == ("int8", False, ["0"])
    assert export["calibrated_on"] == {"images": 48, "source": "images of x, split train"}
    assert {"metric", "float", "int8", "drop", "images", "changed_decisions"} <= export["proof"].keys()
    assert export["speed"]["ratio"] == 3.0


def test_weights_have_a_scale_for_each_output_channel(write):
    graph = onnx.load_from_string(write().content).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name: array for name, array in constants.items() if array.dtype == np.int8 and array.ndim > 1}
    reads = {node.input[0]: node.input[1] for node in graph.node if node.op_type == "DequantizeLinear"}
    assert len(weights) == 3
    assert all(constants[reads[name]].shape == (len(array),) for name, array in weights.items())


def test_a_person_reads_drop_float_layers_and_speed(write):
    lines = write().lines
    assert [line.split()[0] for line in lines] == ["Score", "Drop", "Float", "Speed"]
    assert "48 images of x, split val" in lines[0]
    assert lines[2] == f"Float    none; ranges by {lines[2].split()[-1]}"


def test_where_int8_is_slower_the_file_is_float_and_says_so(write):
    made = write(speed=SLOWER)
    session = onnxruntime.InferenceSession(made.content)
    export = Card.parse(session.get_modelmeta().custom_metadata_map["fovea"], "net.onnx")["export"]
    assert export["precision"] == made.facts["precision"] == "float32"
    assert "1.25 times as long on this machine, so this file is float32" in made.lines[0]


def test_raw_takes_normalised_numbers_and_gives_logits_alone(write, loaded):
    session = onnxruntime.InferenceSession(write(ExportSettings(precision="int8", raw=True)).content)
    assert [(each.name, each.type) for each in session.get_inputs()] == [("input", "tensor(float)")]
    assert [output.name for output in session.get_outputs()] == ["logits"]


def test_with_its_size_left_open_the_file_takes_larger_images(write, loaded):
    session = onnxruntime.InferenceSession(write(ExportSettings(precision="int8", dynamic_size=True)).content)
    stored = generated(loaded.preprocess, count=6, size=(20, 24)).stored
    rows, _ = session.run(None, {"images": stored})
    assert rows.sum(axis=1) == pytest.approx(np.ones(6))


@pytest.mark.parametrize(("off", "refused"), [(1e-7, False), (0.3, True)])
def test_a_file_that_normalises_in_another_way_is_refused_but_not_for_its_last_digit(write, monkeypatch, off, refused):
    def wrong(model, card, settings):
        mean = tuple(value + off for value in card.preprocess.mean)
        preprocess = card.preprocess.with_normalisation(mean, card.preprocess.std)
        return assembled(model, Card(**{**vars(card), "preprocess": preprocess}), settings)

    monkeypatch.setattr(file, "assembled", wrong)
    with pytest.raises(ProofError, match="does not give the same results as its core") if refused else nullcontext():
        write.__wrapped__(keep=("0",))


@pytest.mark.parametrize(("images", "proven"), [(1, FEWEST), (20, 20), (96, USUAL)])
def test_the_float_graph_is_proven_on_validation_images_and_where_they_are_few_on_more(loaded, images, proven):
    stored = generated(loaded.preprocess, count=images).stored
    few = Samples(stored, loaded.preprocess, source="images of x, split val")
    request = Int8Request(settings=Int8Settings(), calibration=few, validation=few, display=Display(quiet=True))
    found = request.proof_samples
    assert len(found.stored) == proven
    assert np.array_equal(found.stored[:images], stored[:proven])
    assert ("generated" in found.source) == (images < FEWEST)

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from fovea.card import Card
from fovea.errors import UsageError
from fovea.exporting import onnx_file
from fovea.exporting.onnx_file import export_onnx, proven
from fovea.exporting.reference import ProofError
from fovea.exporting.samples import generated
from fovea.exporting.settings import ExportSettings
from fovea.inputs.series import SeriesPreprocess

OPEN, HALF = ExportSettings(dynamic_size=True), ExportSettings(precision="float16")


@pytest.fixture(scope="module")
def done(loaded, tmp_path_factory):
    return export_onnx(loaded, tmp_path_factory.mktemp("export") / "net.onnx")


def card_in(session):
    return Card.parse(session.get_modelmeta().custom_metadata_map["fovea"], "net.onnx")


def test_the_file_answers_as_the_network_does(done, loaded):
    stored = generated(loaded.preprocess, count=5).stored
    rows, _ = onnxruntime.InferenceSession(done.path).run(None, {"images": stored})
    np.testing.assert_allclose(rows, loaded.scores(stored), atol=1e-6)


def test_the_card_says_nothing_of_how_tensors_were_coded(loaded, tmp_path):
    coding = {"stored": "coded", "crc32": 0, "tensors": {}}
    bundle = replace(loaded, card=replace(loaded.card, coding=coding))
    done = export_onnx(bundle, tmp_path / "net.onnx")
    card = card_in(onnxruntime.InferenceSession(done.path))
    assert not card.coding and card.format == loaded.card.format


def test_the_card_says_what_the_file_is_and_how_it_was_proven(done, loaded):
    card = card_in(onnxruntime.InferenceSession(done.path))
    export = card["export"]
    assert {key: export[key] for key in ("precision", "raw", "dynamic_size", "opset")} == {
        **{"precision": "float32", "raw": False, "dynamic_size": False, "opset": 20}
    }
    assert export["proof"]["images"] == 64
    assert export["proof"]["largest_difference"] <= export["proof"]["tolerance"]
    assert card.to_dict() == {**loaded.card.to_dict(), "export": export}
    assert done.card.to_dict() == card.to_dict()


def test_what_is_returned_is_what_was_written(done):
    assert done.bytes == done.path.stat().st_size
    assert done.seconds > 0


def test_exporting_twice_writes_the_same_bytes(done, loaded):
    assert proven(loaded)[0] == done.path.read_bytes()


def test_height_and_width_stay_open_and_are_proven_at_another_size(loaded):
    content, proof, _ = proven(loaded, settings=OPEN)
    assert proof.sizes == [[15, 20]]
    stored = generated(loaded.preprocess, count=3, size=(30, 9)).stored
    (logits,) = onnxruntime.InferenceSession(content).run(["logits"], {"images": stored})
    prepare = torch.from_numpy(loaded.preprocess.normalise(stored))
    np.testing.assert_allclose(logits, loaded.model(prepare).detach(), atol=1e-5)


def test_half_precision_is_smaller_and_says_so(loaded, done):
    content, proof, card = proven(loaded, settings=HALF)
    assert len(content) < done.bytes
    assert card["export"]["precision"] == "float16"
    assert 0 < proof.largest_difference <= 0.1 * proof.scale


def flattened(loaded):
    H, W = loaded.preprocess.size
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * H * W, 3))


def test_a_network_of_one_size_is_refused_with_the_size_open(make_loaded, loaded):
    with pytest.raises(UsageError, match="fixed input size; leave out `--dynamic-size`"):
        proven(make_loaded(flattened(loaded)), settings=OPEN)


def test_series_have_no_height_to_leave_open(make_loaded):
    series = SeriesPreprocess(length=4, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(UsageError, match="this model takes series"):
        proven(make_loaded(nn.Linear(4, 3), preprocess=series), settings=OPEN)


class Forgetful(nn.Module):
    """Says the same of every image."""

    def __init__(self):
        super().__init__()
        self.answer = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x):
        return self.answer + 0 * x.mean((1, 2, 3))[:, None]


def test_what_is_not_proven_is_not_written_and_what_was_there_stays(make_loaded, tmp_path):
    place = tmp_path / "net.onnx"
    place.write_bytes(b"the old one")
    with pytest.raises(ProofError, match="predicts the same for every image"):
        export_onnx(make_loaded(Forgetful()), place)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"the old one"]


def test_a_network_that_cannot_be_proven_is_not_traced_first(make_loaded, monkeypatch):
    monkeypatch.setattr(onnx_file, "float_core", lambda *_, **__: pytest.fail("traced"))
    with pytest.raises(ProofError):
        proven(make_loaded(Forgetful()))


def test_a_folder_that_is_not_there_is_said_at_once(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "float_core", lambda *_, **__: pytest.fail("traced"))
    with pytest.raises(UsageError, match="there is no folder"):
        export_onnx(loaded, tmp_path / "none" / "net.onnx")


def test_a_graph_beyond_one_file_is_refused(done, monkeypatch):
    monkeypatch.setattr(onnx_file, "LARGEST", 100)
    with pytest.raises(UsageError, match="the limit of one ONNX file is 100"):
        onnx_file.serialised(onnx.load(done.path))


def test_metadata_is_read_without_this_package(done):
    found = onnxruntime.InferenceSession(done.path).get_modelmeta().custom_metadata_map
    assert json.loads(found["classes"]) == ["cat", "dog", "owl"]
    assert json.loads(found["preprocess"])["size"] == [12, 16]

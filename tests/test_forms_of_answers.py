"""Networks of every form of boxes and points through the commands, tiny and on images that are drawn here."""

import json

import numpy as np
import pytest

import fovea
from fovea import runtime
from fovea.cli import run
from tests.support.drawn_images import drawn

FORMS = {
    "anchors": ("boxes", ["--model", "retinanet", "--set", "backbone=shufflenet_v2_x0_5", "--set", "width=8"]),
    "yolo": ("boxes", ["--model", "yolo_v1", "--set", "width=0.02"]),
    "yolo2": ("boxes", ["--model", "yolo_v2_tiny_voc", "--set", "width=0.02"]),
    "one-box": ("boxes", ["--model", "localiser", "--set", "backbone=cifar_resnet20"]),
    "coordinates": ("points", ["--model", "point_regression", "--set", "backbone=cifar_resnet20"]),
}
"""By the loss of each."""
BRIEF = ["--epochs", "2", "--size", "64", "--set", "threads=1", "--set", "precision=float32", "--set", "batch=4"]


@pytest.fixture(scope="module", params=FORMS)
def trained(request, tmp_path_factory):
    """Return the loss, the data and the run of a short training by the command."""
    kind, words = FORMS[request.param]
    place = tmp_path_factory.mktemp("form")
    data = drawn(place / "data", kind)
    assert run(["train", str(data), "--task", kind, *words, *BRIEF, "--out", str(place / "run")]) == 0
    return request.param, data, place / "run"


def test_the_loss_follows_from_the_network_and_stands_on_the_card(trained):
    loss, data, place = trained
    card = fovea.load(place / "model.safetensors").card
    assert (card.target.loss, card.target.size) == (loss, (64, 64))
    found = fovea.evaluate(place / "model.safetensors", data, split="val", flip=True)
    assert found.figures.to_dict()


def test_random_weights_are_normalised_by_the_images(trained):
    loss, _, place = trained
    arguments = fovea.load(place / "model.safetensors").card["arguments"]
    assert {"anchors": ("frozen_norm", False), "yolo": ("batch_norm", True)}.get(loss, ("c_in", 1)) in arguments.items()


@pytest.mark.parametrize("trained", ["yolo2"], indirect=True)
def test_a_run_that_is_resumed_stays_as_it_ended(trained):
    _, _, place = trained
    kept = fovea.load(place / "model.safetensors").card["results"]
    assert list(fovea.train(resume=place).results) == kept


@pytest.mark.parametrize("trained", ["yolo2", "coordinates"], indirect=True)
def test_an_exported_file_is_decoded_as_the_network_is(trained, tmp_path):
    _, data, place = trained
    fovea.export(place / "model.safetensors", out=tmp_path / "net.onnx")
    exported, bundle = runtime.load(tmp_path / "net.onnx", threads=1), fovea.load(place / "model.safetensors")
    samples = np.stack([bundle.read(path) for path in sorted((data / "images").iterdir())[:3]])
    logits = exported.logits(samples)
    assert np.allclose(logits, bundle.logits(samples), atol=1e-3)
    assert np.array_equal(exported.scores(samples), bundle.target.rows_of(logits))


def test_predictions_are_told_and_explained(trained, tmp_path, capsys):
    _, data, place = trained
    image = str(data / "images" / "00.png")
    assert run(["predict", str(place / "model.safetensors"), image, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert "boxes" in said or {one["label"] for one in said["points"]} == {"low", "high"}
    words = ["explain", str(place / "model.safetensors"), image, "--out", str(tmp_path / "why.html")]
    assert run(words) == 0
    assert (tmp_path / "why.html").stat().st_size > 1000


def test_a_loss_of_another_form_is_refused_in_one_line(trained, tmp_path, capsys):
    loss, data, _ = trained
    kind, words = FORMS[loss]
    other = "centres" if kind == "boxes" else "heat-maps"
    asked = ["train", str(data), "--task", kind, *words, *BRIEF, "--set", f"loss={other}", "--out", str(tmp_path / "r")]
    assert run(asked) == 2
    assert f"it is `{loss}` then" in capsys.readouterr().err.strip().splitlines()[-1]

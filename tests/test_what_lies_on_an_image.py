"""Masks, boxes and points through every command, on images that are drawn here."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import fovea
from fovea import runtime
from fovea.cli import run
from tests.support.drawn_images import SIDE, drawn

TRAINING = {
    "masks": {"model": "unet_padded", "width": 4, "batch_norm": True, "dropout": 0.0, "size": 32},
    "boxes": {"model": "centres", "backbone": "cifar_resnet20", "size": 32},
    "points": {"model": "simple_baseline", "backbone": "cifar_resnet20", "size": 32, "epochs": 6},
}


@pytest.fixture(scope="module", params=["masks", "boxes", "points"])
def trained(request, tmp_path_factory):
    """Return kind, data and the result of a short training."""
    kind = request.param
    place = tmp_path_factory.mktemp(kind)
    data = drawn(place / "data", kind)
    settings = {"epochs": 2, "batch": 4, "threads": 1, "precision": "float32", **TRAINING[kind]}
    result = fovea.train(data, task=kind, out=place / "run", **settings)
    return kind, data, result


def test_a_training_ends_with_a_score_and_a_page(trained):
    kind, _, result = trained
    assert result.task == kind and result.report is not None
    name = {"masks": "miou", "boxes": "ap50", "points": "nme"}[kind]
    assert name in result.results[-1]
    assert "Worst images" in result.report.read_text()


def test_the_kind_is_guessed_from_what_is_found(trained):
    kind, data, _ = trained
    dataset = fovea.find(data)
    assert dataset.task == kind
    assert any(f"the task is `{kind}`" in note for note in dataset.notes)


def test_evaluation_gives_what_training_wrote_on_the_card(trained, tmp_path):
    _, data, result = trained
    found = fovea.evaluate(result.model, data, split="val", html=tmp_path / "page.html")
    wrote = next(one for one in result.results if one["split"] == "val")
    name = found.figures.result("val", images=1, flip=False).keys() - {"split", "images", "flip", "interval"}
    for key in name:
        assert getattr(found.figures, key) == pytest.approx(wrote[key], abs=1e-6)


def test_an_exported_file_says_what_the_network_says(trained, tmp_path):
    kind, data, result = trained
    fovea.export(result.model, out=tmp_path / "net.onnx")
    exported, bundle = runtime.load(tmp_path / "net.onnx", threads=1), fovea.load(result.model)
    samples = np.stack([bundle.read(path) for path in sorted((data / "images").iterdir())[:4]])
    mine, theirs = bundle.scores(samples), exported.scores(samples)
    assert mine.shape == theirs.shape
    if kind == "masks":
        assert (mine[:, 0] != theirs[:, 0]).mean() < 1e-3
    else:  # of objects that are alike the order may differ
        assert np.array_equal(exported.target.rows_of(exported.logits(samples)), theirs)
        assert np.allclose(np.sort(mine[..., -1]), np.sort(theirs[..., -1]), atol=1e-4)


def test_predictions_are_told_in_the_pixels_of_the_image(trained, capsys):
    kind, data, result = trained
    assert run(["predict", str(result.model), str(data / "images" / "00.png"), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    if kind == "masks":
        assert said["size"] == [SIDE, SIDE] and sum(one["pixels"] for one in said["classes"]) == SIDE**2
    elif kind == "points":
        assert {one["label"] for one in said["points"]} == {"low", "high"}
    else:
        assert isinstance(said["boxes"], list)


def test_what_is_averaged_with_the_mirror_image_is_mirrored_for_the_mirror_image(trained, tmp_path, capsys):
    kind, data, result = trained
    with Image.open(data / "images" / "00.png") as image:
        image.convert("RGB").save(tmp_path / "a.png")
        image.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "b.png")
    options = {"min_score": 0.0} if kind == "boxes" else {}
    given, mirrored = (each.prediction for each in fovea.predict(result.model, tmp_path, flip=True, **options))
    if kind == "masks":
        assert (given.mask == mirrored.mask[:, ::-1]).mean() > 0.999
    elif kind == "points":
        np.testing.assert_allclose(given.points[:, 0], SIDE - mirrored.points[:, 0], atol=0.01)
    else:
        assert len(given.found) > 0
        np.testing.assert_allclose(np.sort(given.found[:, 1]), np.sort(SIDE - mirrored.found[:, 3]), atol=0.01)
    assert run(["predict", str(result.model), str(tmp_path / "a.png"), "--flip", "--json"]) == 0
    assert {"image": str(tmp_path / "a.png"), **given.to_dict()}.keys() == json.loads(capsys.readouterr().out)[0].keys()


def test_where_no_image_can_be_read_no_folder_is_made(trained, tmp_path, capsys):
    _, _, result = trained
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert run(["predict", str(result.model), str(tmp_path / "broken.png"), "--out", str(tmp_path / "found")]) == 1
    assert "broken.png" in capsys.readouterr().err and not (tmp_path / "found").exists()


def test_all_that_is_found_is_told_whatever_the_number_of_classes(trained):
    kind, data, result = trained
    bundle, image = fovea.load(result.model), data / "images" / "00.png"
    row = bundle.scores(bundle.read(image)[None])[0]
    (said,) = fovea.predict(bundle, image, **({"min_score": 0.0} if kind == "boxes" else {}))
    wanted = {"masks": 1, "boxes": int((row[..., 0] >= 0).sum()), "points": 2}[kind]
    assert len(said.prediction.scores) >= wanted
    with pytest.raises(fovea.errors.UsageError, match="An ensemble averages"):
        next(iter(fovea.predict(bundle, image, ensemble=[bundle])))


def test_one_thing_in_an_image_is_explained_and_others_are_refused_in_one_line(trained, tmp_path, capsys):
    kind, data, result = trained
    command = ["explain", str(result.model), str(data / "images" / "00.png"), "--out", str(tmp_path / "page.html")]
    if kind != "boxes":  # of which so short a training may find none
        assert run([*command, "--at", "20,20"]) == 0
        assert "gradcam at stage" in capsys.readouterr().out
    wrong = {"masks": ["--object", "1"], "boxes": ["--object", "999"], "points": ["--at", "900,3"]}[kind]
    assert run([*command, *wrong]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")


def test_a_run_that_is_resumed_stays_as_it_ended(trained):
    _, _, result = trained
    assert fovea.train(resume=result.run).results == result.results


def test_views_that_do_not_keep_their_place_are_refused(trained, capsys):
    _, data, result = trained
    assert run(["evaluate", str(result.model), str(data), "--crops", "5"]) == 2
    assert "--flip" in capsys.readouterr().err
    assert run(["evaluate", str(result.model), str(data), "--flip"]) == 0


def test_a_network_that_answers_something_else_is_refused_in_one_line(trained, tmp_path, capsys):
    kind, data, _ = trained
    assert run(["train", str(data), "--task", kind, "--model", "lenet5", "--out", str(tmp_path / "run")]) == 2
    assert f"predicts classes, not {kind}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_written_of_predictions_is_read_back_as_data(trained, tmp_path, capsys):
    kind, data, result = trained
    images = sorted((data / "images").iterdir())[:3]
    assert run(["predict", str(result.model), *map(str, images), "--out", str(tmp_path / "found")]) == 0
    assert len(list((tmp_path / "found" / "pictures").iterdir())) == 3
    if kind == "masks":
        (tmp_path / "found" / "images").mkdir()
        for path in images:
            shutil.copy(path, tmp_path / "found" / "images")
        again = fovea.find(tmp_path / "found")
        assert len(again.parts["train"]) == 3 and again.classes == fovea.load(result.model).classes
    else:
        listed = tmp_path / "found" / f"{kind}.csv"
        assert kind == "boxes" or fovea.find(listed, task=kind).parts["train"].labels.shape == (3, 2, 3)
        assert listed.read_text().count("\n") >= 4


def test_single_objects_are_written_and_read_back(trained, tmp_path, capsys):
    kind, data, result = trained
    out = tmp_path / "found"
    words = ["predict", str(result.model), str(data / "images" / "00.png"), "--out", str(out), "--instances"]
    if kind != "masks":
        assert run([*words, "parted"]) == 2
        assert "`instances` finds objects in masks" in capsys.readouterr().err
        return
    assert run([*words, "parted", "--least-area", "4"]) == 0
    again = fovea.find(out / "instances" / "instances.json", task="masks")
    with Image.open(out / "instances" / "00.png") as picture:
        numbers = np.asarray(picture)
    assert (again.parts["train"].labels[0].read((SIDE, SIDE)) > 0).tolist() == (numbers > 0).tolist()
    assert (out / "instances" / "instances.csv").read_text().count("\n") == numbers.max() + 1
    scores = fovea.evaluate(result.model, out / "instances" / "instances.json", split="whole", html=tmp_path / "i.html")
    assert scores.instances is not None and scores.to_dict()["instances"]["objects"] == numbers.max()
    assert "Single objects" in (tmp_path / "i.html").read_text()
    assert run([*words, "watered"]) == 2 and "parted" in capsys.readouterr().err
    assert run([*words, "parted", "--instances-of", "cell"]) == 2
    assert "Unknown class `cell`" in capsys.readouterr().err
    assert run([*words[:3], "--instances", "parted"]) == 2
    assert "give one with `--out`" in capsys.readouterr().err


def test_pictures_of_classes_are_not_written(tmp_path, capsys):
    assert run(["build", "lenet5", "--out", str(tmp_path / "net.safetensors")]) == 0
    Image.new("L", (32, 32)).save(tmp_path / "a.png")
    words = ["predict", str(tmp_path / "net.safetensors"), str(tmp_path / "a.png"), "--out", str(tmp_path / "found")]
    assert run(words) == 2
    assert "this model predicts a class" in capsys.readouterr().err
    assert not (tmp_path / "found").exists()


def test_what_is_found_can_be_explained(trained, tmp_path, capsys):
    _, data, result = trained
    words = ["explain", str(result.model), str(data / "images" / "01.png"), "--out", str(tmp_path / "why.html")]
    assert run(words) == 0
    assert (tmp_path / "why.html").stat().st_size > 1000


def test_a_preview_shows_what_lies_on_the_images(trained, tmp_path, capsys):
    kind, data, _ = trained
    words = ["train", str(data), "--task", kind, "--preview", "--size", "32", "--out", str(tmp_path / "seen.png")]
    assert run(words) == 0
    with Image.open(tmp_path / "seen.png") as picture:
        values = np.asarray(picture.convert("RGB"), int)
    assert np.ptp(values, axis=2).max() > 40, "grey images with colours on them"


def test_a_check_looks_at_what_lies_on_the_images(trained, capsys):
    kind, data, _ = trained
    assert run(["check", str(data), "--task", kind]) in (0, 1)
    assert "images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        "index {model} {data} --out {out}.fovea-index",
        "label {model} {images} --out {out}.csv",
        "trust {model} {data}",
        "evaluate {model} {data} --retrieval",
    ],
)
def test_what_needs_one_answer_for_a_whole_image_says_so_in_one_line(trained, tmp_path, capsys, command):
    kind, data, result = trained
    given = {"model": result.model, "data": data, "images": data / "images", "out": tmp_path / "out"}
    words = [word.format(**given) for word in command.split()]
    assert run(words) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "whole image" in said and "Traceback" not in said
    assert not list(tmp_path.glob("out*"))

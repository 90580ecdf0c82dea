"""Points of several objects in an image through the commands, on images that are drawn here."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

import fovea
from fovea.cli import run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder of eight images with two bright rectangles each, whose corners COCO's JSON tells of."""
    folder = tmp_path_factory.mktemp("persons")
    (folder / "images").mkdir()
    generator, images, annotations = np.random.default_rng(0), [], []
    for number in range(8):
        noise = generator.integers(0, 60, (48, 96), dtype=np.uint8)
        canvas = Image.fromarray(noise)
        for left in (4, 52):
            x, y, w, h = (int(v) for v in generator.integers([left, 4, 14, 14], [left + 12, 16, 26, 26]))
            ImageDraw.Draw(canvas).rectangle((x, y, x + w, y + h), fill=220)
            points = {"keypoints": [x, y, 2, x + w, y + h, 2], "bbox": [x, y, w, h]}
            annotations.append({"id": len(annotations), "image_id": number, "category_id": 1, **points})
        canvas.save(folder / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 48})
    categories = [{"id": 1, "name": "block", "keypoints": ["low", "high"]}]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "keypoints.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def place(data, tmp_path_factory):
    """Return the run of a short training by the command."""
    run_folder = tmp_path_factory.mktemp("run") / "run"
    words = ["--model", "simple_baseline", "--set", "backbone=cifar_resnet20", "--set", "width=16", "--size", "32"]
    brief = ["--epochs", "2", "--set", "batch=4", "--set", "threads=1", "--set", "precision=float32"]
    assert run(["train", str(data), *words, *brief, "--out", str(run_folder)]) == 0
    return run_folder


def test_each_object_is_learned_and_scored_and_objects_of_one_image_stay_in_one_part(data, place):
    card = fovea.load(place / "model.safetensors").card
    images = card.trained_on.images
    assert images["train"] + images["val"] == 16 and images["val"] % 2 == 0
    found = fovea.evaluate(place / "model.safetensors", data, split="train")
    assert found.figures.per_point["low"]["images"] == images["train"]


def test_a_page_shows_objects_and_a_preview_does(data, place, tmp_path):
    page = tmp_path / "page.html"
    words = [str(place / "model.safetensors"), str(data), "--split", "train", "--html", str(page)]
    assert run(["evaluate", *words]) == 0
    assert ".png #" in page.read_text()
    assert run(["train", str(data), "--preview", "--size", "32", "--out", str(tmp_path / "seen.png")]) == 0


def test_a_check_takes_objects_of_one_image_for_no_copies(data, capsys):
    assert run(["check", str(data), "--json"]) in (0, 1)
    said = json.loads(capsys.readouterr().out)
    assert not [group for group in said["groups"] if group["exact"]]

"""`fovea duplicates`: copies by pixels and by what a network sees, in groups, with what is odd about them."""

import json

import numpy as np
import pytest
from PIL import Image

from fovea.cli import run
from fovea.errors import UsageError
from fovea.jobs.duplicates import duplicates

SHADES = 12


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Return noisy images of many mean colours: one is there twice, one once more with its pixels shuffled."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    folder = tmp_path / "images"
    pixels = {}
    for number in range(SHADES):
        shade = generator.integers(40, 216, size=3)
        pixels[f"train/{'ab'[number % 2]}/{number}.png"] = shade + generator.integers(-40, 40, size=(4, 4, 3))
    pixels["test/a/same.png"] = pixels["train/b/3.png"]
    pixels["test/b/turned.png"] = generator.permutation(pixels["train/a/4.png"].reshape(16, 3)).reshape(4, 4, 3)
    for name, values in pixels.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(folder / name)
    return folder


def names(group):
    return [image.name for image in group.images]


def test_a_network_adds_what_pixels_do_not_tell(make_bundle, images, tmp_path):
    result = duplicates(make_bundle(), images, html=tmp_path / "page.html", ratio=0.01)
    assert [(group.by, names(group)) for group in result.groups] == [
        ("both", ["train/b/3.png", "test/a/same.png"]),
        ("network", ["train/a/4.png", "test/b/turned.png"]),
    ]
    assert all(group.leak and group.conflict for group in result.groups)
    assert result.groups[1].ratio < 0.01
    text = (tmp_path / "page.html").read_text()
    assert text.count("<img ") == 4 and text.index("turned.png") < text.index("same.png")
    assert "in several splits; labels differ" in text


def test_embeddings_are_kept_where_they_are_wanted(make_bundle, images, tmp_path):
    duplicates(make_bundle(), images, index=tmp_path / "x.fovea-index")
    assert (tmp_path / "x.fovea-index").exists()
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(("side", "ratio"), [(8, 0.22), (16, 0.5)])
def test_tiny_images_have_to_be_closer_as_in_check(make_bundle, images, side, ratio):
    for file in images.rglob("*.png"):
        Image.open(file).resize((side, side)).save(file)
    assert duplicates(make_bundle(), images).ratio == ratio
    assert duplicates(make_bundle(), images, ratio=0.3).ratio == 0.3


def test_a_folder_without_labels_has_no_conflicts(make_bundle, images):
    result = duplicates(make_bundle(), images, unlabelled=True, ratio=0.01)
    assert [len(group.images) for group in result.groups] == [2, 2]
    assert not any(group.conflict or group.leak for group in result.groups)


@pytest.mark.parametrize("ratio", [0, 1, -1, float("nan")])
def test_a_ratio_that_is_none_is_refused(make_bundle, images, ratio):
    with pytest.raises(UsageError, match="must be above 0 and below 1"):
        duplicates(make_bundle(), images, ratio=ratio)


def test_the_command_prints_groups(make_bundle, images, capsys):
    command = ["duplicates", str(make_bundle()), str(images), "--ratio", "0.01"]
    assert run(command) == 0
    out = capsys.readouterr().out
    assert (
        "2 groups: 0 found by their pixels, 1 by both, 1 found by the network alone; 2 across splits, 2 with different"
    ) in out
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"pixels": 0, "both": 1, "network": 1}


def test_without_copies_there_is_no_table(make_bundle, colour_folder, capsys):
    assert run(["duplicates", str(make_bundle()), str(colour_folder("single", count=1)), "--ratio", "0.01"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 groups: ")

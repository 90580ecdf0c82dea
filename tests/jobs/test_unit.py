import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fovea.errors import ImageError, UsageError
from fovea.jobs.unit import see_unit
from fovea.measurement.effective import Rectangle
from fovea.registry import build


@pytest.fixture
def stem():
    """The worked example of lecture 002."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 7, stride=2, padding=3)
    return nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_worked_example_of_the_lectures(stem, own_folder):
    # facts/README.md, deck 002: unit (1,1) of layer 2
    seen = see_unit(stem, "2:1,1", (3, 256, 256), out="seen.png")
    shown = seen.to_dict()
    assert shown["unclipped"] == {"rows": [-1, 5], "columns": [-1, 5]}
    assert shown["clipped"] == {"rows": [0, 5], "columns": [0, 5]}
    assert (shown["layer"], shown["row"], shown["column"]) == ("2", 1, 1)
    assert "Sees       rows -1 to 5, columns -1 to 5 (7 x 7), padding included" in seen.summary()
    assert 0 < shown["effective"]["size"] <= 6
    with Image.open(own_folder / "seen.png") as picture:
        assert picture.width > 800


def test_a_network_of_the_zoo_has_the_same_random_weights_every_time(own_folder):
    before = torch.random.get_rng_state()
    first, again = (see_unit("lenet5", "stage2:1,3", out=f"{i}.png") for i in range(2))
    assert torch.equal(first.effective.mass, again.effective.mass)
    assert (own_folder / "0.png").read_bytes() == (own_folder / "1.png").read_bytes()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_picture_is_named_after_network_layer_and_unit(own_folder):
    assert see_unit("lenet5", "stage1.conv:0,27").picture.name == "lenet5-stage1.conv-0-27.png"
    assert [path.name for path in own_folder.iterdir()] == ["lenet5-stage1.conv-0-27.png"]


@pytest.mark.parametrize("c_in", [1, 2])
def test_the_image_is_drawn_for_any_channels(c_in, own_folder):
    pixels = np.random.default_rng(0).integers(0, 255, (50, 40, 3), np.uint8)
    Image.fromarray(pixels).save("image.png")
    model = nn.Sequential(nn.Conv2d(c_in, 2, 3))
    on_grid = see_unit(model, "0:1,1", (c_in, 20, 24), out="grid.png")
    seen = see_unit(model, "0:1,1", (c_in, 20, 24), image="image.png", out="drawn.png")
    assert seen.rectangle == on_grid.rectangle
    assert (own_folder / "grid.png").read_bytes() != (own_folder / "drawn.png").read_bytes()


def test_a_model_file_is_seen_with_its_weights(make_bundle, make_card):
    model = build("lenet5", classes=3, c_in=3, size=32)
    weight = nn.init.zeros_(model.stage1.conv.weight)
    with torch.no_grad():
        weight[:, :, 1, 3] = 1
    changes = {"architecture": "lenet5", "arguments": {"classes": 3, "c_in": 3, "size": 32}}
    path = make_bundle(model=model, preprocess={**make_card()["preprocess"], "size": [32, 32]}, **changes)
    seen = see_unit(path, "stage1.conv:10,10")
    assert seen.rectangle == Rectangle((10, 15), (10, 15))
    assert seen.effective.rectangle == Rectangle((11, 12), (13, 14)) and seen.effective.size == 1


def test_the_network_is_left_as_it_was(stem):
    stem.train()
    see_unit(stem, "3:0,0", (3, 32, 32))
    assert stem.training and all(parameter.grad is None for parameter in stem.parameters())
    assert not any(module._forward_hooks for module in stem.modules())


@pytest.mark.parametrize(
    ("unit", "options", "message"),
    [
        ("3:0;0", {}, "must be LAYER:ROW,COLUMN"),
        ("7:0,0", {}, "Unknown layer `7`"),
        ("3:8,0", {}, r"is outside the map of `3`, which is 8 x 8"),
        ("3:0,0", {"out": "seen.txt"}, "`out` \\(=seen.txt\\) must end in .png, .jpg, .pdf or .svg"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_written(unit, options, message, stem, own_folder):
    with pytest.raises(UsageError, match=message):
        see_unit(stem, unit, (3, 32, 32), **options)
    assert not list(own_folder.iterdir())


def test_an_image_that_is_none_and_a_folder_that_is_none_are_said(stem, own_folder):
    (own_folder / "image.png").write_text("no image")
    with pytest.raises(ImageError):
        see_unit(stem, "3:0,0", (3, 32, 32), image="image.png")
    with pytest.raises(UsageError, match="there is no folder `nowhere`"):
        see_unit(stem, "3:0,0", (3, 32, 32), out="nowhere/seen.png")

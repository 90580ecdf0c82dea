"""`fovea style`: an image that keeps the content and takes the style, and what is refused."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fovea import registry
from fovea.cli import run
from fovea.errors import ImageError, UsageError
from fovea.jobs.style import style

SIDE = 32


@pytest.fixture
def network(make_bundle):
    """Return the file of a small network for colour images, its weights drawn."""
    arguments = {"classes": 3, "c_in": 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = registry.build("cifar_resnet20", **arguments)
    preprocess = {"size": [SIDE, SIDE], "channels": 3, "fit": "squash", "mean": [0.5] * 3, "std": [0.5] * 3}
    fixed = {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128}
    return make_bundle(
        model=model, architecture="cifar_resnet20", arguments=arguments, preprocess={**preprocess, **fixed}
    )


@pytest.fixture
def images(tmp_path):
    """Return the paths of a dark square on grey, and of red and white stripes of another shape."""
    square = np.full((40, 60, 3), 128, np.uint8)
    square[10:30, 20:40] = 20
    stripes = np.zeros((50, 30, 3), np.uint8)
    stripes[..., 0] = 255
    stripes[::4] = 255
    paths = tmp_path / "square.png", tmp_path / "stripes.png"
    for path, pixels in zip(paths, (square, stripes), strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def test_the_picture_keeps_the_shape_and_takes_the_style(network, images, tmp_path):
    found = style(*images, model=network, size=48, settings={"steps": 30}, out=tmp_path / "both.png")
    with Image.open(found.picture) as drawn:
        assert drawn.size == (48, 32)
        red, green, _ = np.asarray(drawn).reshape(-1, 3).mean(0)
    assert red > green + 2
    losses = found.to_dict()["losses"]
    assert losses["style"][1] < 0.7 * losses["style"][0]
    content = style(*images, model=network, size=48, settings={"steps": 30, "style": 0}, out=tmp_path / "same.png")
    assert content.to_dict()["losses"]["content"][1] < losses["content"][1]


def test_the_command_line(network, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["style", *map(str, images), "--model", str(network), "--size", "32", "--set", "steps=2"]
    assert run([*words, "--style-layers", "stage1,stage2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["picture"] == "square-stripes.png" and said["style_layers"] == ["stage1", "stage2"]
    assert (tmp_path / "square-stripes.png").exists()
    assert run([*words, "--style-layers", "stage1, stage2"]) == 0
    capsys.readouterr()
    assert run(["style", *map(str, images)]) == 2
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 8}, r"`size` \(=8\) must be from 16"),
        ({"settings": {"stile": 3}}, "Unknown setting `stile`; did you mean `style`"),
        ({"settings": {"steps": "0"}}, r"`steps` \(=0\) must be at least 1"),
        ({"style_layers": ["stage9"]}, "Unknown layer `stage9`"),
        ({"out": "a.html"}, r"`out` \(=a.html\)"),
    ],
)
def test_what_cannot_be_is_refused(network, images, options, message):
    with pytest.raises(UsageError, match=message):
        style(*images, model=network, **options)


def test_a_search_that_leaves_the_range_of_numbers_writes_no_picture(network, images, tmp_path):
    settings = {"steps": 3, "style": 1e300, "parametrisation": "pixels"}
    with pytest.raises(UsageError, match="The loss became infinite or NaN"):
        style(*images, model=network, size=32, settings=settings, out=tmp_path / "both.png")
    assert not (tmp_path / "both.png").exists()


def test_an_image_that_cannot_be_read_is_named(network, images, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match="broken.png"):
        style(images[0], tmp_path / "broken.png", model=network)

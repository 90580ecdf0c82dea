"""Networks on tiles: joined answers are those of one pass over the image, where one pass can see as much."""

import numpy as np
import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry, tasks
from fovea.card import Card
from fovea.decoding.tiles import Grid
from fovea.errors import UsageError
from fovea.inputs.views import Protocol
from fovea.layers import placed
from fovea.model.bundle import Bundle
from fovea.model.tiled import Asking, said_of, tiling_of
from fovea.preprocess import Preprocess
from fovea.preprocess.windows import mirrored
from fovea.tasks.joining import joining_of
from fovea.zoo.unet import Form, _unet

NAMES = {"masks": ("ground", "cell"), "boxes": ("cell",), "points": ("eye",)}


def bundle(model, size, *, task="masks", fit="tile", channels=1, **arguments):
    """Return a network with random weights that sees images at 0..1."""
    torch.manual_seed(0)
    target = tasks.kind(task)(names=NAMES[task])
    network = (
        model
        if isinstance(model, nn.Module)
        else registry.build(model, classes=target.outputs, c_in=channels, **arguments)
    )
    preprocess = Preprocess(
        size=(size, size), channels=channels, fit=fit, mean=(0.5,) * channels, std=(0.25,) * channels
    )
    card = Card(fovea="0", architecture="custom", arguments={}, target=target, preprocess=preprocess)
    return Bundle(model=placed(network, torch.device("cpu")).eval(), card=card, device=torch.device("cpu"))


def picture(H, W, channels=1):
    return np.random.default_rng(0).integers(0, 256, (H, W, channels), np.uint8)


def reader(pixels, tile):
    def read(place):
        inside = lambda x, y, w, h: pixels[y : y + h, x : x + w]  # noqa: E731
        return mirrored(inside, pixels.shape[:2], left=place.left, top=place.top, size=tile)

    return read


def rows_of(predictor, pixels, **given):
    tiling = tiling_of(predictor, **given)
    said = said_of(predictor, tiling.grid(pixels.shape[:2]), reader(pixels, tiling.tile), Asking(batch=3))
    return tiling.joining.rows(predictor.target, said)


@pytest.fixture(scope="module")
def unet():
    """Return the U-Net of 2015, narrow: tiles of 220 pixels are answered for their inner 36."""
    return bundle(_unet((2, 4, 8, 16, 32), 2, Form(c_in=1, dropout=0.0, padding=0)), 220)


def test_overlap_tiles_of_unet_are_one_pass_over_the_whole_mirrored_image(unet):
    pixels = picture(68, 100)
    tiling = tiling_of(unet)
    padded = np.pad(pixels, ((92, 92), (92, 92), (0, 0)), mode="symmetric")
    with torch.inference_mode():
        whole = unet.model(unet.inputs_of(padded[None]))[0].numpy()
    exact = np.exp(whole[1]) / np.exp(whole).sum(0)
    found = rows_of(unet, pixels)
    sure = np.where(found[0] == 1, found[1], 255 - found[1])

    assert (tiling.margin, tiling.tile, len(tiling.grid((68, 100)))) == (92, (220, 220), 6)
    assert exact.shape == found.shape[1:] == (68, 100)
    np.testing.assert_allclose(sure, 255 * exact, atol=0.51)
    np.testing.assert_array_equal(found[0], exact > 0.5)


def test_an_image_smaller_than_what_a_tile_answers_for_is_answered_whole(unet):
    assert rows_of(unet, picture(20, 30)).shape == (2, 20, 30)


def test_a_padded_network_joins_to_the_size_of_the_image_and_flips_are_averaged():
    predictor = bundle("unet_padded", 32, width=2, batch_norm=True, dropout=0.0)
    pixels = picture(50, 70)
    tiling = tiling_of(predictor)
    grid, read = tiling.grid((50, 70)), reader(pixels, (32, 32))
    plain, flipped = (
        np.stack(list(said_of(predictor, grid, read, Asking(views=views)).outputs))
        for views in (Protocol(), Protocol(flip=True))
    )
    backwards = predictor.logits(np.stack([read(place)[:, ::-1] for place in grid]))[..., ::-1]

    assert tiling.overlap == 0 and rows_of(predictor, pixels, overlap=8).shape == (2, 50, 70)
    np.testing.assert_allclose(flipped, (plain + backwards) / 2, atol=1e-5)


def test_tiles_of_another_size_are_brought_to_the_input_and_back():
    predictor = bundle("unet_padded", 32, fit="letterbox", width=2, batch_norm=True, dropout=0.0)
    tiling = tiling_of(predictor, tile=64)

    assert (tiling.tile, tiling.overlap) == ((64, 64), 8)
    assert rows_of(predictor, picture(70, 90), tile=64).shape == (2, 70, 90)
    assert tiling_of(predictor) is None


def test_objects_of_tiles_lie_in_pixels_of_the_image():
    predictor = bundle("centres", 64, task="boxes", fit="letterbox", channels=3, backbone="cifar_resnet20")
    pixels = picture(96, 160, channels=3)
    tiling = tiling_of(predictor, tile=128)
    alone = predictor.target.rows_of(predictor.logits(predictor.preprocess.read(pixels[:, :96])[None]))[0]
    found = rows_of(predictor, pixels, tile=128)

    assert tiling.overlap == 32 and alone.shape == (100, 6)
    assert found[:, 1:5].min() >= 0 and found[:, 3].max() <= 160 and found[:, 4].max() <= 96
    assert found[:, 3].max() > 128


@pytest.mark.parametrize(
    ("predictor", "given", "message"),
    [
        (
            ("simple_baseline", 32, "points", {"backbone": "cifar_resnet20"}),
            {"tile": 64},
            "Tiles work only for masks and boxes",
        ),
        (("unet_padded", 32, "masks", {"width": 2}), {"tile": 8}, "at least 16"),
        (("unet_padded", 32, "masks", {"width": 2}), {"tile": 32, "overlap": 32}, "below 32 pixels"),
        (("unet_padded", 32, "masks", {"width": 2}), {"overlap": 8}, "works only with tiles"),
    ],
)
def test_what_does_not_go_with_tiles_is_said(predictor, given, message):
    model, size, task, arguments = predictor
    with pytest.raises(UsageError, match=message):
        tiling_of(bundle(model, size, task=task, fit="letterbox", channels=3, **arguments), **given)


def test_a_grid_of_one_tile_is_that_tile():
    assert len(Grid((32, 32), (32, 32), 8)) == 1


@pytest.mark.parametrize("kind", ["classes", "points", "number"])
def test_what_has_one_answer_for_an_image_is_not_cut(kind):
    with pytest.raises(UsageError, match="Tiles work only for masks and boxes"):
        joining_of(tasks.kind(kind))

"""Images larger than the input of a network that sees tiles: a server answers as `fovea predict` does."""

import base64
import io
import time

import numpy as np
import pytest
import torch
from live_server import live
from PIL import Image

import fovea
from fovea import registry, tasks
from fovea.card import Card
from fovea.errors import ImageError
from fovea.model.bundle import save_bundle
from fovea.preprocess import Preprocess
from fovea.serving import tiles
from fovea.serving.tiles import StoppedError, Tiles

SIDE = 32
PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Return the path of a U-Net with random weights that sees tiles."""
    folder = tmp_path_factory.mktemp("tiles")
    torch.manual_seed(0)
    arguments = {"classes": 2, "c_in": 1, "size": SIDE, "width": 2, "batch_norm": True, "dropout": 0.0}
    frame = Preprocess(size=(SIDE, SIDE), channels=1, fit="tile", overlap=8, mean=(0.5,), std=(0.25,))
    card = Card(
        fovea=fovea.__version__,
        architecture="unet_padded",
        arguments=arguments,
        target=tasks.kind("masks")(names=("ground", "cell")),
        preprocess=frame,
    )
    save_bundle(folder / "net.safetensors", registry.build("unet_padded", **arguments).eval(), card)
    return folder / "net.safetensors"


def noise(height, width):
    """Return the bytes of an image of blots."""
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1), np.uint8)
    pixels = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    with io.BytesIO() as stream:
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()


def test_a_server_says_of_a_large_image_what_predict_says(network, tmp_path):
    large, small = noise(70, 90), noise(20, 30)
    (tmp_path / "large.png").write_bytes(large)
    (expected,) = fovea.predict(network, tmp_path / "large.png")
    with live({"net": network}, body_bytes=2_000_000) as server, server.client() as client:
        files = [("image", (name, content, "image/png")) for name, content in (("a", large), ("b", small))]
        first, second = client.post("/predict", files=files).json()["results"]
        assert client.get("/model").json()["drift"]["note"].endswith("tile by tile, and not counted")
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(first["png"]))))
    assert first["size"] == [70, 90] and second["size"] == [20, 30]
    np.testing.assert_array_equal(mask, expected.prediction.mask)
    assert {*np.unique(mask)} == {0, 1}


def test_an_image_of_more_pixels_than_a_server_looks_at_is_refused(network, monkeypatch):
    monkeypatch.setattr(tiles, "MOST_PIXELS", 70 * 90 - 1)
    with live({"net": network}, body_bytes=2_000_000) as server, server.client() as client:
        said = client.post("/predict", content=noise(70, 90), headers=PNG)
    assert said.status_code == 422
    assert "90 x 70 pixels, and the server accepts at most 6,299 pixels" in said.json()["error"]


def test_what_nobody_waits_for_is_not_looked_at_to_the_end(network):
    asked = []

    def wanted():
        asked.append(time.monotonic())
        return len(asked) < 2

    with pytest.raises(StoppedError):
        Tiles(fovea.load(network)).rows(noise(90, 90), wanted)
    assert len(asked) == 2


def test_an_image_that_cannot_be_decoded_is_told_of(network):
    looked = Tiles(fovea.load(network))
    whole = noise(70, 90)
    assert looked.several(whole) and not looked.several(noise(32, 32))
    with pytest.raises(ImageError):
        looked.rows(whole[: len(whole) // 2], lambda: True)

"""Images as a kind of input: where it is found, its geometry, its views, and the registry of kinds."""

import numpy as np
import pytest
import torch

from fovea import inputs
from fovea.errors import UsageError
from fovea.inputs.images import Images
from fovea.inputs.normaliser import Normaliser
from fovea.inputs.views import PLAIN, Protocol
from fovea.preprocess import Preprocess

IMAGES = inputs.kind("images")
GREY = Preprocess(size=(2, 2), channels=1, mean=(0.5,), std=(0.25,))


def test_images_are_the_kind_of_their_preprocessing():
    assert isinstance(IMAGES, Images) and IMAGES.name == GREY.input == "images" and IMAGES.augments
    assert inputs.kind_of(GREY) is IMAGES


@pytest.mark.parametrize("name", ["sounds", ""])
def test_an_unknown_kind_is_refused(name):
    with pytest.raises(UsageError) as caught:
        inputs.kind(name)
    assert str(caught.value) == f"Unknown kind of input `{name}`; choose one of {', '.join(inputs.kinds())}."


def test_a_kind_is_known_from_its_registration_until_it_is_taken_away():
    class Sounds(Images):
        name = "sounds"

    sounds = inputs.register(Sounds())
    assert inputs.kind("sounds") is sounds and inputs.kind("images") is IMAGES
    inputs.unregister("sounds")
    with pytest.raises(UsageError, match="^Unknown kind of input `sounds`"):
        inputs.kind("sounds")


def test_a_preprocessing_without_a_name_is_one_of_images():
    written = GREY.to_dict()
    assert "input" not in written
    assert inputs.from_dict(written) == IMAGES.from_dict(written) == GREY


@pytest.mark.parametrize("name", ["sounds", 3, None])
def test_a_preprocessing_of_an_unknown_kind_is_refused(name):
    with pytest.raises(UsageError, match="^Unknown kind of input"):
        inputs.from_dict({**GREY.to_dict(), "input": name})


def test_the_geometry_is_a_square_with_normalisation_still_open():
    found = IMAGES.geometry(size=32, fit="letterbox", channels=3, native_size=(8, 9))
    assert found == Preprocess(size=(32, 32), channels=3, fit="letterbox", mean=(0.5,) * 3, std=(0.5,) * 3)
    assert (found.shape, found.stored_shape, found.dtype) == ((3, 32, 32), (32, 32, 3), "uint8")


def test_normalisation_can_be_settled_later():
    settled = GREY.with_normalisation((0.1,), (0.2,))
    assert settled == Preprocess(size=(2, 2), channels=1, mean=(0.1,), std=(0.2,))
    assert settled.cache_key == GREY.cache_key  # what is stored does not depend on it


def test_statistics_are_over_pixels_from_0_to_1():
    sample = np.array([[[0, 255, 51]], [[255, 0, 102]]], np.uint8)
    values = IMAGES.per_channel(sample)
    assert values.dtype == np.float64 and values.tolist() == [[0, 1, 0.2], [1, 0, 0.4]]


def test_network_inputs_are_those_of_the_normaliser():
    prepare = IMAGES.network_input(GREY, torch.device("cpu"))
    assert isinstance(prepare, Normaliser)
    stored = np.array([0, 255, 255, 0], np.uint8).reshape(1, 2, 2, 1)
    assert prepare(prepare.arranged(stored)).flatten().tolist() == pytest.approx([-2, 2, 2, -2])


def test_a_plain_view_is_the_image():
    pixels = torch.arange(4, dtype=torch.uint8).view(1, 1, 2, 2)
    assert IMAGES.viewed(GREY, PLAIN) is GREY
    [view] = IMAGES.cut(pixels, GREY, PLAIN)
    assert torch.equal(view, pixels)


def test_views_are_cut_from_what_is_decoded_larger():
    views = Protocol(crops=5)
    larger = IMAGES.viewed(Preprocess(size=(224, 224), channels=1, mean=(0.5,), std=(0.25,)), views)
    assert (larger.size, larger.crop) == ((256, 256), 1.0)
    pixels = torch.arange(16).view(1, 1, 4, 4)
    centre, *corners = IMAGES.cut(pixels, GREY, views)
    assert centre.flatten().tolist() == [5, 6, 9, 10]
    assert [corner.flatten().tolist() for corner in corners] == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_its_own_thumbnail(channels):
    sample = np.random.default_rng(0).integers(0, 256, (4, 5, channels), np.uint8)
    np.testing.assert_array_equal(IMAGES.thumbnail(sample), sample)

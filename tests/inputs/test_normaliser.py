"""The normaliser of images: its formula, the same numbers as NumPy's, back again, and its gradient."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.card import Card
from fovea.inputs.normaliser import Normaliser
from fovea.model.bundle import Bundle
from fovea.preprocess import Preprocess
from fovea.tasks.classes import Classes

CPU = torch.device("cpu")
GREY = Preprocess(size=(2, 2), channels=1, mean=(0.5,), std=(0.25,))
COLOUR = Preprocess(size=(2, 2), channels=3, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
IMAGENET = Preprocess(size=(5, 7), channels=3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
DIGITS = Preprocess(size=(8, 8), channels=1, mean=(0.1307,), std=(0.3081,))


@pytest.fixture
def pixels():
    """Return three images: dark, left bright, bright."""
    return np.array([[[0, 0]] * 2, [[255, 0]] * 2, [[255, 255]] * 2], np.uint8)[..., None]


def noise(preprocess, count=4, *, seed=0):
    """Return random images (N, H, W, C) with every pixel value among them."""
    shape = (count, *preprocess.stored_shape)
    random = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    random.flat[:256] = np.arange(256)[: random.size]
    return random


def test_normalisation_is_its_formula_and_can_be_undone(pixels):
    normalise = Normaliser(GREY, CPU)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    normal = normalise(images)
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal[1, 0], torch.tensor([[2.0, -2.0]] * 2))
    assert torch.equal(normalise.undo(normal), images)


def test_normalised_colour_is_channels_last_with_each_channel_on_its_own():
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    normal = Normaliser(COLOUR, CPU)(images)
    assert normal.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(normal[0, :, 0, 0], torch.tensor([1.0, 1.0, 0.0]))


@pytest.mark.parametrize("preprocess", [GREY, COLOUR, DIGITS, IMAGENET], ids=["grey", "colour", "digits", "imagenet"])
def test_numpy_and_pytorch_normalise_to_the_same_numbers(preprocess):
    stored, prepare = noise(preprocess), Normaliser(preprocess, CPU)
    ours = prepare(prepare.arranged(stored))
    assert tuple(ours.shape) == (len(stored), *preprocess.shape)
    np.testing.assert_allclose(ours.numpy(), preprocess.normalise(stored), rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("preprocess", [DIGITS, IMAGENET], ids=["digits", "imagenet"])
def test_every_pixel_value_comes_back(preprocess):
    prepare = Normaliser(preprocess, CPU)
    images = prepare.arranged(noise(preprocess))
    restored = prepare.undo(prepare(images))
    assert restored.dtype == torch.uint8 and torch.equal(restored, images)


def test_what_lies_outside_the_pixels_is_cut_off():
    prepare = Normaliser(GREY, CPU)  # -2 is 0, 2 is 255
    assert prepare.undo(torch.tensor([[[[-9.0, -1.0, 9.0]]]])).flatten().tolist() == [0, 64, 255]


def test_arranged_images_keep_their_pixels_and_are_channels_last():
    stored = noise(IMAGENET)
    arranged = Normaliser(IMAGENET, CPU).arranged(stored)
    assert arranged.dtype == torch.uint8 and tuple(arranged.shape) == (4, 3, 5, 7)
    assert arranged.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(arranged.permute(0, 2, 3, 1).numpy(), stored)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_normalising_leaves_its_images_as_they_were(dtype):
    prepare = Normaliser(IMAGENET, CPU)
    images = prepare.arranged(noise(IMAGENET)).to(dtype)
    before = images.clone()
    first, again = prepare(images), prepare(images)
    assert torch.equal(images, before) and torch.equal(first, again)


def test_images_of_another_width_are_normalised_alike():
    prepare, whole = Normaliser(IMAGENET, CPU), torch.from_numpy(noise(IMAGENET)).permute(0, 3, 1, 2)
    torch.testing.assert_close(prepare(whole[..., :3]), prepare(whole)[..., :3], rtol=0, atol=0)


@pytest.mark.parametrize("preprocess", [DIGITS, IMAGENET], ids=["digits", "imagenet"])
def test_the_gradient_by_a_pixel_is_that_of_the_formula(preprocess):
    pixels = torch.from_numpy(noise(preprocess)).permute(0, 3, 1, 2).float().requires_grad_()
    Normaliser(preprocess, CPU)(pixels).sum().backward()
    expected = (1 / (255 * torch.tensor(preprocess.std))).view(1, -1, 1, 1).expand_as(pixels)
    torch.testing.assert_close(pixels.grad, expected)


@pytest.fixture
def bundle():
    """Return a network as it is loaded from a file, each channel normalised on its own."""
    preprocess = Preprocess(size=(4, 4), channels=3, mean=(0.25, 0.5, 0.75), std=(0.5, 0.25, 0.125))
    card = Card(architecture="custom", arguments={}, target=Classes(names=("a", "b")), preprocess=preprocess)
    return Bundle(model=nn.Identity(), card=card, device=CPU)


def test_what_a_model_file_sees_is_differentiable_in_its_pixels(bundle):
    pixels = torch.randint(0, 256, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0)).float().requires_grad_()
    bundle.inputs(pixels).sum().backward()
    # 1 / (255 std)
    for channel, expected in enumerate((2 / 255, 4 / 255, 8 / 255)):
        torch.testing.assert_close(pixels.grad[:, channel], torch.full((2, 4, 4), expected))


def test_pictures_and_their_pixels_are_seen_alike(bundle):
    pictures = list(np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8))
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    seen = bundle.inputs(pictures)
    assert seen.dtype == torch.float32
    assert torch.equal(seen, bundle.inputs(pixels)) and torch.equal(seen, bundle.inputs(pixels.float()))
    np.testing.assert_allclose(seen.numpy(), bundle.preprocess.normalise(np.stack(pictures)), rtol=1e-6, atol=2e-6)

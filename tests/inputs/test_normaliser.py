"""The one way from pixels to what a network sees: its formula, its inverse, and that all who go it agree."""

import numpy as np
import pytest
import torch

from fovea.inputs.normaliser import Normaliser
from fovea.model.bundle import load
from fovea.preprocess import Preprocess

CPU = torch.device("cpu")
ROUNDING = 1e-6
"""Of float32: the one divides by the deviation, the other multiplies by its inverse."""
GREY = Preprocess(size=(2, 2), channels=1, mean=(0.5,), std=(0.25,))
COLOUR = Preprocess(size=(4, 4), channels=3, mean=(0.49139968, 0.48, 0.3), std=(0.247, 0.3, 1.0))


@pytest.fixture
def pixels():
    """Return three images: dark, left bright, bright."""
    return np.array([[[0, 0]] * 2, [[255, 0]] * 2, [[255, 255]] * 2], np.uint8)[..., None]


@pytest.fixture
def noise():
    """Return random colour images (N, H, W, C)."""
    return np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)


def test_normalisation_is_its_formula_and_can_be_undone(pixels):
    normalise = Normaliser(GREY, CPU)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    normal = normalise(images)
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal[1, 0], torch.tensor([[2.0, -2.0]] * 2))
    assert torch.equal(normalise.undo(normal), images)


def test_normalised_colour_is_channels_last_with_each_channel_on_its_own():
    preprocess = Preprocess(size=(2, 2), channels=3, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    normal = Normaliser(preprocess, CPU)(images)
    assert normal.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(normal[0, :, 0, 0], torch.tensor([1.0, 1.0, 0.0]))


def test_stored_images_are_arranged_channels_first_without_a_copy(noise):
    arranged = Normaliser(COLOUR, CPU).arranged(noise)
    assert arranged.dtype == torch.uint8 and arranged.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(arranged.permute(0, 2, 3, 1).numpy(), noise)
    assert np.shares_memory(arranged.numpy(), noise)


@pytest.mark.parametrize("preprocess", [GREY, COLOUR], ids=["grey", "colour"])
def test_with_and_without_the_engine_the_numbers_are_the_same(preprocess, noise):
    images = np.ascontiguousarray(noise[..., : preprocess.channels])
    plain, normalise = preprocess.normalise(images), Normaliser(preprocess, CPU)
    assert plain.dtype == np.float32
    np.testing.assert_allclose(normalise(normalise.arranged(images)).numpy(), plain, rtol=0, atol=ROUNDING)


def test_pixels_are_not_changed_by_it(noise):
    normalise, before = Normaliser(COLOUR, CPU), noise.copy()
    normalise(normalise.arranged(noise))
    floats = torch.from_numpy(noise).permute(0, 3, 1, 2).float()
    kept = floats.clone()
    normalise(floats)
    assert np.array_equal(noise, before) and torch.equal(floats, kept)


def test_what_a_bundle_shows_its_network_is_the_same_and_differentiable_in_pixels(make_bundle, make_card, noise):
    mean, std = list(COLOUR.mean), list(COLOUR.std)
    bundle = load(make_bundle(preprocess={**make_card()["preprocess"], "mean": mean, "std": std}))
    shown = bundle.inputs(noise)
    normalise = Normaliser(bundle.preprocess, CPU)
    assert torch.equal(shown, normalise(normalise.arranged(noise)))
    np.testing.assert_allclose(shown.numpy(), bundle.preprocess.normalise(noise), rtol=0, atol=ROUNDING)
    pixels = torch.from_numpy(noise).permute(0, 3, 1, 2).float().requires_grad_()
    same = bundle.inputs(pixels)
    assert torch.equal(same.detach(), shown)
    (gradient,) = torch.autograd.grad(same.sum(), pixels)
    slope = (1 / (255 * torch.tensor(std))).view(1, 3, 1, 1).expand_as(pixels)
    torch.testing.assert_close(gradient, slope)
    assert torch.equal(bundle.inputs(noise[0]), shown[:1])

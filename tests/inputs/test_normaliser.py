"""Pixels become what a network sees in one place; NumPy and PyTorch give the same numbers."""

import numpy as np
import pytest
import torch

from fovea import inputs
from fovea.inputs.normaliser import Normaliser
from fovea.model.bundle import load
from fovea.preprocess import Preprocess

CPU = torch.device("cpu")
GREY = Preprocess(size=(2, 2), channels=1, mean=(0.5,), std=(0.25,))


@pytest.fixture
def pixels():
    """Return three images: dark, left bright, bright."""
    return np.array([[[0, 0]] * 2, [[255, 0]] * 2, [[255, 255]] * 2], np.uint8)[..., None]


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


@pytest.mark.parametrize("channels", [1, 3])
def test_training_and_numpy_normalise_to_the_same_numbers(channels):
    mean, std = ((0.1, 0.5, 0.9)[:channels], (0.2, 0.25, 1.5)[:channels])
    preprocess = Preprocess(size=(7, 5), channels=channels, mean=mean, std=std)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 7, 5, channels), np.uint8)
    prepare = inputs.kind_of(preprocess).network_input(preprocess, CPU)
    found = prepare(prepare.arranged(pixels))
    assert found.dtype == torch.float32 and found.shape == (4, *preprocess.shape)
    np.testing.assert_allclose(found.numpy(), preprocess.normalise(pixels), rtol=1e-6, atol=2e-6)


def test_what_a_model_file_shows_its_network_is_differentiable_in_the_pixels(make_bundle):
    bundle = load(make_bundle(preprocess={**load(make_bundle()).card["preprocess"], "std": [0.5, 1.0, 2.0]}))
    pixels = torch.full((1, 3, 4, 4), 100.0, requires_grad=True)
    seen = bundle.inputs(pixels)
    seen.sum().backward()
    assert torch.allclose(pixels.grad[0, :, 0, 0], 1 / (255 * torch.tensor([0.5, 1.0, 2.0])))
    image = np.full((4, 4, 3), 100, np.uint8)
    assert torch.equal(bundle.inputs(image), seen.detach())
    np.testing.assert_allclose(seen.detach().numpy(), bundle.preprocess.normalise(image[None]), rtol=1e-6)

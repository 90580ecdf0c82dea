"""Colours of whole batches: worked values, distributions, and torchvision's grey."""

import pytest
import torch

from fovea.data.augment.colour import GREY, colour_jitter, grey, luminance, pca_shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def photographs(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(1))


def test_the_luminance_of_pure_colours():
    pure = 100 * torch.eye(3)[:, :, None, None]
    assert luminance(pure).flatten().tolist() == pytest.approx([29.9, 58.7, 11.4])
    assert luminance(pure[:, :2]) is not None and torch.equal(luminance(pure[:, :2]), pure[:, :2])


def test_grey_is_drawn_with_its_probability():
    images = torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None].expand(1000, 3, 1, 1)
    results = grey(images, generator(), probability=0.3)[:, :, 0, 0]
    colours = {tuple(colour) for colour in results.tolist()}
    assert colours == {(255, 0, 0), (76, 76, 76)}
    assert 250 < (results[:, 1] == 76).sum() < 350


@pytest.mark.parametrize("channels", [1, 3])
def test_without_probability_or_strength_images_stay(channels):
    images = photographs(4, channels, 5, 5)
    assert torch.equal(grey(images, generator(), probability=0.0), images)
    assert torch.equal(pca_shift(images, generator(), strength=0.0), images)


def test_grey_is_that_of_torchvision(transforms):
    images = photographs(4, 3, 6, 6).float() / 255
    expected = transforms.functional.rgb_to_grayscale(images, num_output_channels=3)
    ours = grey(255 * images, generator(), probability=1.0) / 255
    torch.testing.assert_close(ours, expected, atol=2e-4, rtol=0)  # its weights are rounded to 0.2989, 0.587, 0.114


def test_pca_adds_one_colour_to_all_pixels_of_an_image():
    images = photographs(5, 3, 4, 4).float() / 8 + 110
    added = pca_shift(images, generator(), strength=5.0) - images
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added), atol=1e-3, rtol=0)
    assert added.abs().amax((1, 2, 3)).min() > 0


def test_pca_colours_are_distributed_as_the_paper_says():
    """Along each eigenvector of the covariance, a normal whose deviation is 0.1 times the eigenvalue."""
    N, directions = 20_000, torch.linalg.qr(torch.randn(3, 3, generator=generator(2))).Q
    spread = torch.randn(N, 3, generator=generator(3)) * torch.tensor([25.0, 15.0, 10.0])
    images = (spread @ directions.T + 127)[:, :, None, None]
    added = (pca_shift(images, generator(), strength=0.1) - images)[:, :, 0, 0] / 255
    eigenvalues, eigenvectors = torch.linalg.eigh(torch.cov(images[:, :, 0, 0].T / 255))
    along = added @ eigenvectors
    torch.testing.assert_close(along.std(0), 0.1 * eigenvalues, rtol=0.05, atol=1e-6)
    correlation = torch.corrcoef(along.T)
    torch.testing.assert_close(correlation, torch.eye(3), atol=0.03, rtol=0)


def test_the_weights_of_grey_sum_to_one():
    assert sum(GREY) == pytest.approx(1)


def test_one_brightness_and_one_contrast_for_all_pixels_of_a_grey_image():
    images = photographs(200, 1, 4, 4).float() / 4 + 96  # 96..160: nothing is cut off
    results = colour_jitter(images, generator(), strength=0.2)
    x, y = (t.flatten(1) - t.mean((1, 2, 3))[:, None] for t in (images, results))
    brightness = results.mean((1, 2, 3)) / images.mean((1, 2, 3))
    gain = (x * y).sum(1) / (x * x).sum(1)
    torch.testing.assert_close(y, gain[:, None] * x, atol=1e-2, rtol=0)
    for factor in (brightness, gain / brightness):
        assert 0.8 - 1e-3 < factor.min() < 0.83
        assert 1.17 < factor.max() < 1.2 + 1e-3


def test_saturation_moves_colours_towards_and_away_from_grey_only():
    colour = torch.tensor([120.0, 100.0, 80.0])
    images = colour[:, None, None].expand(300, 3, 2, 2)
    results = colour_jitter(images, generator(), strength=0.2)[:, :, 0, 0]
    grey = results @ torch.tensor(GREY)
    brightness = grey / (colour @ torch.tensor(GREY))
    chroma = (results[:, 0] - results[:, 2]) / 40 / brightness  # contrast times saturation
    assert 0.64 - 1e-3 < chroma.min() < 0.7
    assert 1.35 < chroma.max() < 1.44 + 1e-3
    torch.testing.assert_close(results[:, 0] - results[:, 1], (results[:, 0] - results[:, 2]) / 2, atol=1e-2, rtol=0)


def test_a_grey_photograph_in_three_channels_stays_grey():
    images = photographs(20, 1, 5, 5).float().expand(-1, 3, -1, -1)
    results = colour_jitter(images, generator(), strength=0.9)
    torch.testing.assert_close(results, results[:, :1].expand(-1, 3, -1, -1), atol=1e-2, rtol=0)


def test_colours_without_strength_are_kept():
    images = photographs(4, 3, 5, 5)
    assert torch.equal(colour_jitter(images, generator(), strength=0.0), images)

"""The coordinates in which images are optimised: there and back, their spectrum, and penalties by hand."""

import pytest
import torch

from fovea.errors import UsageError
from fovea.explanation.maximise.parametrisation import (
    NATURAL_COLOURS,
    Colours,
    Fourier,
    Pixels,
    colour_covariance,
    spectrum,
    total_variation,
)
from fovea.explanation.maximise.search import colours_of
from fovea.explanation.passes import blurred

MEAN = torch.tensor([0.5, 0.45, 0.4], dtype=torch.float64)


@pytest.mark.parametrize("size", [(28, 28), (7, 9), (8, 5), (1, 1)])
@pytest.mark.parametrize("colours", [Colours.of(MEAN, None), Colours.of(MEAN, NATURAL_COLOURS)])
def test_images_come_back_from_their_parameters(size, colours):
    images = 0.01 + 0.98 * torch.rand(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for way in (Pixels(colours), Fourier(colours, size), Fourier(colours, size, decay=0.0)):
        torch.testing.assert_close(way.images(way.parameters(images)), images, rtol=0, atol=1e-12)


def test_the_spectrum_falls_as_one_over_the_frequency():
    scale = spectrum((64, 48), 1.0)
    assert float(scale[2, 0] / scale[4, 0]) == pytest.approx(2)
    assert float(scale[0, 3] / scale[0, 12]) == pytest.approx(4)
    assert float(scale[0, 3] / scale[4, 0]) == pytest.approx(1)  # 3 cycles of 48 pixels are 4 of 64
    assert float(scale[0, 0]) == float(scale[1, 0])  # the mean counts as one cycle
    assert float(spectrum((64, 48), 2.0)[2, 0] / spectrum((64, 48), 2.0)[4, 0]) == pytest.approx(4)


def test_equal_coefficients_make_images_whose_measured_spectrum_falls():
    generator = torch.Generator().manual_seed(0)
    way = Fourier(Colours.of(torch.tensor([0.5]), None), (32, 32))
    images = way.images(0.1 * torch.randn(400, 1, 32, 17, 2, generator=generator))
    power = torch.fft.rfft2(torch.logit(images)[:, 0]).abs().square().mean(0)
    for f in (2, 4, 8):
        assert float(power[0, f] / power[0, 2 * f] if f < 8 else 4) == pytest.approx(4, rel=0.3)
    assert float(power[3, 4] / power[0, 5]) == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("size", [(16, 16), (15, 7)])
def test_coefficients_of_unit_variance_make_pixels_of_unit_variance(size):
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(3000, 1, size[0], size[1] // 2 + 1, 2, generator=generator, dtype=torch.float64)
    way = Fourier(Colours.of(torch.tensor([0.5], dtype=torch.float64), None), size)
    values = torch.logit(way.images(0.01 * coefficients)) * 100
    assert float(values.var()) == pytest.approx(1, rel=0.05)


def test_independent_values_become_channels_of_the_wanted_covariance():
    colours = Colours.of(MEAN, NATURAL_COLOURS)
    values = torch.randn(1, 3, 200, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    covariance = torch.cov(colours.mixed(values)[0].flatten(1))
    expected = NATURAL_COLOURS / NATURAL_COLOURS.diagonal().max()
    torch.testing.assert_close(covariance, expected, rtol=0.03, atol=0.01)


def test_the_covariance_of_given_images():
    images = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).view(1, 2, 1, 2)
    expected = torch.tensor([[0.5, -0.5], [-0.5, 0.5]], dtype=torch.float64)
    assert torch.equal(colour_covariance(images), expected)
    assert colour_covariance(images[:, :1]).shape == (1, 1)
    assert Colours.of(MEAN[:2], colour_covariance(images)).root.isfinite().all()


def test_natural_colours_are_those_of_three_channels():
    assert torch.equal(colours_of(MEAN[:1], "natural").root, torch.eye(1, dtype=torch.float64))
    assert not torch.equal(colours_of(MEAN, "natural").root, torch.eye(3, dtype=torch.float64))
    with pytest.raises(UsageError, match="`colours` is a covariance of"):
        colours_of(MEAN, torch.eye(2))
    with pytest.raises(UsageError, match=r"`colours` \(=red\) must be"):
        colours_of(MEAN, "red")


def test_total_variation_by_hand():
    images = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.5]]).view(1, 1, 2, 3)
    # across 1, 0, 0, 0.5 of 4; down 0, 1, 0.5 of 3
    assert float(total_variation(images)) == pytest.approx(1.5 / 4 + 1.5 / 3)
    assert float(total_variation(images[:, :, :1, :1])) == 0
    assert torch.equal(total_variation(torch.ones(2, 3, 4, 4)), torch.zeros(2))


def test_a_blur_keeps_flat_images_and_the_mass_of_a_point():
    flat = torch.full((1, 2, 5, 4), 0.3)
    torch.testing.assert_close(blurred(flat, 2.0), flat)
    point = torch.zeros(1, 1, 21, 21)
    point[0, 0, 10, 10] = 1
    spot = blurred(point, 1.5)[0, 0]
    assert float(spot.sum()) == pytest.approx(1, abs=1e-5)
    spread = (spot * (torch.arange(21) - 10).square()).sum()
    assert float(spread) == pytest.approx(1.5**2, rel=0.03)

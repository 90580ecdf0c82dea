"""Mean and standard deviation of pixels, by hand and against NumPy."""

import numpy as np
import pytest

from fovea import inputs
from fovea.data.dataset import Part
from fovea.data.statistics import channel_statistics


def part(pixels):
    return Part(labels=np.zeros(len(pixels), np.int64), names=tuple(map(str, range(len(pixels)))), pixels=pixels)


def test_worked_value():
    pixels = np.array([0, 255, 255, 255], np.uint8).reshape(1, 2, 2, 1)
    mean, std = channel_statistics(part(pixels), inputs.kind("images"))
    assert mean == (0.75,) and std == pytest.approx((0.75**0.5 / 2,), abs=1e-6)


def test_every_channel_on_its_own_as_numpy_has_it():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3)).astype(np.uint8) // np.array([1, 2, 4], np.uint8)
    mean, std = channel_statistics(part(pixels), inputs.kind("images"))
    scaled = pixels.astype(np.float64) / 255
    assert mean == pytest.approx(scaled.mean((0, 1, 2)), abs=1e-6)
    assert std == pytest.approx(scaled.std((0, 1, 2)), abs=1e-6)


def test_a_sample_is_spread_over_the_whole_part(monkeypatch):
    monkeypatch.setattr("fovea.data.statistics.MOST_IMAGES", 3)
    pixels = np.repeat(np.array([0] * 50 + [255] * 50, np.uint8), 4).reshape(100, 2, 2, 1)
    # images 0, 49 and 99: black, black, white
    assert channel_statistics(part(pixels), inputs.kind("images")) == ((round(1 / 3, 6),), (round(2**0.5 / 3, 6),))


def test_the_deviation_of_plain_images_can_be_divided_by():
    assert channel_statistics(part(np.full((3, 2, 2, 1), 255, np.uint8)), inputs.kind("images")) == ((1.0,), (0.001,))

"""Disturbances: what each does to pixels by hand, that its neutral level changes nothing, and that draws repeat."""

import numpy as np
import pytest

from fovea.data.disturbances import blur, disturbances, jpeg, noise, rotate, scale, shift


@pytest.fixture
def draws():
    return np.random.default_rng(0)


@pytest.fixture
def images():
    """Return twelve coloured images of 16 x 16 with smooth content."""
    y, x = np.mgrid[:16, :16]
    phase = np.arange(12)[:, None, None, None] + np.arange(3)
    return (127 + 100 * np.sin(0.4 * x[..., None] + 0.3 * y[..., None] + phase)).astype(np.uint8)


def grey(rows):
    return np.array(rows, np.uint8)[None, ..., None]


def test_a_shift_goes_in_each_direction_and_repeats_the_border(draws):
    many = np.repeat(grey([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), 40, axis=0)
    found = {tuple(image.ravel().tolist()) for image in shift(many, 1, draws)}
    assert found == {
        (4, 5, 6, 7, 8, 9, 7, 8, 9),
        (1, 2, 3, 1, 2, 3, 4, 5, 6),
        (2, 3, 3, 5, 6, 6, 8, 9, 9),
        (1, 1, 2, 4, 4, 5, 7, 7, 8),
    }


def test_a_scale_of_two_shows_the_middle_twice_as_large(draws):
    middle = grey([[0, 0, 0, 0], [0, 48, 96, 0], [0, 48, 96, 0], [0, 0, 0, 0]])
    # pixel centres 0 1 2 3 lie -1.5 to 1.5 from the middle; half of that is 0.75 1.25 1.75 2.25, between two pixels
    assert scale(middle, 2, draws)[0, :, :, 0].tolist() == [
        [27, 45, 63, 54],  # three quarters of the next
        [36, 60, 84, 72],  # 3/4 of 48; 3/4 of 48 and 1/4 of 96; 1/4 of 48 and 3/4 of 96; 3/4 of 96
        [36, 60, 84, 72],
        [27, 45, 63, 54],
    ]


def test_a_quarter_turn_is_one_way_or_the_other(images, draws):
    ways = set()
    for image, turned in zip(images, rotate(images, 90, draws), strict=True):
        (way,) = (k for k in (1, 3) if np.abs(turned.astype(int) - np.rot90(image, k)).max() <= 1)
        ways.add(way)
    assert ways == {1, 3}


def test_a_turn_of_an_oblong_image_keeps_its_shape(draws):
    cross = np.zeros((1, 9, 17, 1), np.uint8)
    cross[0, 4, 6:11], cross[0, 2:7, 8] = 255, 255
    assert np.abs(rotate(cross, 90, draws).astype(int) - cross).max() <= 1


def test_blur_of_a_point_is_a_gaussian(draws):
    point = np.zeros((1, 9, 9, 1), np.uint8)
    point[0, 4, 4] = 255
    bell = np.exp(-(np.arange(-3, 4) ** 2) / 2)
    expected = 255 * np.outer(bell, bell) / bell.sum() ** 2
    assert np.abs(blur(point, 1.0, draws)[0, 1:8, 1:8, 0] - expected).max() <= 0.5 + 1e-3


def test_noise_has_its_deviation_and_stays_within_range(draws):
    middle = np.full((1, 200, 200, 1), 128, np.uint8)
    assert noise(middle, 16, draws).std() == pytest.approx(16, rel=0.03)
    assert noise(np.zeros_like(middle), 64, draws).mean() == pytest.approx(64 / np.sqrt(2 * np.pi), rel=0.03)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_comes_closer_with_quality(images, channels, draws):
    images = images[..., :channels]
    off = [np.abs(jpeg(images, quality, draws).astype(int) - images).mean() for quality in (5, 50, 95)]
    assert off[0] > 2 * off[1] > 2 * off[2] > 0


def test_the_neutral_level_changes_nothing_and_the_largest_does(images, draws):
    for kind in disturbances((16, 16)):
        if kind.neutral is not None:
            assert np.array_equal(kind.function(images, kind.neutral, draws), images), kind.name
        spoiled = kind.function(images, kind.levels[0 if kind.name == "JPEG" else -1], draws)
        assert spoiled.shape == images.shape and spoiled.dtype == np.uint8
        assert not np.array_equal(spoiled, images), kind.name


def test_the_same_draws_give_the_same_images(images):
    for kind in disturbances((16, 16)):
        first, second = (kind.function(images, kind.levels[-1], np.random.default_rng(1)) for _ in range(2))
        assert np.array_equal(first, second), kind.name


def test_distances_go_with_the_size_of_the_image():
    small, large = ({kind.name: kind.levels for kind in disturbances(size)} for size in ((28, 28), (224, 300)))
    assert small["shift"] == (1, 2, 3, 4, 6, 8) and large["shift"] == (8, 16, 24, 32, 48, 64)
    assert small["blur"][0] == 0.28 and large["blur"][0] == 2.24
    assert small["rotation"] == large["rotation"]
    assert {kind.name: kind.levels for kind in disturbances((4, 4))}["shift"] == (1,)

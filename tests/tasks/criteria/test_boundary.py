"""The weights of U-Net's equation 2: by hand, and from distances to all pixels of all objects."""

import numpy as np
import pytest
from scipy.ndimage import find_objects

from fovea.instances import connected
from fovea.metrics.masks import VOID
from fovea.tasks.criteria import boundary
from fovea.tasks.criteria.boundary import boundary_weights, nearest_two


def test_a_gap_of_one_pixel_by_hand():
    """d1 = d2 = 1 in the gap: 1 + 10 exp(-4 / 50). Left of both 1 and 4."""
    weights = boundary_weights(np.array([[[0, 1, 1, 0, 1]]], np.uint8))[0, 0]
    assert weights[1:] == pytest.approx([1, 1, 1 + 10 * np.exp(-4 / 50), 1])
    assert weights[0] == pytest.approx(1 + 10 * np.exp(-((1 + 4) ** 2) / 50))


def test_void_counts_nothing_and_one_object_alone_adds_nothing():
    mask = np.array([[[0, VOID, 1, 0]]], np.uint8)
    assert boundary_weights(mask).tolist() == [[[1, 0, 1, 1]]]


def test_the_background_can_be_another_class():
    mask = np.array([[[0, 0, 1, 0]]], np.uint8)
    assert boundary_weights(mask, background=1)[0, 0, 2] == pytest.approx(1 + 10 * np.exp(-4 / 50))


def test_distances_are_those_to_all_pixels():
    region = np.random.default_rng(0).random((25, 30)) < 0.04
    objects = connected(region)
    first, second = nearest_two(objects, reach=40)
    places = np.argwhere(np.ones_like(region))
    each = [
        np.linalg.norm(places[:, None] - np.argwhere(objects == number)[None], axis=2).min(axis=1)
        for number in range(1, objects.max() + 1)
    ]
    nearest = np.sort(np.stack(each), axis=0)
    np.testing.assert_allclose(first.ravel(), nearest[0])
    np.testing.assert_allclose(second.ravel(), nearest[1])


def test_many_objects_are_looked_at_by_the_digits_of_their_numbers_with_the_same_result():
    objects = connected(np.random.default_rng(2).random((40, 50)) < 0.15)
    few = find_objects(objects)
    whole = [(slice(0, 40), slice(0, 50))] * len(few)
    assert len(few) > 60 and len(few).bit_length() * 2 + 1 < len(few)
    found, expected = nearest_two(objects, reach=50), boundary._one_by_one(objects, whole)
    np.testing.assert_allclose(found, expected)


def test_a_window_around_each_object_gives_the_weights_of_the_whole():
    mask = (np.random.default_rng(1).random((1, 60, 70)) < 0.004).astype(np.uint8)
    first, second = nearest_two(connected(mask[0] == 1), reach=100)
    expected = np.where(mask[0] == 0, 1 + 10 * np.exp(-((first + second) ** 2) / 50), 1)
    np.testing.assert_allclose(boundary_weights(mask)[0], expected, atol=4e-3)

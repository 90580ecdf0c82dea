"""Outlines go around a region, along its pixels, with no more corners than they need."""

import numpy as np
import pytest

from fovea.data.annotating.outlines import outer_ring
from fovea.data.shapes import polygon


def drawn(ring, size):
    return polygon(np.array(ring, np.float32).reshape(-1, 2), size)


def test_a_rectangle_has_four_corners():
    region = np.zeros((6, 8), bool)
    region[1:4, 2:7] = True
    assert outer_ring(region) == [2, 1, 7, 1, 7, 4, 2, 4]


def test_nothing_has_no_outline():
    assert outer_ring(np.zeros((3, 3), bool)) == []


@pytest.mark.parametrize("seed", range(4))
def test_without_tolerance_it_covers_the_same_pixels(seed):
    from scipy.ndimage import binary_fill_holes

    from fovea.instances import connected

    noise = np.random.default_rng(seed).random((15, 17)) < 0.5
    objects = connected(noise)
    for number in range(1, int(objects.max()) + 1):
        # holes that are open at a corner only are closed by neither
        filled = binary_fill_holes(objects == number)
        assert (drawn(outer_ring(objects == number, tolerance=0), noise.shape) & ~filled).sum() == 0
        assert (drawn(outer_ring(objects == number, tolerance=0), noise.shape) | ~(objects == number)).all()


def test_a_disc_keeps_its_area_with_few_corners():
    y, x = np.mgrid[:80, :80]
    disc = (x - 40) ** 2 + (y - 37) ** 2 < 30**2
    ring = outer_ring(disc)
    assert len(ring) < 60
    assert (drawn(ring, disc.shape) != disc).sum() < 0.04 * disc.sum()

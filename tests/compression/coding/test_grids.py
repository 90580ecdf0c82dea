"""Rows on a grid are found from their numbers, come back to the bit, and nothing else is taken for one."""

import numpy as np
import pytest

from fovea.compression.coding.grids import LIMIT, MINUS_ZERO, of_rows, rows_on

generator = np.random.default_rng(0)


def on_grid(*, limit=LIMIT, scale=1.0):
    steps = generator.integers(-limit, limit + 1, (12, 40)).astype(np.float32)
    steps[:, 0] = limit
    return steps * (scale * generator.random((12, 1))).astype(np.float32)


def test_a_grid_by_hand():
    found = of_rows(np.array([[63.5, -0.5, 0.0, -0.0]], np.float32))
    assert found.scales.tolist() == [0.5]
    assert found.steps.tolist() == [254, 126, 127, MINUS_ZERO]


@pytest.mark.parametrize("limit", [127, 100, 7, 1])
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_rows_come_back_to_the_bit(limit, scale):
    rows = on_grid(limit=limit, scale=scale)
    rows[3] = 0
    rows[4, 5] = -0.0
    found = of_rows(rows)
    assert np.array_equal(rows_on(*found).view(np.uint32), rows.ravel().view(np.uint32))


def test_rows_on_no_grid_are_none():
    assert of_rows(generator.normal(size=(12, 40)).astype(np.float32)) is None
    mostly = on_grid()
    mostly[11, 7] = np.nextafter(mostly[11, 7], np.float32(1))
    assert of_rows(mostly) is None
    for wrong in (np.nan, np.inf):
        rows = on_grid()
        rows[0, 1] = wrong
        assert of_rows(rows) is None


def test_the_smallest_numbers_are_no_grid_or_come_back():
    rows = np.full((2, 3), np.float32(1e-45))
    found = of_rows(rows)
    assert found is None or np.array_equal(rows_on(*found), rows.ravel())


def test_any_scale_is_multiplied_without_a_warning():
    scales = np.array([np.nan, np.inf, 3e38], np.float32)
    assert rows_on(scales, np.full(6, 254, np.uint16)).shape == (6,)

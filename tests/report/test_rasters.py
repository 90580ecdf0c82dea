"""Pictures made of numbers, pixel by pixel."""

import numpy as np
import pytest
import torch

from fovea.report.rasters import HEAT, confusion_picture, filter_grid, heat_map


def test_filters_lie_in_a_grid_around_grey():
    filters = torch.zeros(17, 1, 2, 2)
    filters[0, 0, 0, 0], filters[16, 0, 1, 1] = 2.0, -1.0
    grid = filter_grid(filters.numpy())
    assert grid.shape == (5, 16 * 3 - 1, 4)
    assert grid[0, 0].tolist() == [255] * 4 and grid[0, 1].tolist() == [128, 128, 128, 255]
    assert grid[4, 1].tolist() == [64, 64, 64, 255]
    assert grid[:, 2, 3].tolist() == [0] * 5 and grid[2, :, 3].max() == 0  # gaps


def test_filters_of_nothing_are_grey():
    assert np.unique(filter_grid(np.zeros((2, 3, 2, 2), np.float32))[..., :3]).tolist() == [0, 128]


def test_heat_goes_by_the_logarithm_and_leaves_gaps():
    low, middle, high, gap, below = heat_map([[1e-2, 1.0, 1e2, None, 0.0]], low=1e-2, high=1e2)[0]
    assert [tuple(colour[:3]) for colour in (low, middle, high)] == [tuple(HEAT[index]) for index in (0, 2, 4)]
    assert gap[3] == 0 and tuple(below) == tuple(low)


def test_a_confusion_is_covered_by_its_share_of_the_row():
    picture = confusion_picture(np.array([[3, 1], [0, 0]]))
    assert picture[0, :, 3].tolist() == pytest.approx([255 * 0.75**0.5, 255 * 0.5], abs=0.5)
    assert picture[1, :, 3].tolist() == [0, 0]
    assert tuple(picture[0, 0, :3]) != tuple(picture[0, 1, :3])

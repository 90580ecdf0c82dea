"""Maxima of heat maps: by hand, and against a look at all neighbours."""

import numpy as np
import pytest

from fovea.decoding.peaks import maxima, peaks, points


def neighbours(values, y, x):
    return values[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]


def test_a_maximum_is_as_high_as_all_its_neighbours():
    maps = np.random.default_rng(0).integers(0, 9, (2, 3, 7, 5)).astype(np.float32)
    for at, is_highest in np.ndenumerate(maxima(maps)):
        assert is_highest == (maps[at] == neighbours(maps[at[:2]], *at[2:]).max())


def test_the_highest_come_first_and_of_equal_ones_the_first():
    maps = np.zeros((2, 3, 9), np.float32) - 5
    maps[1, 1, 1], maps[0, 1, 4], maps[1, 2, 7] = 3, 4, 3
    found = peaks(maps, most=9, least=0)
    assert list(zip(found.maps, found.rows, found.columns, strict=True)) == [(0, 1, 4), (1, 1, 1), (1, 2, 7)]
    assert found.values.tolist() == [4, 3, 3]
    assert peaks(maps, most=2, least=0).rows.tolist() == [1, 1]
    assert len(peaks(maps, most=2, least=4.5).values) == 0


def test_a_point_is_a_quarter_cell_nearer_to_the_higher_neighbour():
    maps = np.zeros((1, 5, 6), np.float32)
    maps[0, 2, 3], maps[0, 2, 4], maps[0, 1, 3] = 1, 0.5, 0.25
    assert points(maps, stride=4)[0] == pytest.approx([(3.5 + 0.25) * 4, (2.5 - 0.25) * 4, 1])


def test_at_the_edge_and_between_equals_a_point_stays_in_the_middle_of_its_cell():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, 0, 3], maps[1, 1, 1] = 1, 1
    assert points(maps, stride=2).tolist() == [[7, 1, 1], [3, 3, 1]]


def test_points_of_a_batch_are_those_of_each_map():
    maps = np.random.default_rng(1).normal(size=(3, 2, 6, 5)).astype(np.float32)
    found = points(maps, stride=4)
    assert found.shape == (3, 2, 3)
    for n, p in np.ndindex(3, 2):
        y, x = np.unravel_index(maps[n, p].argmax(), (6, 5))
        assert abs(found[n, p, :2] / 4 - [x + 0.5, y + 0.5]).max() <= 0.25
        assert found[n, p, 2] == maps[n, p].max()

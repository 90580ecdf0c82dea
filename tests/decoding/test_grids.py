"""Boxes of the grid forms: what was put into cells is found again."""

import numpy as np
import pytest

from fovea.decoding.boxes import logit
from fovea.decoding.grids import Grid, Kept, OneBox, PriorGrid, softmax

SIZE = (32, 64)


def test_a_box_of_a_cell_by_hand():
    """In the cell of column 2, row 1 of 4 x 2: middle at 2.5 / 4 and 1.25 / 2 of 64 x 32, sides 1/4 and 1/2."""
    maps = np.zeros((1, 2 * 5 + 2, 2, 4), np.float32)
    maps[0, 5:10, 1, 2] = 0.5, 0.25, np.sqrt(0.25), np.sqrt(0.5), 0.8
    maps[0, 10:, 1, 2] = 0.1, 0.9
    (rows,) = Grid(size=SIZE).decoded(maps)
    assert rows[:, 0].tolist() == [1, 0]
    assert rows[0, 1:5] == pytest.approx([32, 12, 48, 28], abs=1e-5)
    assert rows[:, 5] == pytest.approx([0.72, 0.08])


def test_a_box_of_a_prior_by_hand():
    """The prior is 1 x 1 cells; twice as wide and as high it is 32 x 16 pixels around 2.5, 0.5 cells of 16."""
    maps = np.full((1, 2 * 7, 2, 4), -20, np.float32)
    maps[0, 7:, 0, 2] = 0, 0, np.log(2), 0, logit(0.8), 0, np.log(3)
    (rows,) = PriorGrid(size=SIZE, priors=((3.0, 3.0), (1.0, 1.0))).decoded(maps)
    assert rows[:, 0].tolist() == [1, 0]
    assert rows[0, 1:5] == pytest.approx([24, 0, 56, 16], abs=1e-5)
    assert rows[:, 5] == pytest.approx([0.8 * 0.75, 0.8 * 0.25])


def test_one_box_by_hand():
    (row,) = OneBox(size=SIZE).decoded(np.array([[0, np.log(4), 0.75, 0.25, 0.5, 1.5]], np.float32))[0]
    assert row == pytest.approx([1, 32, 8, 48, 32, 0.8])  # the corners in their order, and inside of the input


def test_what_is_kept_is_the_best_of_each_class_and_the_most_at_most():
    boxes, scores = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [20, 0, 29, 9.0]]), np.array([[0.9, 0], [0.8, 0.3], [0.5, 0]])
    assert Kept().rows(boxes, scores)[:, [0, 5]].tolist() == [[0, 0.9], [0, 0.5], [1, 0.3]]
    assert Kept(most=1).rows(boxes, scores)[:, 5].tolist() == [0.9]
    assert Kept(candidates=2).rows(boxes, scores)[:, 5].tolist() == [0.9]
    assert Kept(least=0.95).rows(boxes, scores).shape == (0, 6)


def test_probabilities_do_not_overflow():
    assert softmax(np.array([[1000.0, 1000.0], [-1000, 0]])).tolist() == [[0.5, 0.5], [0, 1]]
    wild = np.full((1, 7, 2, 2), 1e6, np.float32)
    assert np.isfinite(PriorGrid(size=SIZE, priors=((1.0, 1.0),)).decoded(wild)[0]).all()

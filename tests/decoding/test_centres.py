"""Boxes of the centre form: what was put into the maps is found again."""

import numpy as np
import pytest

from fovea.decoding.centres import Centres, distances

LOW = -9.0


def outputs_with(*objects, K=2, h=8, w=10, stride=4):
    """Return outputs whose maps have a peak of the given logit for each (class, x0, y0, x1, y1, logit)."""
    outputs = np.full((1, K + 4, h, w), LOW, np.float32)
    for index, x0, y0, x1, y1, logit in objects:
        column, row = (x0 + x1) // 2 // stride, (y0 + y1) // 2 // stride
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        outputs[0, index, row, column] = logit
        outputs[0, K:, row, column] = np.log(np.array([x - x0, y - y0, x1 - x, y1 - y]) / stride)
    return outputs


def test_objects_are_found_where_they_were_put():
    outputs = outputs_with((1, 4, 3, 21, 18, 2.0), (0, 20, 14, 39, 31, 0.0))
    (rows,) = Centres().decoded(outputs)
    assert rows[:, :5] == pytest.approx(np.array([[1, 4, 3, 21, 18], [0, 20, 14, 39, 31]]), abs=1e-4)
    assert rows[:, 5] == pytest.approx([1 / (1 + np.exp(-2)), 0.5])


def test_low_scores_and_those_beyond_the_most_are_left_out():
    outputs = outputs_with((1, 4, 3, 21, 18, 2.0), (0, 20, 14, 39, 31, 0.0))
    assert len(Centres(least=0.6).decoded(outputs)[0]) == 1
    assert len(Centres(most=1).decoded(outputs)[0]) == 1
    assert Centres(least=1).decoded(outputs)[0].shape == (0, 6)
    assert len(Centres(least=0).decoded(outputs)[0]) > 2


def test_two_peaks_on_one_object_are_one_box():
    outputs = outputs_with((1, 4, 3, 21, 18, 2.0))
    outputs[0, 1, 4, 4], outputs[0, 2:, 4, 4] = 1.0, np.log([14 / 4, 15 / 4, 3 / 4, 0.25])
    assert len(Centres(overlap=0.6).decoded(outputs)[0]) == 1
    assert len(Centres(overlap=1).decoded(outputs)[0]) == 2


def test_boxes_end_with_the_input_and_nothing_overflows():
    outputs = outputs_with((0, 4, 3, 21, 18, 80.0))
    outputs[0, 2:] = 1e6
    (row,) = Centres().decoded(outputs)[0]
    assert row.tolist() == [0, 0, 0, 40, 32, 1]
    assert np.isfinite(distances(np.array([-1e9, 1e9]))).all()

"""Boxes of anchors: deltas by hand, and what suppression leaves."""

import numpy as np
import pytest

from fovea.decoding.anchors import LARGEST, Anchored, boxes_of

ANCHORS = np.array([[0, 0, 10, 20], [2, 0, 12, 20], [40, 40, 60, 60]], np.float32)


def outputs_of(*rows):
    return np.array([rows], np.float32)


def test_deltas_by_hand():
    """Half a side to the right, a tenth up, twice as wide, as high: centre 10, 8 and 20 x 20 pixels."""
    deltas = np.array([[0.5, -0.1, np.log(2), 0]])
    assert boxes_of(deltas, ANCHORS[:1])[0] == pytest.approx([0, -2, 20, 18])
    assert boxes_of(np.array([[0, 0, 99, 0]]), ANCHORS[:1])[0, 2] == pytest.approx(5 + 5 * np.exp(LARGEST))


def test_the_best_of_a_class_stays_and_boxes_end_with_the_input():
    decoder = Anchored(anchors=ANCHORS, size=(50, 50))
    (rows,) = decoder.decoded(outputs_of([2, -9, 0, 0, 0, 0], [3, 1, 0, 0, 0, 0], [-1, -9, 0, 0, 0, 0]))
    assert rows[:, :5].tolist() == [[0, 2, 0, 12, 20], [1, 2, 0, 12, 20], [0, 40, 40, 50, 50]]
    assert rows[:, 5] == pytest.approx(1 / (1 + np.exp([-3, -1, 1])))


def test_low_scores_and_those_beyond_the_most_are_left_out():
    outputs = outputs_of([2, -9, 0, 0, 0, 0], [3, 1, 0, 0, 0, 0], [-1, -9, 0, 0, 0, 0])
    assert len(Anchored(anchors=ANCHORS, size=(50, 50), least=0.5).decoded(outputs)[0]) == 2
    assert len(Anchored(anchors=ANCHORS, size=(50, 50), most=1).decoded(outputs)[0]) == 1
    assert Anchored(anchors=ANCHORS, size=(50, 50), least=0.99).decoded(outputs)[0].shape == (0, 6)

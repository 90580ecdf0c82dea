"""Errors of detection by kind: each by hand, their costs by the paper's rules, and who is taken for whom."""

import numpy as np
import pytest

from fovea.metrics.boxes import compared_boxes, score_boxes
from fovea.metrics.detection_errors import class_confusion, error_kinds, found_by_size

THERE = [0, 0, 10, 10]
HALF_OFF = [0, 0, 10, 4]  # overlaps by 0.4
ELSEWHERE = [50, 50, 60, 60]


def compared(truth, found):
    return compared_boxes(np.array(truth, np.float32).reshape(-1, 6), np.array(found, np.float64).reshape(-1, 6))


def counts_and_costs(*images, classes=2):
    kinds = error_kinds([compared(*image) for image in images], classes=classes)
    return {kind.name: kind.errors for kind in kinds if kind.errors}, {
        kind.name: pytest.approx(kind.cost) for kind in kinds if kind.cost
    }


TRUTH = [[0, *THERE, 0]]


@pytest.mark.parametrize(
    ("found", "kind", "cost"),
    [
        ([[0, *HALF_OFF, 0.9]], "location", 1),  # mended it is the object
        ([[1, *THERE, 0.9]], "class", 1),
        ([[0, *THERE, 0.9], [0, *THERE, 0.8]], "duplicate", 0),  # the precision is 1 up to there already
        ([[0, *ELSEWHERE, 0.9], [0, *THERE, 0.8]], "background", 0.5),  # precision 1/2
        ([[1, *HALF_OFF, 0.9], [0, *THERE, 0.8]], "both", 0),  # of a class that nobody wants
        ([], "missed", 1),
    ],
)
def test_each_kind_by_hand(found, kind, cost):
    counts, costs = counts_and_costs((TRUTH, found))
    assert counts == {kind: 1}
    assert costs == ({kind: cost} if cost else {})


def test_an_object_for_which_an_error_stands_is_not_missed_and_is_mended_once():
    found = [[0, *HALF_OFF, 0.9], [1, *THERE, 0.8]]
    counts, costs = counts_and_costs((TRUTH, found))
    assert counts == {"location": 1, "class": 1}
    assert costs == {"location": 1}  # the better one is mended, and of the other nothing is left


def test_what_lies_in_a_crowd_is_no_error():
    assert counts_and_costs(([[0, *THERE, 1]], [[0, *THERE, 0.9], [0, *THERE, 0.8]])) == ({}, {})


def test_without_errors_and_without_anything_nothing_is_said():
    assert counts_and_costs((TRUTH, [[0, *THERE, 0.9]])) == ({}, {})
    assert counts_and_costs(([], [])) == ({}, {})


def test_mending_nothing_leaves_the_average_precision_at_half_overlap():
    """Two of three are found, one of them after a box in the background: what is missed costs what lacks of recall."""
    truth = [[0, *THERE, 0], [0, *ELSEWHERE, 0], [0, 100, 0, 110, 10, 0]]
    found = [[0, *THERE, 0.9], [0, 200, 0, 210, 10, 0.8], [0, *ELSEWHERE, 0.7]]
    (image,) = [compared(truth, found)]
    scores, _ = score_boxes([np.array(truth, np.float32)], [np.array(found)], classes=1)
    costs = {kind.name: kind.cost for kind in error_kinds([image], classes=1)}
    assert scores.ap50 == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert costs["background"] == pytest.approx(67 / 101 - scores.ap50)
    assert costs["missed"] == pytest.approx((51 + 50 * 2 / 3) / 101 - scores.ap50)


def test_confusion_by_hand():
    """Found as 1 what is 0; one of 1 missed; one where nothing is; one in a crowd, and one not sure enough."""
    truth = [[0, *THERE, 0], [1, *ELSEWHERE, 0], [0, 100, 0, 120, 20, 1]]
    found = [[1, *THERE, 0.9], [0, 200, 0, 210, 10, 0.8], [0, 100, 0, 110, 10, 0.7], [1, *ELSEWHERE, 0.2]]
    counts = class_confusion([compared(truth, found)], classes=2, least=0.3)
    assert counts.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert class_confusion([compared(truth, found)], classes=2, least=0.1)[1].tolist() == [0, 1, 0]


def test_in_confusion_the_nearest_pair_comes_first():
    found = [[1, 0, 0, 10, 8, 0.9], [0, *THERE, 0.4]]
    assert class_confusion([compared(TRUTH, found)], classes=2, least=0.3).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_sizes_are_square_roots_of_areas_and_what_is_found_has_the_class_and_the_score():
    truth = [[0, 0, 0, 4, 4, 0], [0, 10, 10, 14, 14, 0], [1, 20, 20, 36, 36, 0], [0, 50, 50, 60, 60, 1]]
    found = [[0, 0, 0, 4, 4, 0.9], [0, 10, 10, 14, 14, 0.1], [0, 20, 20, 36, 36, 0.9]]
    bins = found_by_size([compared(truth, found), compared([], [])], least=0.3)
    assert [(each.objects, each.found) for each in bins] == [(2, 1), (0, 0), (0, 0), (0, 0), (1, 0)]
    assert (bins[0].low, bins[0].high, bins[-1].low) == (4, pytest.approx(32**0.5), 16)
    assert [each.found for each in found_by_size([compared(truth, found)], least=0.1)] == [2, 0, 0, 0, 0]
    assert found_by_size([compared([], found)], least=0) == []

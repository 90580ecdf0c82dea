import numpy as np
import pytest

from fovea.errors import UsageError
from fovea.retrieval.selection import check_way, core_set, doubt_by_entropy, doubt_by_margin, doubts_of, most_doubtful

NOTHING = np.empty((0, 1), np.float32)


def test_the_two_ways_to_be_unsure_by_hand():
    probabilities = np.array([[0.5, 0.4, 0.1], [0.4, 0.3, 0.3], [1.0, 0.0, 0.0]])
    assert doubt_by_margin(probabilities) == pytest.approx([0.9, 0.9, 0.0])
    entropy = doubt_by_entropy(probabilities)
    assert entropy[1] == pytest.approx(-(0.4 * np.log(0.4) + 0.6 * np.log(0.3))) and entropy[2] == 0
    assert entropy[1] > entropy[0]


def test_of_several_labels_the_least_sure_counts_or_all_of_them():
    probabilities = np.array([[0.5, 0.99], [0.7, 0.7]])
    assert doubts_of(probabilities, by="margin", several=True) == pytest.approx([1.0, 0.6])
    entropy = doubts_of(probabilities, by="entropy", several=True)
    each = [-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in (0.5, 0.99, 0.7)]
    assert entropy == pytest.approx([each[0] + each[1], 2 * each[2]])
    assert doubts_of(probabilities[:1], by="margin", several=False) == pytest.approx([1 - 0.49])


def test_the_most_doubtful_come_first_and_of_equal_ones_the_first():
    assert most_doubtful(np.array([0.2, 0.9, 0.5, 0.9]), 3).tolist() == [1, 3, 2]


def test_the_farthest_from_all_that_is_known_comes_first():
    points = np.array([[0.0], [1.0], [5.0], [9.0]], np.float32)
    rows, distances = core_set(points, np.array([[0.0]], np.float32), 3)
    assert rows.tolist() == [3, 2, 1]
    assert distances == pytest.approx([9, 4, 1])


def test_where_nothing_is_known_the_middle_comes_first():
    rows, distances = core_set(np.array([[0.0], [4.0], [5.0], [11.0]], np.float32), NOTHING, 3)
    assert rows.tolist() == [2, 3, 0]
    assert np.isinf(distances[0]) and distances[1:] == pytest.approx([6, 5])


def test_no_image_is_chosen_twice_not_even_among_copies():
    rows, _ = core_set(np.zeros((4, 1), np.float32), NOTHING, 9)
    assert sorted(rows.tolist()) == [0, 1, 2, 3]


def test_centres_are_those_of_a_plain_loop():
    points = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    known = points[:4]
    chosen, pool = [], points[4:]
    for _ in range(8):
        centres = np.concatenate([known, pool[chosen]])
        chosen.append(int(np.linalg.norm(pool[:, None] - centres, axis=2).min(1).argmax()))
    assert core_set(pool, known, 8)[0].tolist() == chosen


def test_another_way_is_refused():
    with pytest.raises(UsageError, match="`margin`, `entropy` or `core-set`"):
        check_way("luck")

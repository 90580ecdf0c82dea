"""Average precision: by hand, and to the last digits as COCO's own code has it."""

import coco_oracle
import numpy as np
import pytest

from fovea.metrics.boxes import (
    ap_interval,
    ap_statistic,
    average_precision,
    compared_boxes,
    detection_scores,
    precision_at_recalls,
    score_boxes,
)
from fovea.metrics.matching import SIZES, THRESHOLDS, matched
from fovea.metrics.resampling import bootstrap_interval

BOX = [10, 10, 50, 50]


def truth_of(*rows):
    return np.array(rows, np.float32).reshape(-1, 6)


def found_of(*rows):
    return np.array(rows, np.float64).reshape(-1, 6)


def random_scene(generator, classes, *, crowds=True):
    """Return true boxes of all sizes, some of them crowds, and boxes near them, doubled, confused or anywhere."""
    count = generator.integers(0, 9)
    corners = generator.integers(0, 200, (count, 2))
    sides = generator.choice([8, 20, 40, 70, 120, 250], (count, 2)) + generator.integers(0, 8, (count, 2))
    crowd = (generator.random(count) < 0.15) & crowds
    truth = np.column_stack([generator.integers(0, classes, count), corners, corners + sides, crowd])
    drawn = truth[generator.integers(0, count, generator.integers(0, 30))] if count else np.empty((0, 6))
    boxes = drawn[:, 1:5] + generator.integers(-9, 10, (len(drawn), 4)) * generator.integers(0, 2, (len(drawn), 1))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    labels = np.where(generator.random(len(drawn)) < 0.2, generator.integers(0, classes, len(drawn)), drawn[:, 0])
    scores = generator.integers(0, 40, len(drawn)) / 40  # many are equal
    found = np.column_stack([labels, boxes, scores])
    return truth.astype(np.float32), found


def scenes(seed, images=25, classes=3, **options):
    generator = np.random.default_rng(seed)
    return tuple(zip(*(random_scene(generator, classes, **options) for _ in range(images)), strict=True))


def as_coco(truth, found):
    """Return the same in the words of COCO's own files."""

    def box(row):
        x0, y0, x1, y1 = row[1:5].tolist()
        return [x0, y0, x1 - x0, y1 - y0]

    def annotation(row):
        *_, width, height = box(row)
        return {"category_id": int(row[0]), "bbox": box(row), "area": width * height, "iscrowd": int(row[5])}

    def result(row):
        return {"category_id": int(row[0]), "bbox": box(row), "score": float(row[5])}

    return [[annotation(row) for row in rows] for rows in truth], [[result(row) for row in rows] for rows in found]


def test_by_hand():
    """Two objects; found one (0.9), nothing (0.8), the other (0.7): precision 1 up to recall 1/2, then 2/3."""
    truth = [truth_of([0, *BOX, 0], [0, 100, 100, 140, 140, 0])]
    found = [found_of([0, *BOX, 0.9], [0, 300, 10, 340, 50, 0.8], [0, 100, 100, 140, 140, 0.7])]
    scores, matches = score_boxes(truth, found, classes=1)
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert scores.ap == pytest.approx(expected) and scores.ap50 == pytest.approx(expected)
    assert (scores.ar1, scores.ar10) == (0.5, 1)
    assert np.isnan(scores.ap_small) and scores.ap_medium == pytest.approx(expected)
    assert precision_at_recalls(matches[0], 0)[0, [0, 50, 51, 100]] == pytest.approx([1, 1, 2 / 3, 2 / 3])


def test_an_overlap_of_70_percent_counts_at_half_of_the_thresholds():
    truth, found = [truth_of([0, 0, 0, 10, 10, 0])], [found_of([0, 0, 0, 10, 7, 0.5])]
    assert score_boxes(truth, found, classes=1)[0].ap == pytest.approx(0.5)  # 0.5, 0.55, 0.6, 0.65, 0.7


def test_a_second_box_on_one_object_is_wrong_and_one_in_a_crowd_counts_nothing():
    twice = [found_of([0, *BOX, 0.9], [0, *BOX, 0.8])]
    matches = score_boxes([truth_of([0, *BOX, 0])], twice, classes=1)[1][0]
    assert matches.hits[0, 0].tolist() == [True, False] and not matches.ignored[0, 0].any()
    scores, (matches,) = score_boxes([truth_of([0, *BOX, 1])], twice, classes=1)
    assert matches.ignored[0].all() and np.isnan(scores.ap)


def test_a_class_without_objects_is_left_out_of_the_mean():
    found = [found_of([0, *BOX, 0.9], [1, *BOX, 0.9])]
    scores, _ = score_boxes([truth_of([0, *BOX, 0], [-1, 0, 0, 0, 0, 0])], found, classes=3)
    assert scores.ap == 1 and scores.per_class[0] == 1 and np.isnan(scores.per_class[1:]).all()


def test_nothing_found_is_0_and_nothing_there_is_undefined():
    assert score_boxes([truth_of([0, *BOX, 0])], [found_of()], classes=1)[0].ap == 0
    assert np.isnan(score_boxes([truth_of()], [found_of([0, *BOX, 0.4])], classes=1)[0].ap)


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_pycocotools(seed):
    truth, found = scenes(seed)
    expected = coco_oracle.figures(*as_coco(truth, found))
    scores, _ = score_boxes(truth, found, classes=3)
    np.testing.assert_allclose(scores[:12], expected, rtol=0, atol=1e-9)


def test_boxes_of_fractions_and_more_than_a_hundred_are_those_of_pycocotools():
    generator = np.random.default_rng(9)
    truth, found = scenes(9, images=4, classes=1)
    many = np.concatenate([*found, *found])[:150]
    many = np.repeat(many, -(-150 // len(many)), axis=0)[:150]
    many[:, 1:5] += generator.random((150, 4))
    many[:, 5] = generator.random(150)
    truth, found = truth[:2], [many, found[1]]
    expected = coco_oracle.figures(*as_coco(truth, found))
    np.testing.assert_allclose(score_boxes(truth, found, classes=1)[0][:12], expected, rtol=0, atol=1e-9)


def test_one_threshold_alone_is_that_of_all():
    truth, found = scenes(7)
    images = [compared_boxes(there, own) for there, own in zip(truth, found, strict=True)]
    alone = average_precision(matched(images, classes=3, thresholds=THRESHOLDS[:1], sizes=[SIZES["all"]]))
    np.testing.assert_array_equal(alone, score_boxes(truth, found, classes=3)[0].per_class50)


def test_counting_an_image_twice_is_having_it_twice():
    truth, found = scenes(5, images=6)
    for i, rows in enumerate(found):
        rows[:, 5] += (np.arange(len(rows)) + i / 10) / 1e4  # of equal scores the order is that of the images
    matches = score_boxes(truth, found, classes=3)[1]
    weights = np.array([[1.0] * 6, [2, 0, 1, 3, 0, 1]])
    once, again = ap_statistic(matches)(weights)
    assert once == pytest.approx(detection_scores(matches).ap)
    rows = np.repeat(np.arange(6), weights[1].astype(int))
    repeated, _ = score_boxes([truth[i] for i in rows], [found[i] for i in rows], classes=3)
    assert again == pytest.approx(repeated.ap)


def test_the_interval_holds_the_figure_and_a_paired_one_excludes_no_difference():
    truth, found = scenes(6, images=30)
    matches = score_boxes(truth, found, classes=3)[1]
    low, high = ap_interval(matches, (0,))
    assert low < detection_scores(matches).ap50 < high
    worse = [rows + (np.arange(len(rows)) % 2 * 500)[:, None] * [0, 1, 1, 1, 1, 0] for rows in found]
    other = score_boxes(truth, worse, classes=3)[1]
    better, less = ap_statistic(matches, (0,)), ap_statistic(other, (0,))
    low, _ = bootstrap_interval(lambda weights: better(weights) - less(weights), 30, resamplings=200)
    assert low > 0


def test_what_is_ignored_but_no_crowd_is_found_once():
    image = compared_boxes(truth_of([0, *BOX, 0]), found_of([0, *BOX, 0.9], [0, *BOX, 0.8]))
    left_out = type(image)(**{**vars(image), "ignored": np.array([True])})
    (matches,) = matched([left_out], classes=1)
    assert matches.ignored[0, 0].tolist() == [True, False]

"""Overlaps of boxes by hand and pixel by pixel; suppression against the plain loop over pairs."""

import numpy as np
import pytest

from fovea.decoding.boxes import areas, clipped, found, intersections, logit, overlaps, sigmoid, suppressed


def random_boxes(seed, count, size=20):
    generator = np.random.default_rng(seed)
    ends = np.sort(generator.integers(0, size, (count, 2, 2)), axis=1).reshape(count, 4)
    return ends + np.array([0, 0, 1, 1])


def pixels(box):
    x0, y0, x1, y1 = box
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def plainly_suppressed(boxes, scores, classes, overlap):
    left, stays = sorted(range(len(boxes)), key=lambda i: (-scores[i], i)), []
    while left:
        best, *left = left
        stays.append(best)
        left = [
            i
            for i in left
            if classes[i] != classes[best] or overlaps(boxes[best : best + 1], boxes[i : i + 1])[0, 0] <= overlap
        ]
    return stays


def test_by_hand():
    """Two squares of 4 pixels that share 1: 1 / 7; of a crowd, 1 / 4."""
    boxes, others = [[0, 0, 2, 2]], [[1, 1, 3, 3], [0, 0, 2, 2], [2, 0, 4, 2]]
    assert overlaps(boxes, others)[0] == pytest.approx([1 / 7, 1, 0])
    assert overlaps(boxes, others, crowd=[True, False, False])[0] == pytest.approx([1 / 4, 1, 0])


def test_they_are_those_of_sets_of_pixels():
    boxes, others = random_boxes(0, 12), random_boxes(1, 9)
    for (i, j), shared in np.ndenumerate(intersections(boxes, others)):
        a, b = pixels(boxes[i]), pixels(others[j])
        assert (shared, areas(boxes)[i]) == (len(a & b), len(a))
        assert overlaps(boxes, others)[i, j] == pytest.approx(len(a & b) / len(a | b))


def test_empty_and_inverted_boxes_overlap_nothing():
    boxes = [[3, 3, 3, 9], [5, 5, 1, 1]]
    assert areas(boxes).tolist() == [0, 0]
    assert not overlaps(boxes, boxes).any()
    assert overlaps(np.empty((0, 4)), boxes).shape == (0, 2)


@pytest.mark.parametrize("seed", range(4))
def test_suppression_is_that_of_the_plain_loop(seed):
    generator = np.random.default_rng(seed)
    boxes, classes = random_boxes(seed, 40), generator.integers(0, 3, 40)
    scores = generator.integers(0, 9, 40) / 9  # many are equal
    assert suppressed(boxes, scores, classes, overlap=0.3).tolist() == plainly_suppressed(boxes, scores, classes, 0.3)


def test_what_fell_suppresses_nothing():
    """The second overlaps the first, the third only the second: the third stays."""
    boxes = [[0, 0, 10, 1], [5, 0, 15, 1], [10, 0, 20, 1]]
    assert suppressed(boxes, [0.9, 0.8, 0.7], [0, 0, 0], overlap=0.3).tolist() == [0, 2]
    assert suppressed(boxes, [0.9, 0.8, 0.7], [0, 1, 0], overlap=0.3).tolist() == [0, 1, 2]
    assert suppressed(boxes, [0.5, 0.5, 0.5], [0, 0, 0], overlap=0.3).tolist() == [0, 2]
    assert suppressed(np.empty((0, 4)), [], [], overlap=0.3).tolist() == []


def test_rows_hold_class_box_and_score_and_boxes_end_with_the_image():
    boxes = clipped([[-3, 2, 50, 40]], height=30, width=20)
    assert found([2], boxes, [0.5]).tolist() == [[2, 0, 2, 20, 30, 0.5]]


def test_logits_and_probabilities_are_each_other_without_overflow():
    assert sigmoid(np.array([-1000.0, 0, 1000])).tolist() == [0, 0.5, 1]
    assert sigmoid(np.array([logit(0.3)])) == pytest.approx([0.3])
    assert (logit(0), logit(1)) == (-np.inf, np.inf)

"""Figures of outlines over many images: means over classes of means over the images that show them."""

import numpy as np
import pytest

from fovea.tasks.mask_outlines import by_class, compared_outlines, of_all, of_classes

SEEN = np.array([[0.5, 1.0, np.nan], [1.0, np.nan, np.nan]])


def test_a_class_counts_where_it_is_seen_and_classes_count_alike():
    assert of_classes(SEEN)[0, :2].tolist() == [0.75, 1.0]
    value, (low, high) = of_all(SEEN)
    assert value == 0.875 and 0.75 <= low < value < high <= 1
    assert by_class(SEEN, 0) == 0.75 and by_class(SEEN, 2) is None


def test_weights_count_images_more_than_once():
    assert of_classes(SEEN, np.array([[2.0, 0.0], [0.0, 2.0]]))[:, 0].tolist() == [0.5, 1.0]


def test_nothing_is_said_where_no_image_has_an_outline():
    assert of_all(np.full((3, 2), np.nan)) == (None, None)


def test_a_square_that_is_moved_by_three_pixels():
    truth = np.zeros((1, 40, 40), np.uint8)
    truth[0, 10:20, 10:20] = 1
    found = compared_outlines(np.roll(truth, 3, axis=2), truth, classes=2)
    assert found.hd95[0, 1] == 3 and found.tolerance == pytest.approx(0.42)
    assert compared_outlines(truth, truth, classes=2).f1.tolist() == [[1, 1]]

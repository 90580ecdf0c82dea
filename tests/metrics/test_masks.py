"""Overlaps of masks: by hand, against sets of pixels, and as sums over images."""

import numpy as np
import pytest

from fovea.metrics.masks import (
    VOID,
    PixelCounts,
    dice,
    intersection_over_union,
    mask_interval,
    mean_dice,
    mean_iou,
    mean_of_classes,
    pixel_accuracy,
    pixel_confusion,
    pixel_counts,
)

TRUTH = np.array([[[0, 0, 1], [0, 1, VOID]]], np.uint8)
FOUND = np.array([[[0, 1, 1], [0, 0, 1]]], np.uint8)


def random_masks(seed, images=6, classes=4, void=0.1):
    generator = np.random.default_rng(seed)
    truth, found = generator.integers(0, classes, (2, images, 9, 7), np.uint8)
    truth[generator.random(truth.shape) < void] = VOID
    return truth, found


def counts_of(truth, found, classes):
    return pixel_counts(pixel_confusion(truth, found, classes=classes))


def test_by_hand():
    """Five known pixels: three are 0, of which two are found; two are 1, of which one is found."""
    assert pixel_confusion(TRUTH, FOUND, classes=2).tolist() == [[[2, 1], [1, 1]]]
    counts = counts_of(TRUTH, FOUND, 2)
    assert intersection_over_union(counts)[0] == pytest.approx([2 / 4, 1 / 3])
    assert dice(counts)[0] == pytest.approx([4 / 6, 2 / 4])
    assert mean_iou(counts) == pytest.approx([5 / 12])
    assert mean_dice(counts) == pytest.approx([7 / 12])
    assert pixel_accuracy(counts) == pytest.approx([3 / 5])


def test_they_are_those_of_sets_of_pixels():
    truth, found = random_masks(0)
    counts = counts_of(truth, found, 4).pooled()
    known = truth != VOID
    for index in range(4):
        a = set(zip(*np.nonzero((truth == index) & known), strict=True))
        b = set(zip(*np.nonzero((found == index) & known), strict=True))
        assert intersection_over_union(counts)[index] == pytest.approx(len(a & b) / len(a | b))
        assert dice(counts)[index] == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
    assert pixel_accuracy(counts) == pytest.approx((truth == found)[known].mean())


def test_a_class_that_nobody_saw_is_left_out_of_the_mean():
    counts = counts_of(TRUTH, FOUND, 5)
    assert np.isnan(intersection_over_union(counts)[0, 2:]).all()
    assert mean_iou(counts) == pytest.approx([5 / 12])


def test_an_image_of_void_has_no_figures():
    counts = counts_of(np.full((1, 2, 2), VOID, np.uint8), np.zeros((1, 2, 2), np.uint8), 2)
    assert np.isnan([mean_iou(counts), mean_dice(counts), pixel_accuracy(counts)]).all()
    assert np.isnan(mean_of_classes(np.full((3, 2), np.nan))).all()


def test_what_void_is_taken_for_counts_nowhere():
    truth, found = random_masks(1)
    other = np.where(truth == VOID, (found + 1) % 4, found).astype(np.uint8)
    assert (pixel_confusion(truth, found, classes=4) == pixel_confusion(truth, other, classes=4)).all()


def test_weights_count_images_again():
    truth, found = random_masks(2, images=3)
    counts = counts_of(truth, found, 4)
    again = counts_of(np.repeat(truth, [2, 0, 1], axis=0), np.repeat(found, [2, 0, 1], axis=0), 4).pooled()
    for weighted, repeated in zip(counts.weighted(np.array([[2.0, 0, 1]])), again, strict=True):
        assert weighted[0].tolist() == repeated.tolist()


def test_dice_and_intersection_over_union_are_one_function_of_each_other():
    counts = counts_of(*random_masks(3), 4)
    jaccard = intersection_over_union(counts)
    np.testing.assert_allclose(dice(counts), 2 * jaccard / (1 + jaccard))


def test_the_interval_holds_the_figure_and_shrinks_with_more_images():
    few, many = (counts_of(*random_masks(4, images=images), 4) for images in (5, 80))
    widths = []
    for counts in (few, many):
        low, high = mask_interval(counts)
        assert low < mean_iou(counts.pooled()) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    alike = PixelCounts(*(np.repeat(counts[:1], 9, axis=0) for counts in few))
    assert np.ptp(mask_interval(alike, mean_dice)) == pytest.approx(0)

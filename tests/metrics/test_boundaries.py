"""Outlines of masks: by hand, and against distances between all pairs of pixels."""

import math

import numpy as np
import pytest

from fovea.metrics.boundaries import boundary_f1, hausdorff_95
from fovea.metrics.masks import VOID


def mask_of(*rows):
    return np.array([[int(cell) if cell != "v" else VOID for cell in row] for row in rows], np.uint8)


def square(size, top, left, side):
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def blobs(seed, size=14):
    generator = np.random.default_rng(seed)
    truth, found = generator.integers(0, 3, (2, size // 2, size // 2)).repeat(2, axis=1).repeat(2, axis=2)
    truth[generator.random(truth.shape) < 0.08] = VOID
    return truth.astype(np.uint8), found.astype(np.uint8)


def outline_of(region, other, *, beyond):
    """Return the pixels of a set with a neighbour that is `other`, or outside of the image."""
    H, W = region.shape
    found = []
    for y, x in zip(*np.nonzero(region), strict=True):
        for j, i in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= j < H and 0 <= i < W
            if (other[j, i] if inside else beyond) and (y, x) not in found:
                found.append((y, x))
    return np.array(found, float).reshape(-1, 2)


def nearest(points, others):
    return np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1)


def test_a_square_moved_by_one_pixel_agrees_within_a_pixel_and_not_at_zero():
    truth, found = square(12, 3, 3, 5), square(12, 3, 4, 5)
    assert boundary_f1(truth, found, classes=2, tolerance=1).tolist() == [1, 1]
    # eight of sixteen pixels of each outline lie on the other
    assert boundary_f1(truth, found, classes=2, tolerance=0)[1] == pytest.approx(8 / 16)
    assert hausdorff_95(truth, found, classes=2)[1] == 1


def test_the_tolerance_is_a_share_of_the_diagonal():
    truth, found = square(400, 100, 100, 50), square(400, 100, 104, 50)  # 0.0075 * 565.7 = 4.2 pixels
    assert boundary_f1(truth, found, classes=2)[1] == 1
    assert boundary_f1(truth, square(400, 100, 105, 50), classes=2)[1] < 1


def test_the_edge_of_the_image_is_an_outline_of_distances_alone():
    """The class fills the left half; only where it meets the other is there an outline between classes."""
    truth, found = mask_of("1100", "1100"), mask_of("1000", "1000")
    assert boundary_f1(truth, found, classes=2, tolerance=0)[1] == 0
    assert boundary_f1(truth, found, classes=2, tolerance=1)[1] == 1
    assert hausdorff_95(truth, found, classes=2)[1] == 1
    whole = np.ones((3, 3), np.uint8)
    assert np.isnan(boundary_f1(whole, whole, classes=2)).all()
    assert hausdorff_95(whole, whole, classes=2)[1] == 0


def test_void_hides_outlines():
    truth, found = mask_of("11vv00"), mask_of("111000")
    assert np.isnan(boundary_f1(truth, found, classes=2, tolerance=0)).all()
    assert hausdorff_95(truth, found, classes=2).tolist() == [0, 0]


def test_a_class_that_one_mask_lacks():
    truth, found = square(30, 5, 5, 4), np.zeros((30, 30), np.uint8)
    assert boundary_f1(truth, found, classes=3).tolist()[:2] == [0, 0]
    assert hausdorff_95(truth, found, classes=3)[1] == pytest.approx(30 * math.sqrt(2))
    assert np.isnan(boundary_f1(truth, found, classes=3)[2]) and np.isnan(hausdorff_95(truth, found, classes=3)[2])


@pytest.mark.parametrize("seed", range(3))
def test_they_are_those_of_all_pairs_of_pixels(seed):
    truth, found = blobs(seed)
    known = truth != VOID
    f1, distance = boundary_f1(truth, found, classes=3, tolerance=1.5), hausdorff_95(truth, found, classes=3)
    for index in range(3):
        regions = (truth == index, (found == index) & known)
        wanted, drawn = (outline_of(region, known & ~region, beyond=False) for region in regions)
        precision, recall = (nearest(drawn, wanted) <= 1.5).mean(), (nearest(wanted, drawn) <= 1.5).mean()
        assert f1[index] == pytest.approx(2 * precision * recall / (precision + recall))
        wanted, drawn = (outline_of(region, ~region, beyond=True) for region in regions)
        expected = max(np.percentile(nearest(drawn, wanted), 95), np.percentile(nearest(wanted, drawn), 95))
        assert distance[index] == pytest.approx(expected)

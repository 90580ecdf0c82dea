"""What a brush covers: the pixels whose centre is near the line."""

import numpy as np
import pytest

from fovea.data.annotating.covered import label_of, mask_of, painted
from fovea.errors import UsageError

CLASSES = ("cell", "wall")


def empty(h=5, w=7):
    return np.full((h, w), 255, np.uint8)


def test_a_dot_covers_the_pixels_within_its_radius():
    mask = painted(empty(), [3.5, 2.5], radius=1, value=0)
    assert np.argwhere(mask == 0).tolist() == [[1, 3], [2, 2], [2, 3], [2, 4], [3, 3]]


def test_a_stroke_covers_what_is_near_the_line_and_erases_too():
    mask = painted(empty(), [0.5, 2.5, 6.5, 2.5], radius=0.5, value=1)
    assert np.argwhere(mask == 1).tolist() == [[2, x] for x in range(7)]
    again = painted(mask, [0, 0, 3, 5], radius=100, value=255)
    assert (again == 255).all() and (mask == 1).any()


def test_a_stroke_beside_the_image_covers_nothing():
    assert (painted(empty(), [-50, -50, -20, 900], radius=3, value=0) == 255).all()


@pytest.mark.parametrize(
    ("path", "radius"), [([], 1), ([1], 1), ([1, 2, 3], 1), (["1", 2], 1), ([1, 2], 0), ([1, 2], 1e9), ("ab", 1)]
)
def test_what_is_no_stroke_is_refused(path, radius):
    with pytest.raises(UsageError):
        painted(empty(), path, radius=radius, value=0)


def test_a_mask_comes_back_from_its_label():
    mask = painted(painted(empty(9, 8), [2, 2, 6, 7], radius=1.5, value=0), [7, 1], radius=2, value=1)
    assert (mask_of(label_of(mask, CLASSES), CLASSES, mask.shape) == mask).all()
    assert label_of(empty(), CLASSES) == []


def test_polygons_are_covered_by_their_inside():
    label = [{"label": "wall", "rings": [[1, 1, 4, 1, 4, 3, 1, 3]]}]
    assert np.argwhere(mask_of(label, CLASSES, (5, 7)) == 1).tolist() == [[y, x] for y in (1, 2) for x in (1, 2, 3)]

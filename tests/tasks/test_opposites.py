"""Which points change places in a mirrored image."""

import numpy as np
import pytest

from fovea.tasks.opposites import opposites_by_name, opposites_by_place


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["left_eye", "nose", "right_eye"], (2, 1, 0)),
        (["L ear", "R ear"], (1, 0)),
        (["leftHip", "rightHip", "tail"], (1, 0, 2)),
        (["eye.r", "eye.l", "left_paw"], (1, 0, 2)),
        (["wleft", "wright"], None),
        (["left_eye", "left-eye", "right_eye"], (0, 2, 1)),
        (["0", "1"], None),
    ],
)
def test_by_name(names, expected):
    assert opposites_by_name(names) == expected


FACE = np.array([[-3.0, 0], [3, 0], [0, 2], [-2, 4], [2, 4]])


def shapes(mean, *, count=50, noise=0.1):
    generator = np.random.default_rng(0)
    scale, place = generator.uniform(5, 20, (count, 1, 1)), generator.uniform(30, 60, (count, 1, 2))
    points = (mean + generator.normal(0, noise, (count, *mean.shape))) * scale + place
    return np.concatenate((points, np.full((*points.shape[:2], 1), 2.0)), axis=2)


def test_by_place_where_the_mean_shape_is_symmetric():
    assert opposites_by_place(shapes(FACE)) == (1, 0, 2, 4, 3)


def test_none_where_it_is_not():
    assert opposites_by_place(shapes(FACE * (1, 0.5) + [[0, 3], [0, 0], [0, 0], [0, 0], [0, 0]])) is None


def test_images_with_points_that_are_not_labelled_do_not_count():
    points = shapes(FACE)
    points[10:, 0] = 0
    assert opposites_by_place(points) == (1, 0, 2, 4, 3)
    points[:, 0] = 0
    assert opposites_by_place(points) is None

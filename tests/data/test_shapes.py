"""Shapes as pixels: against worked cases and the rule that they are drawn by."""

import numpy as np
import pytest
from matplotlib.path import Path

from fovea.data.masks import DrawnMask
from fovea.data.shapes import Shape, draw, draw_objects, from_runs, object_runs, polygon, runs_from_text
from fovea.decoding.runs import runs_to_text, to_runs
from fovea.errors import DataError, ImageError
from fovea.preprocess import VOID


def ring(*points):
    return np.array(points, np.float32)


SQUARE = ring((1, 0), (3, 0), (3, 2), (1, 2))


def test_a_square_by_hand():
    assert polygon(SQUARE, (3, 4)).astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_pixels_of_a_polygon_are_those_whose_centre_lies_inside():
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:30, :40]
    centres = np.stack((columns, rows), axis=-1).reshape(-1, 2) + 0.5
    for _ in range(20):
        angles = np.sort(generator.uniform(0, 2 * np.pi, 9))
        reach = generator.uniform(3, 25, 9)
        corners = np.stack((20 + reach * np.cos(angles), 15 + reach * np.sin(angles)), axis=1)
        inside = Path(corners).contains_points(centres).reshape(30, 40)
        assert (polygon(corners.astype(np.float32), (30, 40)) == inside).mean() > 0.999


@pytest.mark.parametrize("points", [[(1, 1)], [(1, 1), (3, 3)], [(np.float32(1e30), 0), (5, 5), (-1e30, 9)]])
def test_degenerate_polygons_stay_within_the_image(points):
    assert polygon(ring(*points), (5, 5)).shape == (5, 5)


def test_small_shapes_are_drawn_over_large_ones_whatever_their_order():
    whole, part = Shape(1, (ring((0, 0), (4, 0), (4, 3), (0, 3)),)), Shape(VOID, (SQUARE,))
    expected = [[1, VOID, VOID, 1], [1, VOID, VOID, 1], [1, 1, 1, 1]]
    assert draw([whole, part], (3, 4)).tolist() == draw([part, whole], (3, 4)).tolist() == expected


def test_runs_by_hand():
    mask = np.array([[0, 1], [0, 1], [1, 0]], bool)
    assert to_runs(mask).tolist() == [2, 3, 1]
    assert to_runs(~mask).tolist() == [0, 2, 3, 1]
    assert runs_to_text(np.array([2, 3, 1])) == "231"
    # the fourth run is written as the difference to the second
    assert runs_to_text(np.array([1, 9, 2, 9])) == "1920"


def test_runs_and_their_text_lose_nothing():
    generator = np.random.default_rng(0)
    for share in (0, 0.01, 0.5, 1):
        mask = generator.random((70, 90)) < share
        runs = to_runs(mask)
        assert (from_runs(runs, (70, 90)) == mask).all()
        assert runs_from_text(runs_to_text(runs)).tolist() == runs.tolist()
    assert runs_from_text(runs_to_text(np.array([100_000, 3, 90_000, 70_000]))).tolist() == [100_000, 3, 90_000, 70_000]


def test_runs_are_those_of_pycocotools():
    pycocotools = pytest.importorskip("pycocotools.mask")
    mask = np.random.default_rng(1).random((33, 21)) < 0.3
    encoded = pycocotools.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert runs_to_text(to_runs(mask)) == encoded["counts"].decode()
    assert (from_runs(runs_from_text(encoded["counts"].decode()), (33, 21)) == mask).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!", "the character '!' is not valid in packed run lengths"),
        ("P", "packed run lengths are incomplete"),
        ("P" * 50, "is not valid in packed run lengths"),
    ],
)
def test_text_that_is_no_runs_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        runs_from_text(text)


def test_runs_must_fill_the_image():
    with pytest.raises(DataError, match="run lengths cover 9 pixels, but the image has 6"):
        from_runs(np.array([4, 5]), (2, 3))


def test_a_drawn_mask_knows_the_size_it_is_for():
    mask = DrawnMask((3, 4), (Shape(2, (SQUARE,)),))
    assert mask.read((3, 4)).tolist() == [[0, 2, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]]
    with pytest.raises(ImageError, match="its annotation is for 4x3 pixels, but it has 3x4"):
        mask.read((4, 3))
    assert mask.key == DrawnMask((3, 4), (Shape(2, (SQUARE.copy(),)),)).key
    assert mask.key != DrawnMask((3, 4), (Shape(1, (SQUARE,)),)).key


def test_runs_of_all_objects_are_those_of_each_alone():
    objects = np.random.default_rng(0).integers(0, 4, (9, 7)).astype(np.int32)
    objects[0, 0], objects[-1, -1] = 1, 2
    runs = object_runs(objects)
    assert [own.tolist() for own in runs] == [to_runs(objects == number).tolist() for number in (1, 2, 3)]
    assert object_runs(np.zeros((2, 2), np.int32)) == []


def test_drawn_objects_have_the_pixels_that_their_class_has():
    shapes = [Shape(3, (SQUARE,)), Shape(1, (SQUARE * 2,)), Shape(2, (SQUARE + 1,))]
    objects, mask = draw_objects(shapes, (12, 12)), draw(shapes, (12, 12))
    assert (np.array([0, 3, 1, 2])[objects] == mask).all() and len(np.unique(objects)) > 2

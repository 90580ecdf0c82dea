"""Objects of a mask: discs that touch are parted, rough ones are not, and their measures are those of their pixels."""

import numpy as np
import pytest

from fovea.instances import connected, mean_inside, measures, objects_of, outline, parted


def disc(y, x, radius, shape=(60, 100)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


TOUCHING = disc(30, 30, 18) | disc(30, 62, 18)


def test_connected_parts_touch_at_corners_and_are_numbered_by_rows():
    region = np.array([[0, 1, 0, 0, 1], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], bool)
    assert connected(region).tolist() == [[0, 1, 0, 0, 2], [1, 0, 0, 0, 2], [0, 0, 0, 0, 0], [3, 0, 0, 0, 0]]
    assert connected(region, least=2).max() == 2


def test_discs_that_touch_are_parted_at_their_neck():
    assert connected(TOUCHING).max() == 1
    objects = parted(TOUCHING)
    assert objects.max() == 2 and ((objects > 0) == TOUCHING).all()
    assert (objects[30, 12:45] == 1).all() and (objects[30, 48:80] == 2).all()
    assert measures(objects).areas.tolist() == pytest.approx([np.pi * 18**2] * 2, rel=0.06)


def test_how_narrow_a_neck_has_to_be_can_be_said():
    """The discs are joined over 2 sqrt(18^2 - 16^2) = 16.5 pixels, 0.46 of their width."""
    assert parted(TOUCHING, neck=0.4).max() == 1
    assert parted(TOUCHING, neck=0.6).max() == 2


@pytest.mark.parametrize("radius", [3, 8, 20])
def test_one_disc_and_one_rod_are_one_object(radius):
    assert parted(disc(30, 50, radius)).max() == 1
    rod = np.zeros((60, 100), bool)
    rod[30 - radius : 30 + radius, 5:95] = True
    assert parted(rod).max() == 1


def test_a_rough_outline_parts_nothing():
    rows, columns = np.mgrid[:60, :100]
    angle = np.arctan2(rows - 30, columns - 50)
    rough = np.hypot(rows - 30, columns - 50) <= 20 + 1.5 * np.sin(17 * angle)
    assert parted(rough).max() == 1


def test_many_discs_are_as_many_objects_wherever_they_lie():
    generator = np.random.default_rng(0)
    region, centres = np.zeros((300, 300), bool), []
    while len(centres) < 30:
        y, x = generator.uniform(15, 285, 2)
        if all(np.hypot(y - a, x - b) > 21 for a, b in centres):  # radius 12: many of them touch
            centres.append((y, x))
            region |= disc(y, x, 12, region.shape)
    objects = parted(region)
    assert connected(region).max() < 25 and objects.max() == 30
    assert len({objects[int(y), int(x)] for y, x in centres}) == 30
    turned = parted(region.T).T
    assert turned.max() == 30 and ((turned > 0) == (objects > 0)).all()


def test_an_object_at_the_edge_of_the_image_ends_there():
    assert parted(np.ones((5, 9), bool)).tolist() == np.ones((5, 9), int).tolist()
    assert parted(disc(0, 0, 10)).max() == 1


def test_an_empty_region_has_no_objects():
    nothing = np.zeros((4, 4), bool)
    assert not parted(nothing).any() and not connected(nothing).any()
    assert measures(parted(nothing)).boxes.shape == (0, 4)


def test_small_objects_are_left_out_and_the_others_numbered_again():
    region = disc(10, 10, 1) | disc(30, 60, 12)
    assert parted(region).max() == 2
    objects = parted(region, least=20)
    assert objects.max() == 1 and not objects[10, 10]


def test_measures_by_hand():
    objects = np.array([[0, 2, 2], [1, 0, 2]], np.int32)
    found = measures(objects)
    assert found.areas.tolist() == [1, 3]
    assert found.boxes.tolist() == [[0, 1, 1, 2], [1, 0, 3, 2]]
    assert found.centres.tolist() == [[0.5, 1.5], pytest.approx([(1.5 + 2.5 + 2.5) / 3, (0.5 + 0.5 + 1.5) / 3])]


def test_objects_of_several_classes_are_numbered_one_class_after_the_other():
    mask = np.uint8([[1, 1, 0, 2, 2], [0, 0, 0, 0, 0], [2, 0, 1, 0, 255]])
    found = objects_of(mask, classes=[2, 1], way="connected")
    assert found.objects.tolist() == [[3, 3, 0, 1, 1], [0, 0, 0, 0, 0], [2, 0, 4, 0, 0]]
    assert found.classes.tolist() == [2, 2, 1, 1]
    assert objects_of(mask, classes=[1, 3], way="connected", least=2).objects.sum() == 2
    assert objects_of(mask, classes=[]).objects.max() == 0


def test_objects_of_a_class_are_those_of_its_region_alone():
    mask = np.where(TOUCHING, 3, 0).astype(np.uint8)
    assert (objects_of(mask, classes=[3]).objects == parted(TOUCHING)).all()


def test_means_and_outlines_are_those_of_an_object_alone():
    objects = np.int32([[1, 1, 1], [1, 1, 1], [1, 1, 2]])
    assert mean_inside(objects, np.arange(9) / 8).tolist() == pytest.approx([28 / 8 / 8, 1])
    assert outline(objects).tolist() == [[True, True, True], [True, False, True], [True, True, True]]

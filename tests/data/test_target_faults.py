"""What a check says of masks, boxes and points."""

import numpy as np
import pytest
from PIL import Image

from fovea.data.dataset import Dataset, Part
from fovea.data.masks import MaskFile, Table
from fovea.data.sources.annotations.assembly import STACKED
from fovea.data.target_faults import survey_targets


def dataset(tmp_path, task, targets, *, classes=("cat", "rat"), size=(40, 20)):
    files = []
    for number in range(len(targets)):
        files.append(tmp_path / f"{number}.png")
        Image.new("RGB", size).save(files[-1])
    part = Part(labels=STACKED[task](targets), names=tuple(path.name for path in files), files=tuple(files))
    return Dataset(name="d", parts={"train": part}, classes=classes, channels=3, task=task)


def found(targets):
    return {(fault.what, fault.name, fault.detail) for fault in targets.faults}


def test_nothing_is_said_of_what_does_not_lie_on_images(tmp_path):
    part = Part(labels=np.zeros(1, np.int64), names=("a",), pixels=np.zeros((1, 2, 2, 1), np.uint8))
    assert survey_targets(Dataset(name="d", parts={"train": part}, classes=("a",), channels=1)) is None


def rows(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 6)


def test_boxes_that_are_none_or_lie_outside_or_stand_there_twice(tmp_path):
    first = rows(
        (0, 1, 1, 5, 5, 0), (0, 1, 1, 5, 5, 0), (1, 1, 1, 5, 5, 0), (-1, 3, 3, 3, 9, 0), (-1, 9, 3, 3, 9, 0),
        (1, 35, 2, 42, 9, 0), (1, 30, 2, 41, 9, 0),
    )  # fmt: skip
    targets = survey_targets(dataset(tmp_path, "boxes", [first, rows()]))
    assert found(targets) == {
        ("boxes given twice", "0.png", "1, 1 to 5, 5"),
        ("boxes without area", "0.png", "3, 3 to 3, 9"),
        ("boxes with exchanged sides", "0.png", "9, 3 to 3, 9"),
        ("boxes outside their image", "0.png", "35, 2 to 42, 9 of 40x20 pixels"),
        ("images without a box", "1.png", ""),
    }
    assert targets.looked_for["boxes given twice"] and not targets.looked_for["images without a box"]


def test_objects_are_counted_by_class_and_size(tmp_path):
    boxes = rows((0, 0, 0, 10, 20, 0), (0, 0, 0, 40, 40, 0), (0, 0, 0, 200, 100, 0), (1, 0, 0, 4, 6, 0))
    targets = survey_targets(dataset(tmp_path, "boxes", [boxes], size=(300, 200)))
    assert targets.lines == [
        "cat: 3 objects in 1 images, median 40x40 pixels; 1 small, 1 medium, 1 large",
        "rat: 1 objects in 1 images, median 4x6 pixels; 1 small, 0 medium, 0 large",
    ]


@pytest.fixture
def masks(tmp_path):
    def make(*arrays, classes=("sky", "sea", "land")):
        table = Table((0, 1, 2, 255), (0, 1, 2, 255))
        targets = []
        for number, array in enumerate(arrays):
            Image.fromarray(np.asarray(array, np.uint8)).save(tmp_path / f"m{number}.png")
            targets.append(MaskFile(tmp_path / f"m{number}.png", table))
        return dataset(tmp_path, "masks", targets, classes=classes, size=(2, 2))

    return make


def test_masks_of_another_size_or_value_or_one_class(masks):
    targets = survey_targets(masks([[0, 1], [1, 255]], [[0, 1]], [[7, 1], [0, 0]], [[1, 1], [1, 255]], [[255] * 2] * 2))
    assert found(targets) == {
        (
            "masks that differ in size from their image",
            "1.png",
            "the mask `m1.png` has 2x1 pixels, but its image has 2x2",
        ),
        (
            "masks with values that are not a class",
            "2.png",
            "the mask `m2.png`: the value 7, on 25 % of its pixels, is not a class in the table",
        ),
        ("masks with a single class", "3.png", "all of it is sea"),
        ("masks with a single class", "4.png", "all of it is void"),
        ("classes without a pixel in the train split", "land", "no pixel of it"),
    }
    assert targets.lines == [
        "sky: 16.7 % of the pixels, in 1 images",
        "sea: 83.3 % of the pixels, in 2 images",
        "land: 0 % of the pixels, in 0 images",
        "void: 50 % of all pixels",
    ]


def test_an_image_that_cannot_be_read_is_no_fault_of_its_mask(masks, tmp_path):
    data = masks([[0, 1], [1, 2]], [[0, 1], [1, 2]])
    (tmp_path / "1.png").write_bytes(b"no image")
    assert survey_targets(data).faults == []


def test_points_outside_and_images_without_any(tmp_path):
    targets = survey_targets(
        dataset(tmp_path, "points", [np.array([[1, 2, 2], [45, 3, 1]]), np.zeros((2, 3))], classes=("nose", "ear"))
    )
    assert found(targets) == {
        ("points outside their image", "0.png", "ear at 45, 3 of 40x20 pixels"),
        ("images without a labelled point", "1.png", ""),
    }
    assert targets.lines == ["2 points; on average 50.0 % are labelled, of nose 1 of 2"]


def test_all_of_it_is_json(tmp_path):
    targets = survey_targets(dataset(tmp_path, "boxes", [rows((-1, 3, 3, 3, 9, 0))]))
    assert targets.to_dict()["faults"][0] == {
        "what": "boxes without area", "name": "0.png", "part": "train", "detail": "3, 3 to 3, 9",
        "places": [(3, 3, 3, 9)],
    }  # fmt: skip
    assert targets.to_dict()["classes"]["cat"]["objects"] == 0

"""Annotations as COCO has them."""

import json

import numpy as np
import pytest

from fovea.data.sources.annotations.layouts import Asked, load_annotated
from fovea.data.sources.source import DataSource, find
from fovea.decoding.runs import runs_to_text
from fovea.errors import DataError
from fovea.preprocess import VOID

BOX = {"bbox": [2, 3, 4, 5]}


def labels(dataset, part="train"):
    return dataset.parts[part].labels


def test_boxes_are_corners_and_classes_are_in_the_order_of_their_ids(written):
    dataset = find(written([BOX, {**BOX, "category_id": 3, "iscrowd": 1}]))
    assert (dataset.task, dataset.classes) == ("boxes", ("dog", "cat"))
    assert labels(dataset)[0].tolist() == [[1, 2, 3, 6, 8, 0], [0, 2, 3, 6, 8, 1]]
    assert (labels(dataset)[1, :, 0] == -1).all()
    assert dataset.notes[0].startswith("the task is `boxes`: `annotations.json` has COCO annotations")
    assert "1 images have no box" in dataset.notes


def test_a_network_knows_its_classes_in_another_order(written):
    dataset = DataSource(data=written([BOX]), task="boxes", known=("cat", "dog", "owl")).find()
    assert dataset.classes == ("cat", "dog", "owl")
    assert labels(dataset)[0, 0, 0] == 0


def test_a_box_without_area_has_no_class_and_is_told_of(written):
    dataset = find(written([BOX, {"bbox": [2, 3, 0, 5]}, {"bbox": [9, 3, -2, 5]}]))
    assert labels(dataset)[0, :, 0].tolist() == [1, -1, -1]
    assert "2 boxes without area are ignored" in dataset.notes


def test_masks_are_drawn_of_polygons_runs_and_boxes_and_crowds_are_void(written):
    square = {"segmentation": [[0, 0, 4, 0, 4, 4, 0, 4], [16, 0, 20, 0, 20, 2, 16, 2]]}
    runs = {"category_id": 3, "segmentation": {"size": [10, 20], "counts": [0, 2, 198]}}
    text = {"iscrowd": 1, "segmentation": {"size": [10, 20], "counts": runs_to_text(np.array([199, 1]))}}
    dataset = find(written([square, runs, text, {"category_id": 3, "bbox": [8, 8, 2, 2]}]), task="masks")
    assert dataset.classes == ("background", "dog", "cat")
    expected = np.zeros((10, 20), int)
    expected[:4, :4] = expected[:2, 16:] = 2
    expected[:2, 0] = expected[8:, 8:10] = 1
    expected[9, 19] = VOID
    assert labels(dataset)[0].read((10, 20)).tolist() == expected.tolist()
    assert not labels(dataset)[1].read((10, 20)).any()


NAMES = ["nose", "left_eye", "right_eye"]
POINTS = {"keypoints": [5, 6, 2, 7, 2, 1, 0, 0, 0], "num_keypoints": 2}


def test_keypoints_lie_in_the_middle_of_their_pixel(written):
    dataset = find(written([POINTS, {"image_id": 1, **POINTS}], points=NAMES))
    assert (dataset.task, dataset.classes) == ("points", tuple(NAMES))
    assert labels(dataset)[0].tolist() == [[5.5, 6.5, 2], [7.5, 2.5, 1], [0, 0, 0]]


def test_of_several_objects_in_an_image_each_is_a_sample(written):
    boxed = {**POINTS, "bbox": [4, 2, 4, 6]}
    dataset = find(written([boxed, POINTS, {"image_id": 1, **POINTS, "bbox": [0, 0, 8, 8]}], points=NAMES))
    part = dataset.parts["train"]
    assert part.names == ("images/a.png #1", "images/a.png #2", "images/b.png")
    assert part.regions.tolist() == [[3, 1, 9, 9], [5, 2, 8, 7], [0, 0, 9, 9]]
    assert part.labels[0].tolist() == [[2.5, 5.5, 2], [4.5, 1.5, 1], [0, 0, 0]]
    assert "1 images have points of several objects; each object is one sample" in " ".join(dataset.notes)


def test_one_object_in_each_image_leaves_images_whole(written):
    dataset = find(written([{**POINTS, "bbox": [4, 2, 4, 6]}], points=NAMES))
    assert dataset.parts["train"].regions is None
    assert dataset.native_size == (10, 20)


def test_the_parts_of_2017(written, put, coco, tmp_path):
    written([BOX], file="annotations/instances_train2017.json", folder="train2017")
    written([BOX], file="annotations/instances_val2017.json", folder="val2017")
    written([POINTS], file="annotations/person_keypoints_val2017.json", folder="val2017", points=NAMES)
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps(coco([])))
    dataset = find(tmp_path)
    assert {part: each.names[0] for part, each in dataset.parts.items()} == {
        "train": "train2017/a.png",
        "val": "val2017/a.png",
    }
    assert [*load_annotated(tmp_path, Asked("points")).parts] == ["val"]


def test_a_file_in_the_folder_of_each_part(written, tmp_path):
    written([BOX], file="train/_annotations.coco.json", folder="train")
    written([BOX], file="valid/_annotations.coco.json", folder="valid")
    assert {part: each.names[0] for part, each in find(tmp_path).parts.items()} == {
        "train": "train/a.png",
        "val": "valid/a.png",
    }


def test_the_file_itself_may_be_given(written):
    folder = written([BOX])
    assert find(folder / "annotations.json").parts["train"].names == ("images/a.png", "images/b.png")


def test_an_image_that_is_not_there_is_bad(written):
    folder = written([BOX])
    (folder / "images" / "b.png").unlink()
    dataset = find(folder)
    assert [bad.name for bad in dataset.bad_files] == ["b.png"]
    (folder / "images" / "a.png").unlink()
    with pytest.raises(DataError, match="None of the images listed in `.*annotations.json` is in"):
        find(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(annotations={}), "`annotations` must be a list, as in COCO files"),
        (lambda c: c.update(images=[3]), r"`images\[0\]` must be a table"),
        (
            lambda c: c["annotations"][0].update(image_id=9),
            (
                r"`annotations\[0\].image_id` \(=9\) is not listed in "
                r"the file"
            ),
        ),
        (
            lambda c: c["annotations"][0].update(category_id=9),
            r"`annotations\[0\].category_id` \(=9\) is not listed in",
        ),
        (
            lambda c: c["annotations"][0].update(bbox=[1, 2, 3]),
            r"`annotations\[0\].bbox` must be x, y, width and height",
        ),
        (lambda c: c["annotations"][0].update(bbox="x"), r"`annotations\[0\].bbox` must be a list of numbers"),
        (lambda c: c["annotations"][0].update(bbox=[1e9, 0, 1, 1]), "must be a list of numbers"),
        (
            lambda c: c["images"][0].update(width=10**9),
            r"`images\[0\].width` \(=1000000000\) must be a whole number from 1",
        ),
        (lambda c: c["images"][0].pop("file_name"), r"`images\[0\].file_name` is missing"),
        (lambda c: c["categories"][0].update(name="dog"), "2 classes: 0 and 1 are both `dog`"),
    ],
)
def test_what_is_not_as_coco_describes_is_named(written, change, message):
    folder = written([BOX])
    content = json.loads((folder / "annotations.json").read_text())
    change(content)
    (folder / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        find(folder, task="boxes")


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3]], "has a polygon that is not a list of at least three x, y pairs"),
        ("x", "must be a list of polygons, or run lengths"),
        (
            {"size": [20, 10], "counts": []},
            r"segmentation.size` \(=\[20, 10\]\) must be the size of the image, \[10, 20\]",
        ),
        ({"size": [10, 20], "counts": [5]}, "segmentation.counts`: run lengths cover 5 pixels, but the image has 200"),
        (
            {"size": [10, 20], "counts": "!"},
            "segmentation.counts`: the character '!' is not valid in packed run lengths",
        ),
    ],
)
def test_outlines_that_are_none_are_named(written, segmentation, message):
    with pytest.raises(DataError, match=message):
        find(written([{"segmentation": segmentation}]), task="masks")


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        ([1, 2, 2], "has 3 numbers; expected 3 for each of 3 points"),
        ([1, 2, 3] * 3, "visibility other than 0, 1"),
    ],
)
def test_points_that_are_none_are_named(written, keypoints, message):
    with pytest.raises(DataError, match=message):
        find(written([{"keypoints": keypoints}], points=NAMES))


def test_a_json_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"x": 1}')
    with pytest.raises(DataError, match="a.json` has no annotations in COCO format"):
        find(tmp_path / "a.json")

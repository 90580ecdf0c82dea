"""Labels that lie on an image, as COCO's JSON: what was drawn is what a training reads, and what was there stays."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from fovea.data.annotating.coco import CocoLabels
from fovea.data.annotating.covered import label_of
from fovea.data.sources.source import find
from fovea.errors import DataError, StorageError

SIZE = (20, 30)
CLASSES = ("cell", "<b>wall</b>")
BOXES = [{"label": "cell", "box": [2, 3, 9.5, 8]}, {"label": "<b>wall</b>", "box": [0, 0, 30, 20]}]
POLYGONS = [{"label": "cell", "rings": [[1, 1, 9.25, 1, 9, 7]]}]


@pytest.fixture
def photos(tmp_path):
    """Return the paths of three images in a folder, whose names are hostile."""
    folder = tmp_path / "photos"
    folder.mkdir()
    files = [folder / name for name in ("a.png", "<img src=x>\\ b.png", "-c;%20,.png")]
    for file in files:
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(file)
    return [os.path.abspath(file) for file in files]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "labels.json"


def part_of(file, task):
    return find(file, task=task).parts["train"]


def test_boxes_come_back_and_are_learned(file, photos):
    kept = CocoLabels(file, "boxes")
    kept.put(photos[0], SIZE, BOXES, CLASSES)
    kept.put(photos[1], SIZE, [], CLASSES)
    again = CocoLabels(file, "boxes")
    assert again.classes == CLASSES
    assert [again.label(image, SIZE) for image in photos] == [BOXES, [], None]
    dataset = find(file)
    assert (dataset.task, dataset.classes) == ("boxes", CLASSES)
    part = part_of(file, "boxes")
    found = dict(zip(map(str, part.files), part.labels, strict=True))
    assert found[photos[0]][:, :5].tolist() == [[0, 2, 3, 9.5, 8], [1, 0, 0, 30, 20]]
    assert (found[photos[1]][:, 0] == -1).all()


def test_polygons_come_back_and_are_learned_as_masks(file, photos):
    CocoLabels(file, "polygons").put(photos[2], SIZE, POLYGONS, CLASSES)
    assert CocoLabels(file, "polygons").label(photos[2], SIZE) == POLYGONS
    dataset = find(file, task="masks")
    assert dataset.classes == ("background", *CLASSES)
    [source] = dataset.parts["train"].labels
    assert source.shapes[0].class_index == 1 and source.shapes[0].rings[0].tolist() == [[1, 1], [9.25, 1], [9, 7]]
    assert CocoLabels(file, "boxes").label(photos[2], SIZE) == [{"label": "cell", "box": [1, 1, 9.25, 7]}]


def test_what_a_brush_covered_comes_back_pixel_by_pixel(file, photos):
    mask = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), SIZE)
    CocoLabels(file, "brush").put(photos[0], SIZE, label_of(mask, CLASSES), CLASSES)
    assert CocoLabels(file, "brush").label(photos[0], SIZE) == label_of(mask, CLASSES)
    [source] = part_of(file, "masks").labels
    assert [(shape.inside(SIZE) == (mask == index)).all() for index, shape in enumerate(source.shapes)] == [True, True]


def test_points_come_back_and_are_learned(file, photos):
    names, points = ("left eye", "right eye"), [[3.25, 4.5, 2], [0, 0, 0]]
    kept = CocoLabels(file, "points")
    kept.put(photos[0], SIZE, points, names)
    kept.put(photos[1], SIZE, [[0, 0, 0], [0, 0, 0]], names)
    again = CocoLabels(file, "points")
    assert again.classes == names
    assert [again.label(image, SIZE) for image in photos] == [points, [[0, 0, 0], [0, 0, 0]], None]
    assert part_of(file, "points").labels.tolist() == [[[3.25, 4.5, 2], [0, 0, 0]]]
    with pytest.raises(DataError, match="different points"):
        again.put(photos[2], SIZE, [[1, 1, 2]], ("nose",))


def test_a_label_that_is_taken_back_takes_the_image_with_it(file, photos):
    kept = CocoLabels(file, "boxes")
    kept.put(photos[0], SIZE, BOXES, CLASSES)
    kept.put(photos[0], SIZE, None, CLASSES)
    assert json.loads(file.read_text())["images"] == [] and kept.labelled == frozenset()


def test_what_other_programs_wrote_stays(file, photos):
    crowd = {"id": 7, "image_id": "x", "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1, "by": "me"}
    box = {"id": 9, "image_id": "x", "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}
    image = {"id": "x", "file_name": "photos/a.png", "width": 30, "height": 20, "flickr": "?"}
    document = {
        "info": {"year": 2026},
        "images": [image],
        "annotations": [crowd, box],
        "categories": [{"id": 3, "name": "cell", "supercategory": "blood"}],
    }
    file.write_text(json.dumps(document))
    kept = CocoLabels(file, "boxes")
    own = kept.label(photos[0], SIZE)
    assert own == [{"label": "cell", "box": [1, 2, 4, 6]}]
    kept.put(photos[0], SIZE, [*own, BOXES[1]], CLASSES)
    written = json.loads(file.read_text())
    assert written["info"] == document["info"] and written["images"] == [image]
    assert written["annotations"][:2] == [crowd, box] and written["annotations"][2]["id"] == 10
    assert written["categories"] == [document["categories"][0], {"id": 4, "name": "<b>wall</b>"}]


def test_what_is_said_of_the_background_stays_and_is_no_object(file, photos):
    entry = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 5, 0, 5, 5]], "bbox": [0, 0, 5, 5]}
    image = {"id": 1, "file_name": "photos/a.png", "width": 30, "height": 20}
    file.write_text(
        json.dumps({"images": [image], "annotations": [entry], "categories": [{"id": 1, "name": "background"}]})
    )
    kept = CocoLabels(file, "polygons")
    assert kept.label(photos[0], SIZE) == []
    kept.put(photos[0], SIZE, POLYGONS, CLASSES)
    assert json.loads(file.read_text())["annotations"][0] == entry


def test_two_pages_do_not_undo_each_others_labels(file, photos):
    one, other = CocoLabels(file, "boxes"), CocoLabels(file, "boxes")
    one.put(photos[0], SIZE, BOXES, CLASSES)
    other.put(photos[1], SIZE, [], CLASSES)
    one.put(photos[2], SIZE, BOXES, CLASSES)
    assert one.labelled == other.labelled == frozenset(photos)


def test_a_full_disk_leaves_file_and_labels_as_they_were(file, photos, monkeypatch):
    kept = CocoLabels(file, "boxes")
    kept.put(photos[0], SIZE, [], CLASSES)
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fovea.storage.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        kept.put(photos[0], SIZE, BOXES, CLASSES)
    assert file.read_bytes() == before and kept.label(photos[0], SIZE) == []


def test_an_image_of_another_size_than_the_file_says_is_told(file, photos):
    kept = CocoLabels(file, "boxes")
    kept.put(photos[0], SIZE, BOXES, CLASSES)
    with pytest.raises(DataError, match="30 x 20"):
        kept.label(photos[0], (21, 30))


@pytest.mark.parametrize("text", ["[]", "{", '{"images": 3}', '{"a": 1}'])
def test_a_file_of_another_kind_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(DataError):
        CocoLabels(file, "boxes")

"""Objects that are written are read back: their numbers, what is said of each, and what each covers."""

import csv

import numpy as np
import pytest
from PIL import Image

from fovea.data.sources.annotations.layouts import Asked, load_annotated
from fovea.data.writers import objects as writers
from fovea.data.writers.objects import ObjectsOf, rows_of, write_coco_objects, write_numbers, write_object_table
from fovea.errors import DataError
from fovea.instances import objects_of

MASK = np.uint8([[1, 1, 0, 2], [1, 1, 0, 0], [0, 0, 2, 2]])
CLASSES = ("background", "cell, red", "rod")


@pytest.fixture
def found():
    return objects_of(MASK, classes=[1, 2], way="connected")


def test_numbers_stand_in_sixteen_bits(tmp_path, found, monkeypatch):
    write_numbers(tmp_path / "a.png", found.objects + 60_000 * (found.objects > 0))
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == np.where(found.objects, found.objects + 60_000, 0)).all()
    monkeypatch.setattr(writers, "MOST_NUMBERED", 2)
    with pytest.raises(
        DataError,
        match=(
            r"`b.png` would contain 3 numbered objects, and 16 bits allow 2; "
            r".*`--least-area`"
        ),
    ):
        write_numbers(tmp_path / "b.png", found.objects)
    assert not (tmp_path / "b.png").exists()


def test_a_table_says_class_area_box_centre_and_probability(tmp_path, found):
    sure = np.where(MASK == 1, 0.5, 1.0)
    write_object_table(tmp_path / "o.csv", [ObjectsOf("a.png", MASK.shape, rows_of(found, sure))], classes=CLASSES)
    first, *rows = csv.reader((tmp_path / "o.csv").read_text().splitlines())
    assert first == list(writers.COLUMNS)
    assert rows == [
        ["a.png", "1", "cell, red", "4", "0", "0", "2", "2", "1.00", "1.00", "0.5000"],
        ["a.png", "2", "rod", "1", "3", "0", "4", "1", "3.50", "0.50", "1.0000"],
        ["a.png", "3", "rod", "2", "2", "2", "4", "3", "3.00", "2.50", "1.0000"],
    ]


def test_the_json_is_read_back_object_by_object(tmp_path, found):
    (tmp_path / "images").mkdir()
    Image.fromarray(MASK).save(tmp_path / "images" / "a.png")
    (tmp_path / "lists").mkdir()
    rows = rows_of(found, np.ones(MASK.shape))
    file = tmp_path / "lists" / "instances.json"
    write_coco_objects(file, [ObjectsOf("../images/a.png", MASK.shape, rows)], classes=CLASSES)
    data = load_annotated(file, Asked("masks"))
    (label,) = data.parts["train"].labels
    assert data.classes == CLASSES and (label.read(MASK.shape) == MASK).all()
    assert [shape.class_index for shape in label.shapes] == found.classes.tolist()
    assert all((shape.inside(MASK.shape) == (found.objects == n)).all() for n, shape in enumerate(label.shapes, 1))


def test_a_json_from_an_archive_names_no_image_outside_of_it(tmp_path, found):
    Image.fromarray(MASK).save(tmp_path / "a.png")
    (tmp_path / "within").mkdir()
    file = tmp_path / "within" / "instances.json"
    write_coco_objects(file, [ObjectsOf("../a.png", MASK.shape, rows_of(found, np.ones(MASK.shape)))], classes=CLASSES)
    assert load_annotated(file, Asked("masks")).parts["train"].names == ("../a.png",)
    with pytest.raises(DataError, match="None of the images"):
        load_annotated(file, Asked("masks", within=tmp_path / "within"))

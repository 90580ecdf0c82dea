"""Labels of whole images in a list: what was given is what a training reads, and what was there stays."""

import csv
import os

import numpy as np
import pytest
from PIL import Image

from fovea.data.annotating.kinds import KINDS
from fovea.data.annotating.lists import ListedLabels
from fovea.data.labelling import label_list
from fovea.data.sources.source import find
from fovea.errors import DataError, StorageError

HOSTILE = ("a b.png", "<img src=x>.png", "-rm.png", "a,b;c.png", 'quote".png', "%20.png", "caf\u00e9.png")


@pytest.fixture
def photos(tmp_path):
    """Return the paths of four images in a folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    files = [folder / f"{name}.png" for name in "abcd"]
    for file in files:
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(file)
    return [os.path.abspath(file) for file in files]


def rows_of(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def labels(file, kind="classes"):
    return ListedLabels(file, KINDS[kind])


def test_a_training_reads_what_was_given(tmp_path, photos):
    kept = labels(tmp_path / "todo.csv")
    for image, label in zip(photos, ["cat", "dog", "cat", None], strict=True):
        if label:
            kept.put(image, (4, 4), label, ("cat", "dog"))
    found = find(tmp_path / "todo.csv")
    assert found.classes == ("cat", "dog")
    assert dict(zip(found.parts["train"].names, found.parts["train"].labels.tolist(), strict=True)) == {
        "photos/a.png": 0,
        "photos/b.png": 1,
        "photos/c.png": 0,
    }
    again = labels(tmp_path / "todo.csv")
    assert [again.label(image) for image in photos] == ["cat", "dog", "cat", None]
    assert (again.labelled, again.without_label) == (frozenset(photos[:3]), 0)


def test_of_several_labels_none_is_another_answer_than_nothing_known(tmp_path, photos):
    file = tmp_path / "todo.csv"
    file.write_text("path,label,prediction,probability,doubt\nphotos/d.png,,x,,0.5\n")
    kept = labels(file, "labels")
    kept.put(photos[0], (4, 4), ["red", "blue"], ("red", "blue"))
    kept.put(photos[1], (4, 4), [], ("red", "blue"))
    again = labels(file, "labels")
    assert [again.label(image) for image in photos] == [["red", "blue"], [], None, None]
    assert again.without_label == 1
    found = find(file, task="labels")
    assert found.parts["train"].names == ("photos/a.png", "photos/b.png")
    assert found.parts["train"].labels.tolist() == [[1, 1], [0, 0]]


def test_rows_and_columns_that_were_there_stay(tmp_path, photos):
    file = tmp_path / "todo.csv"
    file.write_text("camera,path,label,split,doubt\nold,photos/a.png,cat,val,\nnew,photos/b.png,,,0.7\n")
    kept = labels(file)
    kept.put(photos[1], (4, 4), "dog", ("cat", "dog"))
    kept.put(photos[2], (4, 4), "cat", ("cat", "dog"))
    assert [tuple(row.values()) for row in rows_of(file)] == [
        ("old", "photos/a.png", "cat", "val", ""),
        ("new", "photos/b.png", "dog", "train", ""),
        ("", "photos/c.png", "cat", "train", ""),
    ]


def test_a_label_that_is_taken_back_takes_the_row_it_made_with_it(tmp_path, photos):
    file = tmp_path / "todo.csv"
    file.write_text("camera,path,label\nold,photos/a.png,cat\n")
    kept = labels(file)
    kept.put(photos[1], (4, 4), "dog", ())
    kept.put(photos[1], (4, 4), None, ())
    kept.put(photos[0], (4, 4), None, ())
    assert [tuple(row.values()) for row in rows_of(file)] == [("old", "photos/a.png", "")]
    assert label_list(file).known == frozenset()


def test_two_pages_do_not_undo_each_others_labels(tmp_path, photos):
    one, other = labels(tmp_path / "todo.csv"), labels(tmp_path / "todo.csv")
    one.put(photos[0], (4, 4), "cat", ())
    other.put(photos[1], (4, 4), "dog", ())
    one.put(photos[2], (4, 4), "cat", ())
    assert one.labelled == other.labelled == frozenset(photos[:3])


def test_a_full_disk_leaves_file_and_labels_as_they_were(tmp_path, photos, monkeypatch):
    file = tmp_path / "todo.csv"
    kept = labels(file)
    kept.put(photos[0], (4, 4), "cat", ())
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fovea.storage.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        kept.put(photos[1], (4, 4), "dog", ())
    assert file.read_bytes() == before and kept.label(photos[1]) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_files_come_back(tmp_path, name):
    image = tmp_path / "photos" / name
    image.parent.mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(image)
    labels(tmp_path / "todo.csv").put(str(image), (4, 4), "<b>cat</b>", ())
    assert labels(tmp_path / "todo.csv").label(str(image)) == "<b>cat</b>"
    assert find(tmp_path / "todo.csv").parts["train"].files == (image,)


@pytest.mark.parametrize("text", ["path,score\na.png,1\n", "path,label\na.png,x\n./a.png,y\n"])
def test_what_is_no_list_of_one_label_an_image_is_refused(tmp_path, text):
    (tmp_path / "todo.csv").write_text(text)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError):
        labels(tmp_path / "todo.csv")

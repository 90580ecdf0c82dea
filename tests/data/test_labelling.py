"""The list to fill in: what a person wrote in it is never lost."""

import csv
import os

import pytest

from fovea.data.labelling import Proposal, can_be_listed, label_list, relative_path
from fovea.errors import DataError, StorageError


def rows_of(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_where_there_is_no_list_it_begins_with_the_hints(tmp_path):
    file = tmp_path / "todo.csv"
    label_list(file).write([Proposal(tmp_path / "a.png", "cat", 0.5, 1.25)])
    assert rows_of(file) == [
        {"path": "a.png", "label": "", "prediction": "cat", "probability": "0.5000", "doubt": "1.25"}
    ]


def test_rows_with_a_label_stay_and_the_others_go(tmp_path):
    file = tmp_path / "todo.csv"
    file.write_text("camera,path,label\nold,a.png,cat\nnew,b.png,\n")
    found = label_list(file)
    assert found.labelled == (("old", "a.png", "cat"),)
    assert os.path.abspath(tmp_path / "a.png") in found.known
    assert os.path.abspath(tmp_path / "b.png") not in found.known
    found.write([Proposal(tmp_path / "c.png", "7", None, 0.1)])
    first, second = rows_of(file)
    assert (first["camera"], first["label"], first["doubt"]) == ("old", "cat", "")
    assert (second["path"], second["camera"], second["probability"]) == ("c.png", "", "")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_list_as_it_was(tmp_path, monkeypatch, failing):
    file = tmp_path / "todo.csv"
    file.write_text("path,label\na.png,cat\n")
    found = label_list(file)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"fovea.storage.os.{failing}", full)
    with pytest.raises(StorageError, match="No space left"):
        found.write([Proposal(tmp_path / "b.png", "dog", 0.4, 0.9)])
    assert file.read_text() == "path,label\na.png,cat\n"
    assert [path.name for path in tmp_path.iterdir()] == ["todo.csv"]


def test_what_is_no_list_is_refused(tmp_path):
    file = tmp_path / "todo.csv"
    file.write_text("path,score\na.png,1\n")
    with pytest.raises(DataError, match="no column `label`"):
        label_list(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError):
        label_list(file)


def test_paths_are_relative_and_no_formula(tmp_path):
    assert relative_path(tmp_path / "a" / "b.png", tmp_path) == "a/b.png"
    assert relative_path(tmp_path / "b.png", tmp_path / "lists") == "../b.png"
    for name in ("=1+1.png", "+a.png", "-b.png", "@c.png"):
        assert relative_path(tmp_path / name, tmp_path) == f"./{name}"


def test_names_that_are_no_text_cannot_be_listed(tmp_path):
    assert can_be_listed([tmp_path / "a.png", tmp_path / "\udce9.png"]) == [True, False]


def test_a_prediction_is_no_formula(tmp_path):
    file = tmp_path / "todo.csv"
    label_list(file).write([Proposal(tmp_path / "a.png", "=1+1", 0.5, 1)])
    assert rows_of(file)[0]["prediction"] == "'=1+1"

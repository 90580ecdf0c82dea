"""What is guessed, and what is left as it was."""

import pytest

from fovea.data.anomalies import find_strays
from fovea.data.sources.annotations.layouts import Asked, layout_of, load_annotated
from fovea.data.sources.source import DataSource, find
from fovea.data.sources.unlabelled import find_with_or_without_labels
from fovea.errors import DataError


def test_folders_of_classes_stay_what_they_are(tmp_path, put):
    for name in ("cat/1.png", "dog/1.png", "images/1.png", "masks/2.png"):
        put(tmp_path / name)
    (tmp_path / "notes.json").write_text('{"info": 3}')
    (tmp_path / "other.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "cat" / "1.txt").write_text("a cat on a mat")
    dataset = find(tmp_path)
    assert (dataset.task, dataset.classes) == ("classes", ("cat", "dog", "images", "masks"))


@pytest.mark.parametrize("said", [{"label_from": r"(\d)"}, {"known": ("a",)}])
def test_nothing_is_guessed_where_something_is_said(tmp_path, put, said):
    put(tmp_path / "images" / "1.png")
    put(tmp_path / "masks" / "1.png", [[0, 1]])
    assert DataSource(data=tmp_path).find().task == "masks"
    assert DataSource(data=tmp_path, **said).find().task == "classes"


def test_a_folder_without_annotations_has_no_labels(tmp_path, put):
    put(tmp_path / "1.png")
    dataset, labelled = find_with_or_without_labels(DataSource(data=tmp_path, task="masks", known=("a", "b")))
    assert not labelled
    assert dataset.parts["train"].names == ("1.png",)


@pytest.mark.parametrize("task", ["masks", "boxes", "points"])
def test_each_kind_says_what_is_wanted(tmp_path, put, task):
    put(tmp_path / "cat" / "1.png")
    assert layout_of(tmp_path, Asked(task)) is None
    with pytest.raises(DataError, match=f"has no {task}; expected"):
        load_annotated(tmp_path, Asked(task))


def test_annotations_are_no_stray_files(tmp_path, put):
    for name in ("images/1.png", "images/lone.png", "masks/1.png", "masks/spare.png"):
        put(tmp_path / name, [[0, 1]])
    (tmp_path / "classes.csv").write_text("name,index\na,0\nb,1\n")
    (tmp_path / "paper.pdf").write_bytes(b"%PDF")
    assert find_strays(tmp_path, find(tmp_path)) == ["images/lone.png", "masks/spare.png", "paper.pdf"]

"""Samples without labels: which folders are taken so, and what comes of them."""

import pytest
from PIL import Image

from fovea.data.sources.source import DataSource
from fovea.data.sources.unlabelled import find_with_or_without_labels, load_unlabelled
from fovea.errors import DataError, UsageError


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name)
    return folder


def test_every_sample_below_a_folder_counts(tmp_path):
    folder = fill(tmp_path / "x", "b.png", "2024/05/a.png", "2024/c.png", ".hidden/d.png")
    (folder / "notes.txt").touch()
    dataset = load_unlabelled(folder)
    part = dataset.parts["train"]
    assert part.names == ("2024/05/a.png", "2024/c.png", "b.png") and part.labels.tolist() == [-1, -1, -1]
    assert dataset.classes == () and dataset.native_size == (4, 4) and dataset.input == "images"


def test_only_a_folder_without_classes_is_taken_so_unasked(tmp_path):
    flat, sorted_ = fill(tmp_path / "flat", "a.png", "b.png"), fill(tmp_path / "sorted", "cat/a.png", "dog/b.png")
    assert find_with_or_without_labels(DataSource(data=flat))[1] is False
    dataset, labelled = find_with_or_without_labels(DataSource(data=sorted_))
    assert labelled and dataset.classes == ("cat", "dog")
    dataset, labelled = find_with_or_without_labels(DataSource(data=sorted_), unlabelled=True)
    assert not labelled and len(dataset.parts["train"]) == 2


def test_what_is_no_folder_of_samples_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="No images"):
        find_with_or_without_labels(DataSource(data=tmp_path / "empty"), unlabelled=True)
    with pytest.raises(UsageError, match="`--unlabelled` works for a folder of samples, and `digits` is not one"):
        find_with_or_without_labels(DataSource(data="digits"), unlabelled=True)

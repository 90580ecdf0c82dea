"""Labelling step by step: what is said is in the file at once, comes back, and can be taken back."""

import numpy as np
import pytest
from PIL import Image

from fovea.data.annotating.coco import CocoLabels
from fovea.data.annotating.kinds import KINDS
from fovea.data.annotating.lists import ListedLabels
from fovea.data.pool import find_pool
from fovea.data.sources.source import find
from fovea.errors import ImageError, StorageError, UsageError
from fovea.studio.label.labelling import Labelling, Steps

NAMES = ("0.png", "1.png", "<b>2.png", "3.png")


@pytest.fixture
def folder(tmp_path):
    """Return a folder of four images."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in NAMES:
        Image.fromarray(np.zeros((6, 9), np.uint8)).save(photos / name)
    return photos


def labelling(folder, kind="classes", classes=("cat", "dog"), steps=None):
    file = folder.parent / f"labels{KINDS[kind].suffix}"
    kept = CocoLabels(file, kind) if KINDS[kind].lies_on_image else ListedLabels(file, KINDS[kind])
    pool = find_pool(folder, copies=folder, input="images")
    return Labelling(name=kind, pool=pool, kept=kept, classes=classes, steps=[] if steps is None else steps)


def names_of(found):
    return [found.pool.part.names[row] for row in found.order]


def test_what_is_said_is_in_the_file_at_once(folder):
    found = labelling(folder)
    for label in ("cat", "dog"):
        found.give(label)
        found.go_to_unlabelled()
    again = labelling(folder)
    assert again.done == 2 and again.file.name == names_of(again)[2]
    assert find(folder.parent / "labels.csv").parts["train"].labels.tolist() == [0, 1]


def test_undo_takes_back_change_by_change_and_shows_their_images(folder):
    found = labelling(folder)
    found.give("cat")
    found.give("dog")
    found.go(2)
    found.give("cat")
    found.go(1)
    found.undo()
    assert (found.place, found.label) == (2, None)
    found.undo()
    assert (found.place, found.label) == (0, "cat")
    found.undo()
    assert (found.label, found.done, found.can_undo) == (None, 0, False)
    found.undo()
    assert found.done == 0


def test_a_page_that_is_loaded_anew_takes_back_what_the_one_before_has_done(folder):
    steps = Steps(most=2)
    found = labelling(folder, steps=steps.of("tab", folder, "classes"))
    found.give("cat")
    again = labelling(folder, steps=steps.of("tab", folder, "classes"))
    assert again.can_undo and not labelling(folder, steps=steps.of("another", folder, "classes")).can_undo
    again.undo()
    assert (again.place, again.label, again.can_undo) == (0, None, False)
    steps.of("tab", folder, "classes").append(("gone.png", "cat"))
    assert not labelling(folder, steps=steps.of("tab", folder, "classes")).can_undo
    steps.of("tab", folder, "classes").append(("0.png", "cat"))
    steps.of("third", folder, "classes"), steps.of("fourth", folder, "classes")
    assert steps.of("tab", folder, "classes") == []


def test_saying_the_same_again_is_no_step(folder):
    found = labelling(folder, "labels")
    found.give([])
    found.give([])
    found.undo()
    assert (found.label, found.can_undo) == (None, False)


def test_one_goes_on_past_what_has_a_label_and_around_the_end(folder):
    found = labelling(folder)
    found.go(1)
    for _ in range(3):
        found.give("cat")
        assert found.go_to_unlabelled()
    assert found.place == 0
    found.give("cat")
    assert not found.go_to_unlabelled()
    found.go(-5)
    assert found.place == 0
    found.go(50)
    assert found.place == 3


def test_the_doubtful_come_first_and_the_rest_stays(folder):
    found = labelling(folder)
    found.put_first(["3.png", "1.png", "gone.png"])
    assert names_of(found) == ["3.png", "1.png", "0.png", "<b>2.png"] and found.place == 0
    found.shuffle(1)
    assert sorted(names_of(found)) == sorted(NAMES)
    found.give("dog")
    assert labelling(folder).labelled == {names_of(found)[0]}


def test_a_brush_covers_and_undo_uncovers(folder):
    found = labelling(folder, "brush", ("cell",))
    found.paint([4.5, 3.5], radius=1.2, label="cell")
    assert (found.mask == 0).sum() == 5
    found.paint([4.5, 3.5], radius=0.5, label=None)
    again = labelling(folder, "brush", ("cell",))
    again.go(-1)
    assert (again.mask == 0).sum() == 4
    found.undo()
    found.undo()
    assert found.label is None and (found.mask == 255).all()
    with pytest.raises(UsageError):
        found.paint([1, 1], radius=1, label="wall")


def test_a_class_is_added_and_used(folder):
    found = labelling(folder, "boxes", ("cell",))
    found.add_class(" <script> ")
    found.give([{"label": "<script>", "box": [0, 0, 5, 5]}])
    assert CocoLabels(folder.parent / "labels.json", "boxes").classes == ("cell", "<script>")


def test_what_is_no_label_changes_nothing(folder):
    found = labelling(folder)
    with pytest.raises(UsageError):
        found.give("cow")
    assert found.done == 0 and not (folder.parent / "labels.csv").exists()


def test_a_label_that_cannot_be_kept_is_no_step(folder, monkeypatch):
    found = labelling(folder)
    found.give("cat")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fovea.storage.os.fsync", full)
    with pytest.raises(StorageError):
        found.give("dog")
    assert found.label == "cat"
    with pytest.raises(StorageError):
        found.undo()
    assert found.can_undo and found.label == "cat"


def test_an_image_that_cannot_be_read_is_told(folder):
    (folder / "0.png").write_bytes(b"no image")
    with pytest.raises(ImageError):
        labelling(folder, "boxes").give([])


def test_a_class_that_another_page_has_added_is_known_here(folder):
    one, other = labelling(folder, "brush", ("cell",)), labelling(folder, "brush", ("cell",))
    one.add_class("wall")
    one.paint([4, 3], radius=2, label="wall")
    assert other.label[0]["label"] == "wall" and other.classes == ("cell", "wall")
    other.paint([4, 3], radius=1, label="cell")
    assert {*np.unique(one.mask).tolist()} == {0, 1, 255}


def test_the_background_is_what_nobody_covers(folder):
    found = labelling(folder, "polygons", ("cell",))
    found.add_class("background")
    assert found.classes == ("cell",)

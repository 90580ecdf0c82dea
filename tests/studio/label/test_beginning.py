"""What an address asks for: completed by what is open, refused in a sentence where it leads elsewhere."""

import os
from urllib.parse import parse_qsl

import numpy as np
import pytest
from PIL import Image
from placed_bundles import placed_bundle
from seeded_bundles import seeded_bundle

from fovea.errors import DataError, FoveaError, UsageError
from fovea.studio.label.beginning import Asked, begun, first_order, orders, proposes, with_model
from fovea.studio.opened import Opened

LABELS = {"data": "photos", "kind": "classes", "classes": "cat\ndog", "out": "labels.csv"}


@pytest.fixture
def folder(tmp_path):
    """Return the studio's folder with two photos, beside one that is none of its business."""
    for place in ("studio/photos", "secret"):
        (tmp_path / place).mkdir(parents=True)
        for name in ("a.png", "b.png"):
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / place / name)
    return tmp_path / "studio"


def begin(folder, *, opened=None, **state):
    opened = opened or Opened(folder=folder)
    return begun(Asked.of({**LABELS, **state}, opened), opened)


@pytest.mark.parametrize(
    ("bundle", "kind", "names"),
    [
        (seeded_bundle(), "classes", "red\ngreen\nblue"),
        (seeded_bundle("grade"), "grade", "low\nmiddle\nhigh\nhighest"),
        (seeded_bundle("labels"), "labels", "red\ngreen\nblue"),
        (seeded_bundle("number"), "number", ""),
        (placed_bundle("masks"), "brush", "cell\nrim\nrest"),
        (placed_bundle("boxes"), "boxes", "red\nblue"),
        (placed_bundle("points"), "points", "left\nright"),
    ],
)
def test_the_network_that_is_open_tells_kind_and_names(bundle, kind, names):
    asked = Asked.of({}, Opened(bundle=bundle))
    assert (asked.kind, asked.classes) == (kind, names)
    assert asked.out == ("labels.csv" if kind in ("classes", "grade", "labels", "number") else "labels.json")
    assert proposes(bundle, kind) and not proposes(None, kind)
    assert orders(bundle, kind)[-2:] == orders(None, kind)


@pytest.mark.parametrize(
    ("bundle", "kind", "ways"),
    [
        (seeded_bundle(), "classes", ("margin", "entropy", "core-set")),
        (seeded_bundle(), "brush", ("core-set",)),
        (seeded_bundle("number"), "number", ("core-set",)),
        (placed_bundle("masks"), "polygons", ("confidence",)),
        (placed_bundle("masks"), "classes", ()),
    ],
)
def test_a_network_orders_by_its_doubt_where_it_answers_what_is_labelled(bundle, kind, ways):
    assert orders(bundle, kind)[:-2] == ways
    usual = first_order(Asked(kind=kind), bundle)
    assert usual == (*ways, "in the order of the files")[0]
    assert first_order(Asked(kind=kind, by="no such order"), bundle) == usual
    assert first_order(Asked(kind=kind, by="by chance"), bundle) == "by chance"


def test_an_address_leads_back_to_the_same_page(folder):
    opened = Opened(folder=folder)
    asked = Asked.of({**LABELS, "classes": "a,b\n<b>&c", "image": "b.png"}, opened)
    assert Asked.of(dict(parse_qsl(asked.address.partition("?")[2])), opened) == asked
    assert with_model(asked, "runs/x.safetensors").model == "runs/x.safetensors"


def test_an_address_does_not_repeat_what_the_network_knows(folder):
    opened = Opened(folder=folder, bundle=seeded_bundle())
    assert "&classes=" not in Asked.of({"data": "photos"}, opened).address
    assert "classes=red" in Asked.of({"data": "photos", "classes": "red"}, opened).address


def test_names_stand_on_lines_or_between_commas_and_those_of_the_file_count(folder):
    assert begin(folder, classes="a, b,a").classes == ("a", "b")
    (folder / "labels.csv").write_text("path,label\nphotos/a.png,cow\n")
    found = begin(folder, classes="a,b\nc")
    assert found.classes == ("a,b", "c", "cow") and found.done == 1


def test_the_image_that_is_asked_for_comes_first_and_an_unknown_one_does_not_matter(folder):
    assert begin(folder, image="b.png").file.name == "b.png"
    assert begin(folder, image="<script>").file.name == "a.png"


@pytest.mark.parametrize(
    "state",
    [
        {"data": "../secret"},
        {"data": "/etc"},
        {"data": "nothing"},
        {"data": "digits"},
        {"out": "../labels.csv"},
        {"out": "/elsewhere/labels.csv"},
        {"out": "nowhere/labels.csv"},
        {"out": "labels.json"},
        {"out": "link.csv"},
        {"out": ""},
        {"classes": ""},
        {"classes": "=1+1"},
        {"data": "list.csv"},
    ],
)
def test_what_leads_elsewhere_or_is_none_is_refused(folder, state):
    (folder / "list.csv").write_text("path\n../secret/a.png\n")
    os.symlink(folder.parent / "secret" / "new.csv", folder / "link.csv")
    (folder.parent / "secret" / "new.csv").write_text("path,label\n")
    if state == {"out": ""}:
        assert begin(folder, **state).kept.file.name == "labels.csv"
        return
    with pytest.raises(FoveaError):
        begin(folder, **state)


def test_pixels_are_covered_in_the_masks_beside_the_images(folder):
    (folder / "photos" / "images").mkdir()
    for name in ("a.png", "b.png"):
        (folder / "photos" / name).rename(folder / "photos" / "images" / name)
    (folder / "photos" / "masks").mkdir()
    Image.fromarray(np.array([[0, 1, 2, 255]] * 4, np.uint8)).save(folder / "photos" / "masks" / "a.png")
    asked = Asked.of({"data": "photos", "kind": "brush"}, Opened(folder=folder))
    assert asked.out == "photos/masks"
    found = begun(asked, Opened(folder=folder))
    assert found.classes == ("0", "1", "2") and found.pool.part.names == ("images/a.png", "images/b.png")
    assert found.done == 1 and found.file.name == "b.png"
    found.give([])
    assert (folder / "photos" / "masks" / "b.png").exists()


def test_a_linked_image_outside_is_not_shown(folder):
    os.symlink(folder.parent / "secret" / "a.png", folder / "photos" / "c.png")
    assert begin(folder).pool.part.names == ("a.png", "b.png")


def test_what_the_studio_was_opened_with_may_lie_elsewhere(folder):
    data = str(folder.parent / "secret")
    found = begin(folder, opened=Opened(folder=folder, data=data), data=data)
    assert len(found.pool.part) == 2
    found.give("cat")
    assert "../secret/a.png,cat" in (folder / "labels.csv").read_text()


def test_a_file_of_another_kind_is_not_written_over(folder):
    (folder / "labels.csv").write_text("name,price\na,1\n")
    with pytest.raises(DataError):
        begin(folder)
    assert (folder / "labels.csv").read_text() == "name,price\na,1\n"


def test_an_unknown_kind_is_the_usual_one(folder):
    assert Asked.of({"kind": "<b>"}, Opened(folder=folder)).kind == "classes"
    with pytest.raises(UsageError):
        begin(folder, kind="grade", classes="only")

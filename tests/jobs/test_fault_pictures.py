"""Pictures of faults show the image with what is wrong on it, whatever lies beyond it."""

import numpy as np
import pytest
from PIL import Image

import fovea
from fovea.jobs.fault_pictures import FURTHEST, PAPER, WRONG, fault_picture


def red(picture):
    return (picture == WRONG).all(axis=2)


@pytest.fixture
def boxes(tmp_path):
    Image.new("RGB", (40, 20), (0, 60, 0)).save(tmp_path / "a.png")
    rows = ["a.png,train,cat,1,1,9,9", "a.png,train,cat,30,5,60,15", "a.png,train,cat,-9e5,0,9,9"]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,split,label,x0,y0,x1,y1", *rows]))
    return tmp_path


def test_paper_beyond_the_image_shows_a_box_that_leaves_it_and_ends_somewhere(boxes):
    result, dataset = fovea.check(boxes, task="boxes"), fovea.find(boxes, task="boxes")
    near, far = (fault._asdict() for fault in result.targets.faults)
    picture = fault_picture(dataset, near)
    assert picture.shape[1] > 60 and (picture[0, -1] == PAPER).all()
    assert red(picture)[:, 57:61].any() and red(picture)[5, 30:60].all()
    assert 80 <= fault_picture(dataset, far).shape[1] <= 40 * (1 + 2 * FURTHEST) + 16
    assert near["places"] == [(30, 5, 60, 15)]


@pytest.fixture
def masks(tmp_path):
    for name, mask in (("a", np.zeros((10, 12))), ("b", np.full((4, 5), 1)), ("c", [[7] * 12] * 3 + [[1] * 12] * 7)):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("L", (12, 10)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(np.uint8(mask)).save(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "classes.csv").write_text("name,index\nsky,0\nsea,1\n")
    return tmp_path


def test_a_mask_stands_beside_its_image_with_what_is_no_class_in_red(masks, tmp_path):
    result, dataset = fovea.check(masks, html=tmp_path / "page.html"), fovea.find(masks)
    shown = {fault.name: fault_picture(dataset, fault._asdict()) for fault in result.targets.faults}
    assert shown["images/b.png"].shape == (10, 12 + 8 + 5, 3)
    assert red(shown["images/c.png"])[:3, 20:].all() and not red(shown["images/c.png"])[3:].any()
    page = (tmp_path / "page.html").read_text()
    assert "Masks that differ in size from their image" in page and page.count("<figure") >= 3


def test_without_an_image_there_is_no_picture(masks):
    dataset = fovea.find(masks)
    fault = {"name": "sea", "part": "train", "places": ()}
    assert fault_picture(dataset, fault) is None
    (masks / "images" / "a.png").write_bytes(b"no image")
    assert fault_picture(dataset, {**fault, "name": "images/a.png"}) is None

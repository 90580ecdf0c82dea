"""What is written is read back as data, and is the same."""

import json

import numpy as np
import pytest
from PIL import Image

from fovea.data.sources.annotations.layouts import Asked, load_annotated
from fovea.data.writers.answers import Answer
from fovea.data.writers.coco import write_coco
from fovea.data.writers.lists import write_boxes, write_points
from fovea.data.writers.masks import mask_png, write_mask, write_table
from fovea.preprocess import VOID
from fovea.tasks.mask_colours import palette

SIZE = (30, 40)
NAMES = ("a.png", "b.png")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name in NAMES:
        Image.new("RGB", (SIZE[1], SIZE[0])).save(tmp_path / "images" / name)
    return tmp_path


BOXES = np.array([[1, 2.25, 3, 10.5, 9, 0.9], [0, 0, 0, 40, 30, 0.25]])


def boxes():
    return [Answer("images/a.png", SIZE, BOXES), Answer("images/b.png", SIZE, BOXES[:0])]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_boxes(folder, form):
    if form == "json":
        write_coco(folder / "boxes.json", boxes(), task="boxes", classes=("cat", "dog"))
    else:
        write_boxes(folder / "boxes.csv", boxes(), classes=("cat", "dog"))
    part = (data := load_annotated(folder, Asked("boxes"))).parts["train"]
    assert (data.classes, part.names) == (("cat", "dog"), ("images/a.png", "images/b.png"))
    assert part.labels[0].tolist() == [[*row[:5], 0] for row in BOXES.tolist()]
    assert (part.labels[1, :, 0] == -1).all()


def test_scores_are_written(folder):
    write_coco(folder / "boxes.json", boxes(), task="boxes", classes=("cat", "dog"))
    assert [each["score"] for each in json.loads((folder / "boxes.json").read_text())["annotations"]] == [0.9, 0.25]
    write_boxes(folder / "boxes.csv", boxes(), classes=("cat", "dog"))
    assert (folder / "boxes.csv").read_text().splitlines() == [
        "path,label,x0,y0,x1,y1,score",
        "images/a.png,dog,2.25,3,10.5,9,0.9",
        "images/a.png,cat,0,0,40,30,0.25",
        "images/b.png,,,,,,",
    ]


POINTS = np.array([[5.5, 6.25, 2], [0, 0, 0], [39, 29.5, 1]])


@pytest.mark.parametrize("form", ["json", "csv"])
def test_points(folder, form):
    answers = [
        Answer("images/a.png", SIZE, POINTS),
        Answer("images/b.png", SIZE, POINTS + [[1, 0, 0], [0] * 3, [0] * 3]),
    ]
    names = ("nose", "left ear", "right ear")
    if form == "json":
        write_coco(folder / "points.json", answers, task="points", classes=names)
    else:
        write_points(folder / "points.csv", answers, classes=names)
    part = (data := load_annotated(folder, Asked("points"))).parts["train"]
    assert data.classes == names
    assert part.labels[0].tolist() == POINTS.tolist()
    assert part.labels[1, 0].tolist() == [6.5, 6.25, 2]


@pytest.fixture
def mask():
    generator = np.random.default_rng(0)
    mask = generator.integers(0, 3, SIZE, np.uint8)
    mask[:3, :5] = VOID
    return mask


def test_masks_as_files(folder, mask):
    (folder / "masks").mkdir()
    for name in NAMES:
        write_mask(folder / "masks" / name, mask)
    write_table(folder / "masks", ("sky", "sea", "land, flat"))
    data = load_annotated(folder, Asked("masks"))
    assert data.classes == ("sky", "sea", "land, flat")
    assert (data.parts["train"].labels[1].read(SIZE) == mask).all()


def test_a_mask_is_seen_in_the_colours_of_its_classes(folder, mask):
    (folder / "mask.png").write_bytes(mask_png(mask))
    with Image.open(folder / "mask.png") as image:
        assert (np.asarray(image) == mask).all()
        assert (np.asarray(image.convert("RGB")) == palette()[mask]).all()


@pytest.mark.parametrize("classes", [("background", "cat", "dog"), ("sky", "cat", "dog")])
def test_masks_as_run_lengths(folder, mask, classes):
    answers = [Answer(f"images/{name}", SIZE, mask) for name in NAMES]
    write_coco(folder / "masks.json", answers, task="masks", classes=classes)
    data = load_annotated(folder, Asked("masks", known=classes))
    assert data.classes == classes
    assert (data.parts["train"].labels[0].read(SIZE) == mask).all()
    alone = load_annotated(folder, Asked("masks"))
    assert alone.classes == ("background", *classes[classes[0] == "background" :])


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_run_lengths_are_those_of_pycocotools(folder, mask):
    pycocotools = pytest.importorskip("pycocotools.mask")
    write_coco(folder / "m.json", [Answer("a.png", SIZE, mask)], task="masks", classes=("background", "cat", "dog"))
    for each in json.loads((folder / "m.json").read_text())["annotations"]:
        wanted = mask == (VOID if each["iscrowd"] else each["category_id"] - 1)
        assert (pycocotools.decode(each["segmentation"]) == wanted).all()
        assert pycocotools.toBbox(each["segmentation"]).tolist() == each["bbox"]
        assert pycocotools.area(each["segmentation"]) == each["area"]

"""Boxes in XML as of VOC, in text files as of YOLO, and in CSV files."""

import pytest
from PIL import Image

from fovea.data.sources.source import find
from fovea.errors import DataError, UsageError


def xml(*objects):
    rows = [
        f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1, hard in objects
    ]
    return f"<annotation><filename>x.jpg</filename>{''.join(rows)}</annotation>"


@pytest.fixture
def voc(tmp_path, put):
    for name in ("a", "b", "c"):
        put(tmp_path / "JPEGImages" / f"{name}.png")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(xml(("rat", 1, 1, 10, 5, 0), ("cat", 3, 2, 4, 9, 1)))
    (tmp_path / "Annotations" / "b.xml").write_text(xml())
    return tmp_path


def rows(dataset, part="train", image=0):
    return dataset.parts[part].labels[image].tolist()


def test_voc_counts_from_1_and_includes_the_last_pixel(voc):
    dataset = find(voc)
    assert (dataset.task, dataset.classes) == ("boxes", ("cat", "rat"))
    assert rows(dataset) == [[1, 0, 0, 10, 5, 0], [0, 2, 1, 4, 9, 1]]
    assert dataset.parts["train"].names == ("JPEGImages/a.png", "JPEGImages/b.png")
    assert "1 images without an annotation are ignored: `JPEGImages/c.png`" in dataset.notes


def test_a_0_tells_that_pixels_are_counted_from_0(voc):
    (voc / "Annotations" / "b.xml").write_text(xml(("rat", 0, 3, 4, 5, 0)))
    assert rows(find(voc)) == [[1, 1, 1, 10, 5, 0], [0, 3, 2, 4, 9, 1]]


def test_voc_has_lists_for_its_parts(voc):
    (voc / "ImageSets" / "Main").mkdir(parents=True)
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (voc / "ImageSets" / "Main" / "test.txt").write_text("b  1\n")
    assert {part: each.names for part, each in find(voc).parts.items()} == {
        "train": ("JPEGImages/a.png",),
        "test": ("JPEGImages/b.png",),
    }


def test_xml_files_may_lie_beside_their_images(tmp_path, put):
    for part in ("train", "valid"):
        put(tmp_path / part / "a.jpg")
        (tmp_path / part / "a.xml").write_text(xml(("rat", 1, 1, 10, 5, 0)))
    dataset = find(tmp_path)
    assert {part: each.names for part, each in dataset.parts.items()} == {
        "train": ("train/a.jpg",),
        "val": ("valid/a.jpg",),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<html/>", "begins with `html`, so it is not a Pascal VOC annotation"),
        ("<annotation><object><name>a</name></object></annotation>", "object 1 has no `bndbox`"),
        ("<annotation><object/></annotation>", "object 1 has no `name`"),
        (xml(("a", "x", 1, 2, 3, 0)), r"object 1: `xmin` \(=x\) must be a number, in pixels"),
        (xml(("a", "inf", 1, 2, 3, 0)), r"`xmin` \(=inf\) must be a number"),
    ],
)
def test_xml_that_is_no_annotation_is_named(voc, content, message):
    (voc / "Annotations" / "b.xml").write_text(content)
    with pytest.raises(DataError, match=f"b.xml`.*{message}"):
        find(voc)


@pytest.fixture
def yolo(tmp_path, put):
    for part in ("train", "valid"):
        put(tmp_path / part / "images" / "a.png")
        put(tmp_path / part / "images" / "b.png")
        (tmp_path / part / "labels").mkdir()
        (tmp_path / part / "labels" / "a.txt").write_text("1 0.5 0.5 0.25 0.4\n0 0.1 0.1 0.3 0.1 0.3 0.5\n")
    (tmp_path / "data.yaml").write_text("train: x\nnames: ['cat', 'rat']\n")
    return tmp_path


def test_yolo_has_shares_of_the_image(yolo):
    dataset = find(yolo)
    assert (dataset.task, dataset.classes, [*dataset.parts]) == ("boxes", ("cat", "rat"), ["train", "val"])
    assert rows(dataset) == [pytest.approx([1, 7.5, 3, 12.5, 7, 0]), pytest.approx([0, 2, 1, 6, 5, 0])]
    assert rows(dataset, image=1)[0][0] == -1
    assert "1 images have no box" not in dataset.notes and "2 images have no box" in dataset.notes


def test_shares_are_of_the_upright_image(yolo):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (10, 20)).save(yolo / "train" / "images" / "a.png", exif=exif)
    assert rows(find(yolo))[0] == pytest.approx([1, 7.5, 3, 12.5, 7, 0])


def test_yolo_below_and_without_names(tmp_path, put):
    put(tmp_path / "images" / "train" / "a.png")
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text("2 0.5 0.5 0.1 0.1\n")
    dataset = find(tmp_path)
    assert dataset.classes == ("2",)
    assert "no file names the classes, so their numbers are used as names" in dataset.notes
    (tmp_path / "labels" / "classes.txt").write_text("cat\nrat\nowl\n")
    assert find(tmp_path).classes == ("cat", "rat", "owl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 0.5 0.5", "must be a class with centre, width and height, or with a polygon"),
        ("a 0.5 0.5 0.1 0.1", "must be a class with centre"),
        ("1 0.5 0.5 nan 0.1", "must be a class with centre"),
        ("2 0.5 0.5 0.1 0.1", "class 2 must be from 0 to 1, the classes with names"),
        ("1 100 50 20 20", "is in pixels; coordinates must be fractions of the image"),
    ],
)
def test_a_line_that_is_no_box_is_named(yolo, line, message):
    (yolo / "train" / "labels" / "a.txt").write_text(line)
    with pytest.raises(DataError, match=f"a.txt`, line 1: .*{message}"):
        find(yolo)


HEADER = "path,label,x0,y0,x1,y1,split\n"


def test_a_list_has_a_row_for_each_box(tmp_path, put):
    for name in ("a", "b"):
        put(tmp_path / "images" / f"{name}.png")
    text = "images/a.png,rat,1,2,3.5,4,train\nimages/a.png,cat,0,0,1,1,train\nimages/b.png,,,,,,test\n"
    (tmp_path / "boxes.csv").write_text(HEADER + text)
    dataset = find(tmp_path, task="boxes")
    assert rows(dataset) == [[1, 1, 2, 3.5, 4, 0], [0, 0, 0, 1, 1, 0]]
    assert rows(dataset, "test") == [[-1, 0, 0, 0, 0, 0]]
    assert find(tmp_path / "boxes.csv", task="boxes").name == "boxes"
    assert find(tmp_path / "boxes.csv").task == "boxes"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,rat,x,2,3,4,", r"line 2: `x0` \(=x\) must be a number, in pixels of the image"),
        ("a.png,,1,2,3,4,", "line 2: a box without a label"),
        ("c.png,rat,1,2,3,4,", "lists no usable image; the first, `c.png`: no such file"),
        ("a.png,rat,1,2,3,4,dev", "line 2: unknown split `dev`"),
    ],
)
def test_a_row_that_is_no_box_is_named(tmp_path, put, row, message):
    put(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text(
        HEADER + row.replace("4,", "4,") + ("train" if row.endswith(",") else "") + "\n"
    )
    with pytest.raises(DataError, match=message):
        find(tmp_path / "boxes.csv", task="boxes")


def test_data_without_boxes_says_what_is_wanted(tmp_path, put):
    put(tmp_path / "cat" / "a.png")
    with pytest.raises(DataError, match="has no boxes; expected COCO annotations, Pascal VOC XML files"):
        find(tmp_path, task="boxes")
    with pytest.raises(UsageError, match="`--task boxes` does not fit `digits`"):
        find("digits", task="boxes")

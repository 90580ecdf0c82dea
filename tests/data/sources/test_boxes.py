"""Boxes of images: which are read, by which name, and what is refused."""

import shutil

import pytest

import fovea
from fovea.data.sources.boxes import boxes_of
from fovea.data.sources.source import DataSource
from fovea.errors import DataError, UsageError


@pytest.fixture
def folder(colour_folder):
    return colour_folder("colours")


def written(path, *rows, header="path,x0,y0,x1,y1"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def boxes_in(data, file=None, **reading):
    source = DataSource(data=data, **reading)
    found = boxes_of(source, source.find(), file)
    return found and {name: boxes.tolist() for name, boxes in found.items()}


def test_an_image_may_have_several_boxes_or_none(folder, tmp_path):
    rows = ["red/0.png,1,2,3,4.5", "blue/1.png,,,,", "red/0.png,0,0,6,6"]
    assert boxes_in(folder, written(tmp_path / "boxes.csv", *rows)) == {"red/0.png": [[1, 2, 3, 4.5], [0, 0, 6, 6]]}


def test_paths_lead_from_the_file_too(folder, tmp_path):
    file = written(folder / "boxes.csv", "red/0.png,1,2,3,4", f"{folder}/red/1.png,1,2,3,4")
    assert list(boxes_in(folder, file)) == ["red/0.png", "red/1.png"]


def test_a_folder_of_classes_has_none_of_itself(folder):
    assert boxes_in(folder) is None


def test_a_manifest_with_the_columns_brings_its_boxes(folder, tmp_path):
    file = written(
        tmp_path / "all.csv",
        "colours/red/0.png,red,0,0,2,2",
        "colours/red/0.png,red,3,3,5,5",
        f"{folder}/blue/0.png,blue,,,,",
        "colours/gone.png,blue,1,1,2,2",
        header="path,label,x0,y0,x1,y1",
    )
    assert boxes_in(file) == {"colours/red/0.png": [[0, 0, 2, 2], [3, 3, 5, 5]], "colours/gone.png": [[1, 1, 2, 2]]}
    # one that lists other columns has none
    assert boxes_in(written(tmp_path / "plain.csv", "colours/red/0.png,red,1", header="path,label,x0")) is None


def test_a_folder_with_a_manifest_and_an_archive_of_it(folder, tmp_path):
    inside = tmp_path / "listed"
    shutil.copytree(folder / "red", inside / "images")
    written(inside / "list.csv", "0.png,a,0,0,2,2", "1.png,b,0,1,2,2", header="file,label,x0,y0,x1,y1")
    expected = {"images/0.png": [[0, 0, 2, 2]], "images/1.png": [[0, 1, 2, 2]]}
    assert boxes_in(inside, path_column="file") == expected
    archive = shutil.make_archive(tmp_path / "packed", "zip", inside)
    assert boxes_in(archive, path_column="file") == expected


def test_a_published_set_is_not_looked_for_as_a_file():
    assert boxes_of(DataSource(data="digits"), fovea.find("digits")) is None


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("path,x0,y0,x1", "red/0.png,1,2,3", "has no column `y1`; boxes need the columns x0, y0, x1, y1"),
        ("file,x0,y0,x1,y1", "red/0.png,1,2,3,4", "has no column `path`; .* Choose columns with `--path-column`"),
        ("path,x0,y0,x1,y1,x0", "red/0.png,1,2,3,4,5", "has the column `x0` twice"),
        ("path,x0,y0,x1,y1", "red/0.png,1,b,3,4", r"line 2: `y0` \(=b\) must be a number, in pixels"),
        ("path,x0,y0,x1,y1", "red/0.png,1,,3,4", r"line 2: `y0` \(=\) must be a number"),
        ("path,x0,y0,x1,y1", "red/0.png,1,inf,3,4", r"`y0` \(=inf\) must be a number"),
        ("path,x0,y0,x1,y1", "red/0.png,3,2,3,4", r"line 2: `x1` \(=3\) must be above `x0` \(=3\)"),
        ("path,x0,y0,x1,y1", "red/0.png,1,5,3,4", r"line 2: `y1` \(=4\) must be above `y0` \(=5\)"),
        ("path,x0,y0,x1,y1", "red/0.png,1,2,3,4,5", "line 2: more cells than the header"),
        (
            "path,x0,y0,x1,y1",
            "pink/0.png,1,2,3,4",
            ("line 2: `pink/0.png` is not an image of `colours`, .* like `blue/0.png`"),
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(folder, tmp_path, header, row, message):
    with pytest.raises(DataError, match=message):
        boxes_in(folder, written(tmp_path / "boxes.csv", row, header=header))


def test_what_is_no_table_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match=r"`boxes` \(=.*nowhere.csv\): no such file; give a CSV with the columns path"):
        boxes_in(folder, tmp_path / "nowhere.csv")
    with pytest.raises(UsageError, match="a folder, not a file"):
        boxes_in(folder, folder)
    (tmp_path / "boxes.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DataError, match="is not a CSV file in UTF-8"):
        boxes_in(folder, tmp_path / "boxes.csv")

"""Points in CSV files, and lists in archives."""

import zipfile

import pytest

from fovea.data.sources.annotations.layouts import Asked, load_annotated
from fovea.data.sources.source import find
from fovea.errors import DataError


@pytest.fixture
def folder(tmp_path, put):
    for part in ("training", "test"):
        for name in ("a", "b"):
            put(tmp_path / part / f"{name}.png")
    return tmp_path


def points(dataset, part="train", image=0):
    return dataset.parts[part].labels[image].tolist()


def test_points_by_name_with_and_without_visibility(folder):
    (folder / "points.csv").write_text(
        "path,nose_x,nose_y,left_eye_x,left_eye_y,left_eye_visible\ntest/a.png,1,2.5,3,4,1\ntest/b.png,,,3,4,\n"
    )
    dataset = find(folder / "points.csv")
    assert (dataset.task, dataset.classes) == ("points", ("nose", "left_eye"))
    assert points(dataset) == [[1, 2.5, 2], [3, 4, 1]]
    assert points(dataset, image=1) == [[0, 0, 0], [3, 4, 2]]
    assert dataset.notes[0] == "the task is `points`: `points.csv` has columns with the x and y of points"


@pytest.mark.parametrize("header", [",0,1,2,3", "image,x0,y0,x1,y1", "file,x1,y1,x2,y2", "image_name,y0,x0,x1,y1"])
def test_points_by_number_in_a_file_for_each_part(folder, header):
    row = "1,2,3,4" if "y0,x0" not in header else "2,1,3,4"
    (folder / "training_frames.csv").write_text(f"{header}\na.png,{row}\nb.png,{row}\n")
    (folder / "test_frames.csv").write_text(f"{header}\nb.png,{row}\n")
    dataset = find(folder)
    assert (dataset.task, dataset.classes) == ("points", ("0", "1"))
    assert {part: each.names for part, each in dataset.parts.items()} == {
        "train": ("training/a.png", "training/b.png"),
        "test": ("test/b.png",),
    }
    assert points(dataset) == points(dataset, "test") == [[1, 2, 2], [3, 4, 2]]


@pytest.mark.parametrize(
    "header", ["nose.x,nose.y,tip.x,tip.y", "nose X,nose Y,tip X,tip Y", "x_nose,y_nose,x_tip,y_tip"]
)
def test_points_whose_pairs_are_written_otherwise(folder, header):
    (folder / "points.csv").write_text(f"path,{header}\ntest/a.png,1,2,3,4\n")
    dataset = find(folder / "points.csv")
    assert (dataset.task, dataset.classes) == ("points", ("nose", "tip"))
    assert points(dataset) == [[1, 2, 2], [3, 4, 2]]


def test_a_list_that_has_the_columns_of_boxes_alone_is_of_boxes(folder):
    (folder / "list.csv").write_text("path,split,label,x0,y0,x1,y1\ntest/a.png,train,cat,0,0,2,2\n")
    dataset = find(folder / "list.csv")
    assert (dataset.task, dataset.classes) == ("boxes", ("cat",))
    assert dataset.notes[0].startswith("the task is `boxes`: `list.csv` has the columns of boxes")


def test_a_manifest_of_classes_may_have_boxes_beside_something_else(folder):
    (folder / "list.csv").write_text("path,label,x0,y0,x1,y1,camera\ntest/a.png,cat,0,0,2,2,A\ntest/b.png,rat,,,,,A\n")
    assert find(folder / "list.csv").task == "classes"
    assert find(folder / "list.csv", task="boxes").task == "boxes"


def test_a_manifest_with_labels_is_of_classes(folder):
    (folder / "list.csv").write_text("path,label,nose_x\ntest/a.png,cat,1\ntest/b.png,rat,1\n")
    assert find(folder / "list.csv").task == "classes"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,n_x,n_y\ntest/a.png,x,1\n", r"line 2: `n_x` \(=x\) must be a number, in pixels of the image"),
        ("path,n_x,n_y\ntest/a.png,1,\n", r"line 2: `n_y` \(=\) must be a number"),
        ("path,n_x,n_y,n_v\ntest/a.png,1,1,3\n", r"line 2: `n_v` \(=3\) must be 0 \(not labelled\), 1"),
        ("path,n_x,n_y\ntest/a.png,1,1\ntest/a.png,1,1\n", "line 3: `test/a.png` is listed twice"),
        ("path,n_x,n_y\nc.png,1,1\n", "lists no usable image; the first, `c.png`: no such file"),
        ("path,a,b\nc.png,1,1\n", "has no points; expected COCO keypoints, or a CSV with the columns"),
    ],
)
def test_a_list_that_has_no_points_is_named(folder, text, message):
    (folder / "points.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load_annotated(folder / "points.csv", Asked("points"))


def test_a_list_in_an_archive_names_nothing_outside_of_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(folder / "test" / "a.png", "p/images/a.png")
        archive.writestr(
            "p/boxes.csv", f"path,label,x0,y0,x1,y1\nimages/a.png,a,1,1,2,2\n{folder}/test/b.png,a,1,1,2,2\n"
        )
    dataset = find(tmp_path / "p.zip", task="boxes")
    assert dataset.parts["train"].names == ("images/a.png",)
    assert "outside of the archive" in dataset.bad_files[0].reason


def test_images_are_not_mirrored_where_left_and_right_are_not_known(folder):
    (folder / "points.csv").write_text("path,n_x,n_y,m_x,m_y\ntest/a.png,1,1,9,5\ntest/b.png,1,1,8,5\n")
    dataset = find(folder / "points.csv")
    assert dataset.directional
    assert "left and right points cannot be told from names or positions, so images are not mirrored" in dataset.notes
    (folder / "points.csv").write_text("path,left_x,left_y,right_x,right_y\ntest/a.png,1,1,9,5\n")
    assert not find(folder / "points.csv").directional


def test_points_whose_mean_shape_is_its_own_mirror_image_may_be_mirrored(folder):
    (folder / "points.csv").write_text("path,0,1,2,3\ntest/a.png,1,1,9,1\ntest/b.png,2,2,8,2.1\n")
    dataset = find(folder / "points.csv")
    assert not dataset.directional
    assert "left and right points were found by position: the mean shape is mirror symmetric" in dataset.notes

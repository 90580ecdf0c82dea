"""Parquet files of images, as pyarrow writes them and, where it is absent, as rows in memory."""

import io
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import BadFile
from fovea.data.sources import parquet
from fovea.data.sources.parquet import Table, load_parquet, parquet_files, read_parquet_column
from fovea.data.sources.source import find
from fovea.errors import DataError, MissingDependencyError, UsageError
from fovea.preprocess import Preprocess
from fovea.tasks.wording import Wording

NAMES = {b"huggingface": json.dumps({"info": {"features": {"label": {"names": ["dog", "cat"]}}}}).encode()}
needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not installed")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


def encoded(colour, mode="RGB"):
    stream = io.BytesIO()
    Image.new(mode, (3, 2), colour).save(stream, "PNG")
    return stream.getvalue()


def image(colour, path=None):
    return {"bytes": encoded(colour), "path": path}


@pytest.fixture(params=[pytest.param("pyarrow", marks=needs_pyarrow), "rows in memory"])
def write(request, tmp_path, monkeypatch):
    """Return a function that writes columns to a file in `data` and gives its path."""
    tables = {}

    def path_of(name):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def with_pyarrow(name, columns, metadata=None):
        import pyarrow
        from pyarrow.parquet import write_table

        table = pyarrow.table(columns).replace_schema_metadata(metadata)
        write_table(table, path_of(name), row_group_size=2)
        return path_of(name)

    def in_memory(name, columns, metadata=None):
        path_of(name).write_bytes(b"")
        tables[path_of(name)] = (columns, metadata or {})
        return path_of(name)

    def rows(file, names):
        chosen = [tables[file][0][name] for name in names]
        return (dict(zip(names, values, strict=True)) for values in zip(*chosen, strict=True))

    if request.param == "pyarrow":
        return with_pyarrow
    monkeypatch.setattr(parquet, "_table", lambda file: Table(tuple(tables[file][0]), tables[file][1]))
    monkeypatch.setattr(parquet, "_rows", rows)
    return in_memory


def test_unpacking_tells_how_far_it_is(write):
    heard = []
    file = write("train.parquet", {"image": [image("red"), image("blue")], "label": ["a", "b"]})
    load_parquet(file, progress=lambda *report: heard.append(report))
    assert [(title, total) for title, _, total in heard] == 2 * [("unpacking data", file.stat().st_size)]
    assert all(done <= total for _, done, total in heard)


def test_bytes_become_images_under_their_class_names(write):
    file = write("train.parquet", {"image": [image("red", "a.png"), image("blue")], "label": [1, 0]}, NAMES)
    dataset = load_parquet(file)
    train = dataset.parts["train"]
    assert dataset.name == "train" and dataset.classes == ("cat", "dog") and dataset.channels == 3
    assert train.names == ("train.parquet/0", "train.parquet/1") and train.labels.tolist() == [0, 1]
    squash = Preprocess(size=(2, 3), channels=3, fit="squash", mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels = decode_dataset(dataset, squash).parts["train"].decoded
    assert np.asarray(pixels)[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_bytes_are_written_into_the_cache_only(write, tmp_path):
    file = write("a.parquet", {"image": [image("red"), image("blue")], "label": [0, 1]})
    dataset = load_parquet(file)
    assert all(path.is_relative_to(tmp_path / "cache") for path in dataset.parts["train"].files)
    assert list(file.parent.iterdir()) == [file]


def test_plain_bytes_and_text_labels(write):
    columns = {"img": [encoded(9, "L"), encoded(200, "L")], "label": ["night", " day "]}
    dataset = load_parquet(write("a.parquet", columns))
    assert dataset.classes == ("day", "night") and dataset.channels == 1


def test_paths_start_at_the_folder_of_the_file(write, tmp_path):
    columns = {"path": ["x/1.png", "x/2.png", "x/none.png"], "label": ["a", "b", "a"]}
    file = write("a.parquet", columns)
    for name in ("1.png", "2.png"):
        (file.parent / "x").mkdir(exist_ok=True)
        (file.parent / "x" / name).write_bytes(encoded("red"))
    dataset = load_parquet(file)
    assert dataset.parts["train"].files == (file.parent / "x/1.png", file.parent / "x/2.png")
    assert dataset.bad_files == (BadFile("a.parquet/2", "no such file"),)


def test_a_struct_without_bytes_is_its_path(write):
    file = write("a.parquet", {"image": [{"bytes": None, "path": "1.png"}, image("red")], "label": [0, 1]})
    (file.parent / "1.png").write_bytes(encoded("blue"))
    assert load_parquet(file).parts["train"].files[0] == file.parent / "1.png"


def test_a_folder_of_parts(write):
    for name, labels in {
        "train-00000-of-00002.parquet": [0, 1],
        "train-00001-of-00002.parquet": [1, 1],
        "data/validation-00000-of-00001.parquet": [0, 0],
        "test/0000.parquet": [1, 0],
    }.items():
        file = write(name, {"image": [image("red"), image("blue")], "label": labels}, NAMES)
    folder = file.parent.parent
    dataset = find(folder)
    assert dataset.name == "data"
    assert {part: content.labels.tolist() for part, content in dataset.parts.items()} == {
        "train": [1, 0, 0, 0],
        "val": [1, 1],
        "test": [0, 1],
    }
    assert dataset.parts["val"].names == tuple(f"data/validation-00000-of-00001.parquet/{row}" for row in (0, 1))
    assert len(parquet_files(folder)) == 4


def test_a_split_column_counts_more_than_the_name(write):
    columns = {"image": [image("red")] * 3, "label": ["a", "b", "a"], "split": ["train", "test", "Validation"]}
    assert list(load_parquet(write("test.parquet", columns)).parts) == ["train", "val", "test"]


def test_columns_can_have_other_names_and_labels_be_numbers(write):
    file = write("a.parquet", {"photo": [image("red"), image("blue")], "age": [1.5, 3.0], "fold": ["train", "test"]})
    dataset = find(file, path_column="photo", label_column="age", split_column="fold", task="number")
    assert [part.labels.tolist() for part in dataset.parts.values()] == [[1.5], [3.0]]


def test_rows_without_image_or_label_are_left_out(write):
    columns = {"image": [image("red"), None, image("blue"), image("red")], "label": [0, 1, None, -1]}
    dataset = load_parquet(write("a.parquet", columns, NAMES))
    assert dataset.bad_files == (
        BadFile("a.parquet/1", "no such file"),
        BadFile("a.parquet/2", "no label"),
        BadFile("a.parquet/3", "no label"),
    )
    assert dataset.classes == ("cat", "dog")


def test_any_column_is_read_by_the_names_of_the_images(write):
    names = {b"huggingface": json.dumps({"info": {"features": {"camera": {"names": ["old", "new"]}}}}).encode()}
    columns = {"image": [image("red"), image("blue")], "label": [0, 1], "camera": [1, 0], "year": [2001, None]}
    file = write("a.parquet", columns, names)
    assert set(read_parquet_column(file, "camera")) == set(load_parquet(file).parts["train"].names)
    assert read_parquet_column(file, "camera") == {"a.parquet/0": "new", "a.parquet/1": "old"}
    assert read_parquet_column(file.parent, "year") == {"a.parquet/0": "2001", "a.parquet/1": ""}
    with pytest.raises(DataError, match=r"has no column `lens`; .*Choose columns with `--slice`"):
        read_parquet_column(file, "lens")


def test_the_fingerprint_follows_labels_and_images(write):
    prints = {
        load_parquet(write(f"{index}/a.parquet", {"image": [image("red"), cell], "label": [0, label]})).fingerprint
        for index, (cell, label) in enumerate([(image("red"), 0), (image("red"), 1), ({"bytes": b"x", "path": ""}, 1)])
    }
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("columns", "metadata", "message"),
    [
        ({"photo": ["a.png"], "label": [0]}, None, "has no column `path`; it has `photo`, `label`"),
        ({"image": [b"x"], "kind": [0]}, None, "has no column `label`"),
        ({"image": [b"x"], "label": [7]}, NAMES, "row 0: label `7` must be from 0 to 1"),
        ({"image": [None], "label": [1]}, NAMES, "has no row with an image and a label; no such file"),
        ({"image": [b"x"], "label": [1], "split": ["dev"]}, None, "row 0: unknown split `dev`"),
    ],
)
def test_what_cannot_be_used_is_said(write, columns, metadata, message):
    with pytest.raises(DataError, match=message):
        load_parquet(write("a.parquet", columns, metadata))


def test_names_of_only_some_parts_are_refused(write):
    write("train-0.parquet", {"image": [b"x"], "label": [0]})
    file = write("dev-0.parquet", {"image": [b"x"], "label": [0]})
    with pytest.raises(DataError, match="`dev-0.parquet` names no split, unlike other files"):
        load_parquet(file.parent)


def test_more_bytes_than_there_is_room_for_are_refused_and_leave_nothing(write, monkeypatch, tmp_path):
    monkeypatch.setattr(parquet, "MAX_UNPACKED_BYTES", 50)
    with pytest.raises(DataError, match=r"contains more than .* 50 bytes"):
        load_parquet(write("a.parquet", {"image": [image("red")], "label": [0]}))
    assert not list((tmp_path / "cache" / "archives").iterdir())


def test_label_from_is_for_files(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match="`--label-from` works for folders"):
        find(tmp_path / "a.parquet", label_from="(x)")


@needs_pyarrow
def test_another_file_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load_parquet(tmp_path / "a.parquet")


def test_without_the_library_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(MissingDependencyError, match=r"pip install 'fovea-cnn\[parquet\]'"):
        load_parquet(tmp_path / "a.parquet")


FEATURE = {"names": ["dog", "cat", "owl"], "_type": "ClassLabel"}


def lists(feature):
    return {b"huggingface": json.dumps({"info": {"features": {"label": feature}}}).encode()}


@pytest.mark.parametrize("feature", [{"feature": FEATURE, "_type": "Sequence"}, [FEATURE], {"feature": [FEATURE]}])
def test_lists_of_indices_become_labels_by_name(write, feature):
    columns = {"image": [image("red"), image("blue"), image("green")], "label": [[0, 2], [], None]}
    dataset = load_parquet(write("a.parquet", columns, lists(feature)), task="labels")
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.parts["train"].labels.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert dataset.bad_files == (BadFile("a.parquet/2", "no label"),)


def test_lists_of_texts_and_texts_with_separators(write):
    images = [image("red"), image("blue"), image("green")]
    listed = load_parquet(write("a.parquet", {"image": images, "label": [["a", "b c"], ["a"], []]}), task="labels")
    columns = {"image": images, "label": ["a|b c", " a", ""]}
    texts = load_parquet(write("b.parquet", columns), task="labels", wording=Wording(separator="|"))
    assert listed.classes == texts.classes == ("a", "b c")
    for dataset in (listed, texts):
        assert dataset.parts["train"].labels.tolist() == [[1, 1], [1, 0], [0, 0]]


def test_a_text_that_is_null_is_no_label(write):
    columns = {"image": [image("red"), image("blue")], "label": ["a", None]}
    dataset = load_parquet(write("a.parquet", columns), task="labels")
    assert dataset.parts["train"].labels.tolist() == [[1]] and len(dataset.bad_files) == 1


def test_labels_in_columns_may_be_null(write):
    columns = {"image": [image("red"), image("blue"), image("green")], "a": [1, None, None], "b": [True, False, None]}
    file = write("a.parquet", columns)
    dataset = find(file, task="labels", label_columns="a,b")
    assert dataset.classes == ("a", "b")
    assert np.array_equal(dataset.parts["train"].labels, [[1, 1], [np.nan, 0]], equal_nan=True)
    assert dataset.bad_files == (BadFile("a.parquet/2", "no label"),)
    with pytest.raises(DataError, match="has no column `c`; it has .*Choose columns with `--label-columns`"):
        find(file, task="labels", label_columns="a,c")


@pytest.mark.parametrize("task", ["classes", "number", "grade"])
def test_a_list_is_refused_where_one_label_is_wanted_before_anything_is_unpacked(write, tmp_path, task):
    file = write("a.parquet", {"image": [image("red"), image("blue")], "label": [["a", "b"], ["a"]]})
    with pytest.raises(DataError, match="has the labels a, b, but one is needed; use `--task labels` for several"):
        load_parquet(file, task=task)
    assert not (tmp_path / "cache").exists()


def test_a_column_of_lists_is_read_as_texts(write):
    columns = {"image": [image("red"), image("blue")], "label": [[1, 2], None]}
    file = write("a.parquet", columns, lists([FEATURE]))
    assert read_parquet_column(file, "label") == {"a.parquet/0": "cat, owl", "a.parquet/1": ""}


def test_the_order_of_names_in_a_file_is_no_order_of_grades(write):
    file = write("a.parquet", {"image": [image("red"), image("blue")], "label": [0, 1]}, NAMES)
    with pytest.raises(DataError, match="`cat`, `dog` are not numbers; give their order"):
        load_parquet(file, task="grade")
    assert find(file, task="grade", order="dog,cat").classes == ("dog", "cat")


def names_of(*names):
    return {b"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}}).encode()}


def test_each_file_is_read_by_its_own_class_names(write):
    write("train-0.parquet", {"image": [image("red"), image("lime")], "label": [0, 1]}, names_of("red", "green"))
    write("test-0.parquet", {"image": [image("red"), image("lime")], "label": [1, 0]}, names_of("green", "red", "blue"))
    root = write("train-1.parquet", {"image": [image("lime")], "label": ["green"]}).parent
    dataset = load_parquet(root)
    assert dataset.classes == ("blue", "green", "red")
    assert {part: found.labels.tolist() for part, found in dataset.parts.items()} == {
        "train": [2, 1, 1],
        "test": [2, 1],
    }
    assert "the files name their classes differently, so each file is read with its own names" in dataset.notes


def test_numbers_in_a_file_without_names_beside_others_with_them_are_refused(write):
    write("train-0.parquet", {"image": [image("red")], "label": [0]}, NAMES)
    root = write("train-1.parquet", {"image": [image("red")], "label": [0]}).parent
    with pytest.raises(
        DataError, match="train-1.parquet`, column `label`, row 0: label `0` is a number, and this file"
    ):
        load_parquet(root)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cat", "dog", "cat "), "`label` has 2 different names for 3 classes: 0 and 2 are both `cat`"),
        (("caf\u00e9", "cafe\u0301"), "has 1 different names for 2 classes"),
        (("cat", None), "the name of class 1 is `None`; expected UTF-8 text"),
    ],
)
def test_names_that_are_not_distinct_are_refused(write, names, message):
    with pytest.raises(DataError, match=message):
        load_parquet(write("a.parquet", {"image": [image("red")], "label": [0]}, names_of(*names)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [image("red")], "label": [{"x": 1}]}, "column `label`, row 0: `{'x': 1}` is a struct, not a label"),
        ({"image": [image("red")] * 2, "label": [1.0, 0.5]}, "row 1: label `0.5` is a fraction, not a class"),
        ({"image": ["iVBORw0KGgo" * 90], "label": [1]}, "column `image`, row 0: .* is an image as text, not a path"),
        ({"image": [[image("red")]], "label": [1]}, "column `image`, row 0: .* is a list, not an image"),
        ({"image": [image("red")], "label": [["a", "b"]]}, "row 0: An image has the labels a, b, but one is needed"),
    ],
)
def test_cells_that_are_not_understood_are_refused_in_one_short_line(write, columns, message):
    with pytest.raises(DataError, match=message) as caught:
        load_parquet(write("a.parquet", columns))
    assert len(str(caught.value)) < 400


def test_whole_numbers_with_gaps_are_classes_by_their_digits_and_that_is_said(write):
    dataset = load_parquet(write("a.parquet", {"image": [image("red")] * 4, "label": [0.0, 1.0, float("nan"), None]}))
    assert dataset.classes == ("0", "1")
    assert [bad.reason for bad in dataset.bad_files] == ["no label", "no label"]
    assert "labels are stored as 0.0, 1.0 and so on; the classes are named 0, 1 and so on" in dataset.notes


def test_files_in_folders_of_parts_of_a_configuration_are_found(write, tmp_path):
    write("default/train/0000.parquet", {"image": [image("red")], "label": ["a"]})
    write("default/test/0000.parquet", {"image": [image("blue")], "label": ["b"]})
    assert list(load_parquet(tmp_path / "data").parts) == ["train", "test"]
    (tmp_path / "data" / "small" / "train").mkdir(parents=True)
    (tmp_path / "data" / "small" / "train" / "0.parquet").touch()
    with pytest.raises(
        DataError, match=("has Parquet files in `default`, `small`, which are separate data sets; give one of these")
    ):
        parquet_files(tmp_path / "data")

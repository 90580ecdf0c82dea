from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fovea.data.dataset import BadFile
from fovea.data.sources.manifests import Columns, load_manifest, manifests_in, read_column
from fovea.errors import DataError
from fovea.tasks.wording import Wording


@pytest.fixture
def folder(tmp_path):
    for name in ("img/1.png", "img/2.png", "img/3.png"):
        path = tmp_path / "list" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2)).save(path)
    return tmp_path / "list"


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    file = folder / "labels.csv"
    file.write_text(text, encoding=encoding)
    return file


def test_rows_become_labelled_files_relative_to_the_manifest(folder):
    dataset = load_manifest(write(folder, "path,label\nimg/2.png,dog\nimg/1.png,cat\n"))
    train = dataset.parts["train"]
    assert dataset.name == "labels" and dataset.classes == ("cat", "dog") and dataset.channels == 1
    assert train.names == ("img/1.png", "img/2.png") and train.labels.tolist() == [0, 1]
    assert train.files == (folder / "img/1.png", folder / "img/2.png")


def test_a_split_column_makes_parts(folder):
    text = "path,label,split\nimg/1.png,a,train\nimg/2.png,b,Training\nimg/3.png,a,valid\n"
    dataset = load_manifest(write(folder, text))
    assert {part: content.names for part, content in dataset.parts.items()} == {
        "train": ("img/1.png", "img/2.png"),
        "val": ("img/3.png",),
    }


def test_columns_can_have_other_names_and_a_byte_order_mark(folder):
    file = write(folder, "file;x,kind,part\nimg/1.png,a,test\nimg/2.png,b,test\n", "utf-8-sig")
    dataset = load_manifest(file, columns=Columns("file;x", "kind", "part"))
    assert list(dataset.parts) == ["test"] and dataset.classes == ("a", "b")


def test_absolute_paths_are_taken_and_named_without_their_place(folder, tmp_path):
    other = tmp_path / "far" / "away"
    other.mkdir(parents=True)
    Image.new("L", (2, 2)).save(other / "9.png")
    file = write(folder, f"path,label\n{folder}/img/1.png,a\n{other}/9.png,b\n../list/img/2.png,a\n")
    assert load_manifest(file).parts["train"].names == ("9.png", "img/1.png", "img/2.png")


def test_numbers_are_labels_too(folder):
    dataset = load_manifest(write(folder, "path,label\nimg/1.png,1.5\nimg/2.png,-3\n"), task="number")
    assert dataset.task == "number" and dataset.parts["train"].labels.tolist() == [1.5, -3]


def test_missing_files_and_labels_are_named_with_their_line(folder):
    dataset = load_manifest(write(folder, "path,label\nimg/1.png,a\nimg/x.png,a\nimg/2.png,\nimg/3.png,b\n"))
    assert dataset.bad_files == (
        BadFile("img/x.png", "no such file (line 3 of labels.csv)"),
        BadFile("img/2.png", "no label (line 4 of labels.csv)"),
    )
    assert len(dataset.parts["train"]) == 2


def test_a_missing_column_lists_those_there(folder):
    with pytest.raises(
        DataError, match=("has no column `label`; it has `path`, `kind`. Choose columns with .*`--label-column`")
    ):
        load_manifest(write(folder, "path,kind\nimg/1.png,a\n"))


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator_is_named(folder, mark, name):
    with pytest.raises(DataError, match=f"has no column `path`; .* Separate columns by commas, not {name}."):
        load_manifest(write(folder, f"path{mark}label\nimg/1.png{mark}a\n"))


def test_a_split_column_that_was_asked_for_must_be_there(folder):
    with pytest.raises(DataError, match="has no column `fold`; it has `path`, `label`"):
        load_manifest(write(folder, "path,label\nimg/1.png,a\n"), columns=Columns(split="fold"))


def test_an_unknown_split_is_named_with_its_line(folder):
    with pytest.raises(DataError, match="labels.csv`, line 3: unknown split `tset`; allowed are train, "):
        load_manifest(write(folder, "path,label,split\nimg/1.png,a,train\nimg/2.png,b,tset\n"))


def test_a_label_that_is_no_number_is_refused(folder):
    with pytest.raises(DataError, match="Label `old` is not a number"):
        load_manifest(write(folder, "path,label\nimg/1.png,old\n"), task="number")


def test_a_manifest_without_any_file_says_what_was_tried(folder):
    with pytest.raises(DataError) as caught:
        load_manifest(write(folder, "path,label\nno.png,a\nnor.png,b\n"))
    assert str(caught.value) == (
        f"`{folder}/labels.csv` lists no usable image; the first, `{folder}/no.png`: no such file (line 2 "
        "of labels.csv). Paths are relative to the folder of the manifest, or to the only folder in it."
    )


def test_paths_may_start_at_the_only_folder_beside_the_manifest(folder):
    file = write(folder, "path,label,kind\n1.png,a,x\n2.png,b,y\n9.png,b,z\n")
    dataset = load_manifest(file)
    assert dataset.parts["train"].names == ("img/1.png", "img/2.png")
    assert dataset.parts["train"].files[0] == folder / "img" / "1.png"
    assert dataset.bad_files == (BadFile("img/9.png", "no such file (line 4 of labels.csv)"),)
    assert read_column(file, "kind") == {"img/1.png": "x", "img/2.png": "y", "img/9.png": "z"}


def test_files_that_lie_in_one_of_several_folders_are_refused_with_the_way_out(folder):
    (folder / "more").mkdir()
    message = "It is in `img`: write `img/1.png`, or move the manifest there.$"
    with pytest.raises(DataError, match=message):
        load_manifest(write(folder, "path,label\n1.png,a\n2.png,b\n"))


def test_the_only_csv_of_a_folder_without_class_folders_lists_its_images(folder):
    file = write(folder, "path,label\n1.png,a\n2.png,b\n")
    assert manifests_in(folder) == [file]
    (folder / "img" / "cats").mkdir()  # as in train/cats
    assert manifests_in(folder) == []
    (folder / "img" / "cats").rmdir()
    (folder / "other").mkdir()  # class folders, and a list of something
    assert manifests_in(folder) == []
    (folder / "other").rmdir()
    (folder / "test.csv").touch()  # two lists
    assert manifests_in(folder) == []


def test_rows_that_all_lack_their_label_are_refused(folder):
    with pytest.raises(DataError, match=r"the first, `.*img/1.png`: no label \(line 2 of labels.csv\)"):
        load_manifest(write(folder, "path,label\nimg/1.png,\n"))


def test_a_header_alone_is_refused(folder):
    with pytest.raises(DataError, match="has no row below its header; list one image per row"):
        load_manifest(write(folder, "path,label\n"))


def test_an_empty_manifest_is_refused(folder):
    with pytest.raises(DataError, match="has no column `path`; it has none"):
        load_manifest(write(folder, ""))


def test_a_file_that_is_no_text_is_refused(folder):
    file = folder / "labels.csv"
    file.write_bytes(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(DataError, match="is not a CSV file in UTF-8"):
        load_manifest(file)


NAN = np.nan


def cells(*columns):
    return {"task": "labels", "wording": Wording(columns=columns)}


def test_a_text_holds_several_labels_and_an_empty_one_none(folder):
    file = write(folder, "path,label\nimg/1.png,dog; cat\nimg/2.png,\nimg/3.png\n")
    dataset = load_manifest(file, task="labels")
    assert dataset.classes == ("cat", "dog") and dataset.task == "labels"
    assert dataset.parts["train"].labels.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert dataset.bad_files == () and dataset.notes == ()


def test_another_separator_divides_texts_elsewhere(folder):
    file = write(folder, "path,label\nimg/1.png,a|b;c\nimg/2.png,a\n")
    dataset = load_manifest(file, task="labels", wording=Wording(separator="|"))
    assert dataset.classes == ("a", "b;c") and dataset.parts["train"].labels.tolist() == [[1, 1], [1, 0]]


def test_labels_can_have_a_column_each_and_be_unknown(folder):
    text = "path,b,a,split\nimg/1.png,1,0,train\nimg/2.png,,1.0,train\nimg/3.png,false,NaN,test\n"
    dataset = load_manifest(write(folder, text), **cells("a", "b"))
    assert dataset.classes == ("a", "b") and list(dataset.parts) == ["train", "test"]
    assert np.array_equal(dataset.parts["train"].labels, [[0, 1], [1, NAN]], equal_nan=True)
    assert np.array_equal(dataset.parts["test"].labels, [[NAN, 0]], equal_nan=True)
    assert dataset.notes == (
        "2 of 6 labels are unknown; loss and scores ignore them",
        "no training image lacks the label `b`, so it cannot be learned",
    )


def test_a_row_of_which_nothing_is_known_is_left_out(folder):
    text = "path,a,b\nimg/1.png,1.0,\nimg/2.png,, nan\nimg/3.png\n"
    dataset = load_manifest(write(folder, text), **cells("a", "b"))
    assert dataset.parts["train"].names == ("img/1.png",)
    assert dataset.bad_files == (
        BadFile("img/2.png", "no label (line 3 of labels.csv)"),
        BadFile("img/3.png", "no label (line 4 of labels.csv)"),
    )


@pytest.mark.parametrize("row", ["maybe,1", "maybe,", "-1,0", ".0,1"])
def test_a_cell_that_says_something_else_is_refused(folder, row):
    with pytest.raises(
        DataError, match=(f"`{row.partition(',')[0]}` in the column `a` is not a label; expected 1, 0, or")
    ):
        load_manifest(write(folder, f"path,a,b\nimg/1.png,{row}\n"), **cells("a", "b"))


def test_a_missing_column_of_a_label_is_told(folder):
    with pytest.raises(
        DataError, match=("no column `c`; it has `path`, `a`, `b`. Choose columns with `--label-columns`")
    ):
        load_manifest(write(folder, "path,a,b\nimg/1.png,1,1\n"), **cells("a", "c"))


def test_the_fingerprint_follows_the_names_of_columns_and_not_their_order(folder):
    def fingerprint(text, *columns):
        return load_manifest(write(folder, text), **cells(*columns)).fingerprint

    first = fingerprint("path,a,b\nimg/1.png,1,0\n", "a", "b")
    assert fingerprint("path,b,a\nimg/1.png,0,1\n", "b", "a") == first
    assert first != fingerprint("path,a,b\nimg/1.png,1,0\n", "b")
    assert first != fingerprint("path,a,c\nimg/1.png,1,0\n", "a", "c")
    assert first != fingerprint("path,a,b\nimg/1.png,0,1\n", "a", "b")


def test_any_column_is_read_beside_several_labels(folder):
    file = write(folder, "path,a,b,camera\nimg/1.png,1,0,old\nimg/2.png,0,1,new\n")
    names = load_manifest(file, **cells("a", "b")).parts["train"].names
    assert read_column(file, "camera") == dict(zip(names, ("old", "new"), strict=True))


def test_grades_are_in_the_order_of_their_numbers_or_as_said(folder):
    numbers = load_manifest(write(folder, "path,label\nimg/1.png,10\nimg/2.png,9\n"), task="grade")
    assert numbers.classes == ("9", "10") and numbers.parts["train"].labels.tolist() == [1, 0]
    file = write(folder, "path,label\nimg/1.png,large\nimg/2.png,small\nimg/3.png,\n")
    named = load_manifest(file, task="grade", wording=Wording(order=("small", "medium", "large")))
    assert named.classes == ("small", "medium", "large") and named.parts["train"].labels.tolist() == [2, 0]
    assert len(named.bad_files) == 1
    known = load_manifest(file, task="grade", wording=Wording(known=("small", "medium", "large")))
    assert known.classes == named.classes and known.fingerprint == named.fingerprint
    with pytest.raises(DataError, match="`large`, `small` are not numbers; give their order, lowest first: --order"):
        load_manifest(file, task="grade")


@pytest.mark.parametrize("path", ["img/\0.png", "img/" + "x" * 300 + ".png", "img/" + "x/" * 3000])
def test_a_path_that_no_file_can_have_is_a_bad_file(folder, path):
    dataset = load_manifest(write(folder, f"path,label\nimg/1.png,cat\nimg/2.png,dog\n{path},cat\n"))
    assert len(dataset.parts["train"]) == 2 and dataset.bad_files[0].reason.startswith(
        ("no such file", "a name that is not valid")
    )


def test_a_path_of_two_slashes_is_named_as_one_of_one(folder):
    dataset = load_manifest(write(folder, "path,label\nimg/1.png,cat\nimg/2.png,dog\n//absent.png,cat\n"))
    (bad,) = dataset.bad_files
    assert bad.name == "absent.png" and bad.reason.startswith("no such file, as on another machine")


def test_blank_rows_are_passed_over_and_counted_where_others_follow(folder):
    text = "path,label\nimg/1.png,a\n,\n\n  , \nimg/2.png,b\n,\n,\n"
    dataset = load_manifest(write(folder, text))
    assert dataset.bad_files == () and len(dataset.parts["train"]) == 2
    assert dataset.notes == ("2 blank rows between others in labels.csv were skipped",)


def test_a_spreadsheets_encoding_and_blanks_in_its_header_do_not_matter(folder):
    dataset = load_manifest(write(folder, "\ufeffpath , label\nimg/1.png,\u00e9\nimg/2.png,b\n", "utf-16-le"))
    assert dataset.classes == ("b", "\u00e9")


def test_labels_columns_and_paths_are_compared_in_one_form(folder):
    Image.new("L", (2, 2)).save(folder / "img" / "\u00e9.png")
    file = write(folder, "path,cafe\u0301\nimg/e\u0301.png,e\u0301\nimg/1.png,\u00e9 \nimg/2.png,x\n")
    dataset = load_manifest(file, columns=Columns(label="caf\u00e9"))
    assert dataset.classes == ("x", "\u00e9") and dataset.bad_files == ()
    assert read_column(file, "caf\u00e9")["img/\u00e9.png"] == "\u00e9"


def test_a_label_that_is_nan_is_none(folder):
    dataset = load_manifest(write(folder, "path,label\nimg/1.png,NaN\nimg/2.png,b\n"))
    assert dataset.bad_files == (BadFile("img/1.png", "no label (line 2 of labels.csv)"),)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("inf", "`img/1.png`: Label `inf` is not a number"),
        ("1e39", "`img/1.png`: Label `1e39` is outside the supported range, up to 3.4e38"),
        ("x" * 9000, r"Label `x{60}\.\.\. \(9,000 characters\)` is not a number"),
    ],
)
def test_numbers_that_are_none_are_refused_with_their_image(folder, label, message):
    with pytest.raises(DataError, match=message):
        load_manifest(write(folder, f"path,label\nimg/1.png,{label}\nimg/2.png,1\n"), task="number")


def test_long_cells_are_shortened(folder):
    with pytest.raises(DataError) as caught:
        load_manifest(write(folder, f"path,label\n{'A' * 5000},a\n"))
    assert len(str(caught.value)) < 500 and "AAA... (5,000 characters)`: no such file (line 2" in str(caught.value)
    dataset = load_manifest(write(folder, f"path,label\n{'A' * 5000},a\nimg/1.png,a\n"))
    assert len(dataset.bad_files[0].name) < 250


def test_a_row_with_more_cells_than_the_header_is_bad(folder):
    dataset = load_manifest(write(folder, "path,label\nimg/9,2.png,a\nimg/2.png,b,\n"))
    reason = "more cells than the header; put cells that contain commas in quotes (line 2 of labels.csv)"
    assert dataset.bad_files == (BadFile("img/9", reason),)
    assert dataset.parts["train"].names == ("img/2.png",)


def test_a_column_that_is_there_twice_is_refused(folder):
    with pytest.raises(DataError, match="has the column `label` twice"):
        load_manifest(write(folder, "path,label,label\nimg/1.png,a,b\n"))


def test_a_list_for_each_part_is_read_by_its_own_header(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for number in (1, 2):
            Image.new("L", (2, 2)).save(tmp_path / part / f"{number}.png")
    (tmp_path / "train.csv").write_text("path,label\n1.png,a\n2.png,b\n")
    (tmp_path / "test.csv").write_text("label,path\nb,1.png\na,2.png\n")
    assert [file.name for file in manifests_in(tmp_path)] == ["test.csv", "train.csv"]
    dataset = load_manifest(*manifests_in(tmp_path))
    assert {part: (found.names, found.labels.tolist()) for part, found in dataset.parts.items()} == {
        "train": (("train/1.png", "train/2.png"), [0, 1]),
        "test": (("test/1.png", "test/2.png"), [1, 0]),
    }
    (tmp_path / "train-more.csv").write_text("path,label\n")  # two lists of one part
    assert manifests_in(tmp_path) == []

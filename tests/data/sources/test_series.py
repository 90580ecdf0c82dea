"""Series as data sets: how an `.npz` of them is told from images, the files of archives, wide CSV, what is left out."""

import numpy as np
import pytest

import fovea
from fovea.data.sources.series import samples_in
from fovea.errors import DataError, UsageError

TS = """# a comment
@problemName Two
@timeStamps false
@univariate {uni}
@classLabel true a b
@data
"""


def ts(path, rows, *, univariate="true"):
    path.write_text(TS.format(uni=univariate) + "\n".join(rows) + "\n")


@pytest.fixture
def pair(tmp_path):
    """Return a folder with a train and a test file."""
    folder = tmp_path / "Two"
    folder.mkdir()
    ts(folder / "Two_TRAIN.ts", ["1,2,3:a", "4,5,6:b", "7,8,9:a"])
    ts(folder / "Two_TEST.ts", ["1,1,1:b"])
    return folder


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("name", ["", "Two_TRAIN.ts", "Two_TEST.ts"])
def test_a_pair_of_files_is_found_from_each_and_from_their_folder(pair, name):
    dataset = fovea.find(pair / name)
    assert (dataset.input, dataset.name, dataset.channels, dataset.native_size) == ("series", "Two", 1, (3,))
    assert {part: len(own) for part, own in dataset.parts.items()} == {"train": 3, "test": 1}
    assert dataset.classes == ("a", "b") and dataset.parts["train"].labels.tolist() == [0, 1, 0]
    assert dataset.parts["train"].decoded[1].ravel().tolist() == [4, 5, 6]
    assert dataset.parts["test"].names == ("Two_TEST[0]",)
    assert dataset.fingerprint == fovea.find(pair).fingerprint
    assert "Two_TEST.ts is the test split, Two_TRAIN.ts is the train split" in dataset.notes


def test_dimensions_are_channels_and_shorter_series_end_earlier(tmp_path):
    ts(tmp_path / "Two_TRAIN.ts", ["1,2:10,20:a", "3,4,5:30,40,50:b"], univariate="false")
    dataset = fovea.find(tmp_path / "Two_TRAIN.ts")
    assert (dataset.channels, dataset.native_size) == (2, (3,))
    assert dataset.parts["train"].decoded[0].tolist() == [[1, 10], [2, 20]]
    assert dataset.parts["train"].decoded.shape == (2, 0, 2)
    assert any(note.startswith("lengths differ, 2 to 3 steps") for note in dataset.notes)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["1,x:a"], "line 7: .*x"),
        (["1,2:a", "1,2:3,4:b"], "series 1 has 2 channels, but the first has 1"),
        ([], "contains no series"),
    ],
)
def test_a_ts_file_that_is_none_is_refused_with_the_line(tmp_path, rows, reason):
    ts(tmp_path / "a.ts", rows)
    with pytest.raises(DataError, match=reason):
        fovea.find(tmp_path / "a.ts")


def test_time_stamps_and_relations_are_refused(tmp_path):
    (tmp_path / "a.ts").write_text("@timeStamps true\n@data\n(0,1):a\n")
    with pytest.raises(DataError, match="time stamps \\(line 1\\)"):
        fovea.find(tmp_path / "a.ts")
    (tmp_path / "a.arff").write_text("@relation a\n@attribute x relational\n@data\n")
    with pytest.raises(DataError, match="several dimensions \\(line 2\\)"):
        fovea.find(tmp_path / "a.arff")


def test_the_other_forms_of_the_archive(tmp_path):
    (tmp_path / "A_TRAIN.tsv").write_text("1.0\t5\t6\tNaN\n-1\t7\t8\t9\n")
    dataset = fovea.find(tmp_path / "A_TRAIN.tsv")
    assert dataset.classes == ("1", "-1") and dataset.parts["train"].decoded[0].ravel().tolist() == [5, 6]
    (tmp_path / "B.arff").write_text("% c\n@relation b\n@attribute x numeric\n@data\n1,2,one\n3,4,'two'\n")
    dataset = fovea.find(tmp_path / "B.arff")
    assert dataset.classes == ("one", "two") and dataset.parts["train"].decoded[1].ravel().tolist() == [3, 4]


def test_a_csv_file_with_a_series_in_each_row(tmp_path):
    file = tmp_path / "wide.csv"
    file.write_text("label,t0,t1,t2,split\nup,1,2,3,train\ndown,3,2,,train\nup,1,4,5,test\n")
    dataset = fovea.find(file)
    assert dataset.input == "series" and {k: len(v) for k, v in dataset.parts.items()} == {"train": 2, "test": 1}
    assert dataset.parts["train"].decoded[1].ravel().tolist() == [3, 2]
    file.write_text("label,t0,t1\nup,1\n")
    with pytest.raises(DataError, match="no column `path`"):
        fovea.find(file)
    with pytest.raises(DataError, match="contains no series"):
        fovea.find(file, input="series")


def test_a_list_of_files_stays_a_list(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("1\n2\n3\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "list.csv").write_text("path,label\na.csv,x\nb.csv,y\nc.csv,y\n")
    dataset = fovea.find(tmp_path / "list.csv")
    assert (
        dataset.input == "series" and dataset.native_size == (3,) and dataset.parts["train"].names == ("a.csv", "b.csv")
    )
    assert dataset.bad_files[0].reason.startswith("no such file")


def test_class_folders_of_csv_files(tmp_path):
    for name, text in (("up/1.csv", "1,2\n3,4\n"), ("down/1.csv", "a,b\n1,2\n"), ("down/2.csv", "1,2\n1,2\n1,2\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    dataset = fovea.find(tmp_path)
    assert (dataset.input, dataset.channels, dataset.native_size) == ("series", 2, (3,))
    assert dataset.classes == ("down", "up") and not dataset.directional


def test_an_npz_of_floats_holds_series_and_of_uint8_images(tmp_path):
    x, y = np.zeros((4, 6, 2)), [0, 1, 0, 1]
    dataset = fovea.find(saved(tmp_path / "a.npz", x=x.astype(np.float32), y=y))
    assert (dataset.input, dataset.channels, dataset.native_size) == ("series", 2, (6,))
    assert any("`x` is float32, so it contains series" in note for note in dataset.notes)
    assert fovea.find(saved(tmp_path / "a.npz", x=np.zeros((4, 6)), y=y)).channels == 1
    assert fovea.find(saved(tmp_path / "a.npz", x=np.zeros((4, 6, 2), np.uint8), y=y)).input == "images"
    whole = saved(tmp_path / "a.npz", x=np.ones((4, 6), np.int16), y=y)
    assert fovea.find(whole, input="series").parts["train"].decoded.dtype == np.float32


def test_what_may_be_either_is_not_decided(tmp_path):
    file = saved(tmp_path / "a.npz", x=np.zeros((4, 28, 28)), y=[0, 1, 0, 1])
    with pytest.raises(UsageError, match="square images, or series .* give `--input series`"):
        fovea.find(file)
    assert fovea.find(file, input="series").channels == 28
    with pytest.raises(DataError, match="pixels must be uint8"):
        fovea.find(file, input="images")


def test_images_of_floats_are_refused_as_before(tmp_path):
    with pytest.raises(DataError, match="pixels must be uint8"):
        fovea.find(saved(tmp_path / "a.npz", x=np.zeros((4, 8, 8, 3)), y=[0, 1, 0, 1]))


def test_a_series_with_a_missing_value_is_left_out_and_named(tmp_path):
    x = np.zeros((40, 5), np.float32)
    x[3, 2], x[4, 4] = np.inf, np.nan
    dataset = fovea.find(saved(tmp_path / "a.npz", x=x, y=np.arange(40) % 2))
    assert [bad.name for bad in dataset.bad_files] == ["x[3]"] and len(dataset.parts["train"]) == 39
    assert "an infinite value at step 2" in dataset.bad_files[0].reason
    assert "x[3]" not in dataset.parts["train"].names and len(dataset.parts["train"].labels) == 39


def test_numbers_and_several_labels_go_with_series_too(tmp_path):
    x = np.zeros((4, 5))
    assert fovea.find(saved(tmp_path / "a.npz", x=x, y=[0.5, 1, 2, 3]), task="number").task == "number"
    rows = fovea.find(saved(tmp_path / "b.npz", x=x, y=np.eye(4)), task="labels")
    assert rows.parts["train"].labels.shape == (4, 4)


def test_the_parts_must_agree(tmp_path):
    arrays = {"x_train": np.zeros((4, 5)), "y_train": [0, 1, 0, 1], "x_test": np.zeros((2, 6)), "y_test": [0, 1]}
    with pytest.raises(DataError, match="differ in length or channels"):
        fovea.find(saved(tmp_path / "a.npz", **arrays))


def test_series_of_a_file_of_several_are_named_by_their_row(pair, tmp_path):
    names = [name for name, _ in samples_in(pair / "Two_TRAIN.ts", channels=1)]
    assert names == [f"{pair / 'Two_TRAIN.ts'}[{row}]" for row in range(3)]
    [(name, values)] = samples_in(saved(tmp_path / "a.npz", series=np.ones((1, 5))), channels=1)
    assert name.endswith("a.npz:series[0]") and values.shape == (5, 1)
    (tmp_path / "one.csv").write_text("a,b\n1,2\n3,4\n")
    assert samples_in(tmp_path / "one.csv", channels=2) is None
    assert len(samples_in(tmp_path / "one.csv", channels=1)) == 2
    assert samples_in(tmp_path, channels=1) is None

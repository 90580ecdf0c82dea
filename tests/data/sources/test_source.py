import os
import tarfile
import tomllib
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image

from fovea.data.sources.source import NAMES, DataSource, find
from fovea.errors import DataError, NotFoundError, UsageError

DATA = os.environ.get("FOVEA_DATA", "/nonexistent")  # before the fixture hides it


@pytest.fixture(autouse=True)
def _own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FOVEA_DATA", raising=False)


@pytest.fixture
def pets(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 2)).save(path)
    return tmp_path / "pets"


def test_a_folder_is_found_by_text_or_path(pets):
    assert find(pets).fingerprint == find(str(pets)).fingerprint == find(f"{pets}/").fingerprint
    assert find(pets).name == "pets"


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz"])
def test_an_archive_is_the_same_data_set_as_its_folder(pets, tmp_path, suffix):
    archive = tmp_path / f"pets{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for file in sorted(pets.rglob("*.png")):
                opened.write(file, f"pets/{file.relative_to(pets)}")
    else:
        with tarfile.open(archive, f"w:{suffix[5:]}") as opened:
            opened.add(pets, "pets")
    dataset = find(archive)
    assert (dataset.name, dataset.fingerprint) == ("pets", find(pets).fingerprint)
    assert find(archive).parts["train"].names == find(pets).parts["train"].names


def test_options_reach_the_source(pets):
    (pets / "list.csv").write_text("file,kind,fold\ncat/1.png,1,train\ndog/1.png,2,test\n")
    dataset = find(pets / "list.csv", path_column="file", label_column="kind", split_column="fold", task="number")
    assert list(dataset.parts) == ["train", "test"] and dataset.parts["test"].labels.tolist() == [2]
    assert find(pets, label_from=r"^(\d)").classes == ("1", "2")


def test_a_folder_of_images_beside_a_list_is_what_the_list_says(tmp_path):
    (tmp_path / "birds" / "images").mkdir(parents=True)
    for name in ("1.png", "2.png", "3.png"):
        Image.new("RGB", (3, 2)).save(tmp_path / "birds" / "images" / name)
    (tmp_path / "birds" / "labels.csv").write_text("file,kind\n1.png,jay\n2.png,owl\n")
    dataset = find(tmp_path / "birds", path_column="file", label_column="kind")
    assert (dataset.name, dataset.classes) == ("birds", ("jay", "owl"))
    assert dataset.parts["train"].names == ("images/1.png", "images/2.png")
    with pytest.raises(
        DataError, match="labels.csv` has no column `path`; it has `file`, `kind`. Choose columns with `--path"
    ):
        find(tmp_path / "birds")
    assert find(tmp_path / "birds", label_from=r"^(\d)").classes == ("1", "2", "3")


def test_an_archive_that_does_not_do_is_named_as_it_was_given(tmp_path):
    archive = tmp_path / "pets.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("pets/cat.1.png", b"")
        opened.writestr("pets/dog.1.png", b"")
    with pytest.raises(DataError, match="`.*/pets.zip` contains images but no sub-folder per class") as caught:
        find(archive)
    assert "cache" not in str(caught.value)


def test_arrays_are_found(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 3), np.uint8), y=[0.5, 1.5])
    assert find(tmp_path / "x.npz", task="number").parts["train"].labels.tolist() == [0.5, 1.5]


def test_digits_need_no_file():
    assert len(find("digits").parts["train"]) == 1438


def test_a_name_means_the_data_set_and_a_path_the_folder(pets, monkeypatch):
    pets.rename(pets.parent / "digits")
    monkeypatch.chdir(pets.parent)
    assert find("digits").classes == tuple("0123456789")
    assert find("./digits").classes == find(Path("digits")).classes == ("cat", "dog")


def test_a_folder_keeps_its_whole_name(pets):
    assert find(pets.rename(pets.parent / "pets.v2")).name == "pets.v2"


def test_a_plain_word_may_be_a_folder(pets, monkeypatch):
    monkeypatch.chdir(pets.parent)
    assert find("pets").name == "pets"
    monkeypatch.chdir(pets)
    assert find(".").name == "pets"


def test_an_unknown_name_is_answered_with_its_neighbours():
    with pytest.raises(UsageError) as caught:
        find("mnits")
    assert str(caught.value) == (
        "There is no folder `mnits` here, and no data set of that name; did you mean `mnist`? "
        "Give a path, or one of cifar10, cifar100, digits, fashion-mnist, mnist."
    )


@pytest.mark.parametrize("spec", ["no/such", "none.zip", "./none", "none/", Path("none")])
def test_a_missing_path_is_said_so(spec):
    with pytest.raises(NotFoundError, match="There is no file or folder `.*`"):
        find(spec)


def test_an_address_is_refused():
    with pytest.raises(
        UsageError, match=r"^`https://a\.org/pets\.zip` is an address, and only local files are supported"
    ):
        find("https://a.org/pets.zip")


def test_a_file_of_another_kind_is_refused(pets):
    with pytest.raises(
        UsageError,
        match=r"1.png` is not a supported data set; expected a folder, or .csv, .json, .parquet, .npz, .ts, .tsv",
    ):
        find(pets / "cat" / "1.png")


@pytest.mark.parametrize("spec", ["digits", "list.csv", "x.npz"])
def test_label_from_is_refused_where_labels_are_known(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").touch()
    (tmp_path / "x.npz").touch()
    with pytest.raises(
        UsageError, match=(f"`--label-from` works for folders and archives of images; `{spec}` has its own")
    ):
        find(spec, label_from="(a)")


def test_an_unknown_task_lists_those_there_are(pets):
    with pytest.raises(UsageError, match="`--task regression` is not one of classes, number"):
        find(pets, task="regression")


@pytest.mark.parametrize("task", ["number", "labels", "grade"])
def test_only_classes_are_learned_of_what_has_classes(task):
    with pytest.raises(UsageError, match=f"`--task {task}` does not fit `digits`, which has classes; leave it out"):
        find("digits", task=task)
    with pytest.raises(UsageError) as caught:  # as `evaluate` asks, where nobody has named a task
        DataSource(data="digits", task=task, known=("a", "b")).find()
    assert str(caught.value) == (
        f"A model of the task `{task}` does not fit `digits`, which has classes; give other data."
    )


@pytest.mark.parametrize("task", ["labels", "grade"])
def test_idx_files_have_classes(tmp_path, task):
    for name in ("images-idx3", "labels-idx1"):
        (tmp_path / f"train-{name}-ubyte").touch()
    with pytest.raises(UsageError, match=f"`--task {task}` does not fit `.*`, which has classes"):
        find(tmp_path, task=task)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_without_download_a_missing_set_is_said_so(name):
    with pytest.raises(DataError, match=f"`{name}` was not found in"):
        find(name, download=False)


@pytest.mark.skipif(not Path(DATA, "fashion-mnist").is_dir(), reason="FOVEA_DATA has no fashion-mnist")
def test_a_published_set_is_found_by_name_and_by_place(monkeypatch):
    monkeypatch.setenv("FOVEA_DATA", DATA)
    by_name = find("fashion-mnist", download=False)
    assert by_name.fingerprint == find(Path(DATA, "fashion-mnist")).fingerprint
    assert {name: len(part) for name, part in by_name.parts.items()} == {"train": 60_000, "test": 10_000}
    assert len(by_name.classes) == 10 and by_name.native_size == (28, 28)


def test_options_of_labels_reach_every_form(pets, tmp_path):
    (pets / "list.csv").write_text("path,label\ncat/1.png,a|b\ndog/1.png,b\n")
    for data in (pets / "list.csv", pets / "list"):
        if data.suffix == "":  # the folder of a list, where no folders stand for classes
            data.mkdir()
            (data / "all.csv").write_text("path,label\n../cat/1.png,a|b\n../dog/1.png,b\n")
        dataset = find(data, task="labels", label_separator="|")
        assert dataset.classes == ("a", "b") and dataset.parts["train"].labels.tolist() == [[1, 1], [0, 1]]
    with zipfile.ZipFile(tmp_path / "sorted.zip", "w") as opened:
        opened.write(pets / "cat" / "1.png", "sorted/x|y/1.png")
        opened.write(pets / "cat" / "2.png", "sorted/y/2.png")
    assert find(tmp_path / "sorted.zip", task="labels", label_separator="|").classes == ("x", "y")
    assert find(tmp_path / "sorted.zip", task="grade", order=["y", "x|y"]).classes == ("y", "x|y")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 3), np.uint8), y=["a", "b"])
    assert find(tmp_path / "x.npz", task="grade", order="b,a").parts["train"].labels.tolist() == [1, 0]


def test_names_are_text_or_a_sequence_and_survive_a_recipe():
    source = DataSource(data="x", task="labels", label_columns=" a, b c")
    assert source.wording.columns == ("a", "b c")
    assert source == DataSource(data="x", task="labels", label_columns=["a", "b c"])
    for given in (source, DataSource(data="x", task="grade", order=("1,5", "2"), label_separator=" ")):
        stored = {name: value for name, value in asdict(given).items() if value is not None}
        assert DataSource(**tomllib.loads(tomli_w.dumps(stored))) == given


def test_what_says_nothing_of_labels_is_not_stored():
    kept = {"data", "path_column", "label_column", "split_column", "task", "allow_bad"}
    assert {name for name, value in asdict(DataSource(data="x")).items() if value is not None} == kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"label_separator": "|"},
            ("`--label-separator` works with `--task labels`, not `--task classes`; change one"),
        ),
        (
            {"label_columns": "a", "task": "number"},
            "`--label-columns` works with `--task labels`, not `--task number`",
        ),
        ({"order": "a,b"}, "`--order` works with `--task grade`, not `--task classes`"),
        ({"order": "a,b", "task": "labels"}, "`--order` works with `--task grade`, not `--task labels`"),
        (
            {"task": "labels", "label_separator": ";", "label_columns": "a"},
            "`--label-separator` and `--label-columns` cannot be used together; give one",
        ),
        (
            {"task": "labels", "label_column": "kind", "label_columns": "a"},
            "`--label-column` and `--label-columns` cannot be used together; give one",
        ),
        (
            {"task": "labels", "label_separator": ""},
            "`--label-separator` is empty; give the character between two labels",
        ),
        (
            {"task": "labels", "label_columns": "a,,b"},
            ("`--label-columns a,,b` has an empty name; write names separated by"),
        ),
        ({"task": "labels", "label_columns": "a,b,a"}, "`--label-columns a,b,a` has `a` twice; give each name once"),
        ({"task": "labels", "label_columns": []}, "`--label-columns ` must have at least 1 name"),
        ({"task": "grade", "order": ""}, "`--order ` has an empty name"),
        ({"task": "grade", "order": "a,b,a"}, "`--order a,b,a` has `a` twice"),
        ({"task": "grade", "order": "a"}, "`--order a` must have at least 2 names, separated by commas"),
    ],
)
def test_what_is_said_of_labels_must_agree_before_anything_is_read(options, message):
    with pytest.raises(UsageError, match=message):
        find("no/such.csv", **options)


def test_columns_of_labels_are_for_manifests_and_separators_for_texts(pets, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 3), np.uint8), y=np.eye(2))
    for data in (pets, tmp_path / "x.npz"):
        with pytest.raises(
            UsageError, match=(f"`--label-columns` works for manifests .CSV or Parquet., and `{data}` is not one")
        ):
            find(data, task="labels", label_columns="a,b")
    with pytest.raises(
        UsageError,
        match=(
            r"`--label-separator` works for labels stored as text; those of "
            r"`.*x\.npz` are arrays"
        ),
    ):
        find(tmp_path / "x.npz", task="labels", label_separator=";")


def test_the_order_that_a_model_knows_is_not_changed(pets):
    known = DataSource(data=pets, task="grade", known=("dog", "cat"))
    assert known.find().classes == ("dog", "cat")
    with pytest.raises(UsageError, match="`--order` differs from the order of the model, dog, cat; leave it"):
        DataSource(data=pets, task="grade", known=("dog", "cat"), order="cat,dog").find()


def test_labels_that_a_model_knows_count_where_no_image_has_them(pets):
    dataset = DataSource(data=pets, task="labels", known=("dog", "bird")).find()
    assert dataset.classes == ("bird", "cat", "dog")
    assert dataset.parts["train"].labels.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]

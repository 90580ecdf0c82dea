"""Archives that hold a manifest are read as the folder is, and lead nowhere else."""

import io
import zipfile

import pytest
from PIL import Image

from fovea.data.sources.source import DataSource, find
from fovea.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


def image():
    stream = io.BytesIO()
    Image.new("L", (2, 2)).save(stream, "PNG")
    return stream.getvalue()


def pack(path, lists, images=("images/1.png", "images/2.png")):
    with zipfile.ZipFile(path, "w") as archive:
        for name in images:
            archive.writestr(f"birds/{name}", image())
        for name, text in lists.items():
            archive.writestr(f"birds/{name}", text)
        archive.writestr("__MACOSX/birds/._labels.csv", "x")
        archive.writestr("birds/.DS_Store", "x")
    return path


def test_a_zip_with_a_manifest_one_folder_down(tmp_path):
    file = pack(tmp_path / "b.zip", {"labels.csv": "path,label,place\n1.png,owl,north\n2.png,tit,south\n"})
    dataset = find(file)
    assert (dataset.name, dataset.classes) == ("b", ("owl", "tit"))
    assert dataset.parts["train"].names == ("images/1.png", "images/2.png")
    assert DataSource(data=file).column("place") == {"images/1.png": "north", "images/2.png": "south"}


def test_a_zip_with_a_list_for_each_part(tmp_path):
    lists = {"train.csv": "path,label\n1.png,a\n2.png,b\n", "test.csv": "label,path\nb,1.png\n"}
    dataset = find(pack(tmp_path / "b.zip", lists, images=("train/1.png", "train/2.png", "test/1.png")))
    assert {part: len(found) for part, found in dataset.parts.items()} == {"train": 2, "test": 1}


@pytest.mark.parametrize("path", ["../../../secret.png", "{place}/secret.png"])
def test_its_manifest_lists_nothing_outside(tmp_path, path):
    (tmp_path / "secret.png").write_bytes(image())
    listed = path.format(place=tmp_path)
    dataset = find(pack(tmp_path / "b.zip", {"labels.csv": f"path,label\n1.png,owl\n{listed},tit\n"}))
    assert dataset.classes == ("owl",)
    assert dataset.bad_files[0].reason == "its path leads outside of the archive (line 3 of labels.csv)"


def test_an_archive_without_a_manifest_takes_no_columns(tmp_path):
    file = pack(tmp_path / "b.zip", {}, images=("owl/1.png", "tit/1.png"))
    assert find(file).classes == ("owl", "tit")
    with pytest.raises(UsageError, match="`--label-columns` works for manifests"):
        find(file, task="labels", label_columns="a,b")


def test_photographs_in_an_archive_that_are_not_read_are_named(tmp_path):
    file = pack(tmp_path / "b.zip", {"owl/9.heic": "x"}, images=("owl/1.png", "tit/1.png"))
    assert [bad.name for bad in find(file).bad_files] == ["owl/9.heic"]


def test_messages_name_the_archive_and_not_the_cache(tmp_path):
    file = pack(tmp_path / "b.zip", {"labels.csv": "path,kind\n1.png,owl\n"})
    with pytest.raises(DataError, match=r"b.zip/labels.csv` has no column `label`"):
        find(file)

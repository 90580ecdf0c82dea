import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fovea.data.cache import decoding
from fovea.data.cache.contents import clear, list_entries
from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.archives import unpack
from fovea.data.sources.arrays import load_npz
from fovea.errors import StorageError
from fovea.preprocess import Preprocess
from fovea.storage import UNFINISHED, cache_root, remove_whole

PLAN = Preprocess(size=(8, 8), channels=1, mean=(0.5,), std=(0.25,))
DAY_S = 24 * 3600


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


def decode(name="shoes", **parts):
    """Decode arrays of that many images per part, 4 x 4 before; return the folder of the last one."""
    made = {
        part: Part(labels=np.arange(count) % 2, names=("x",) * count, pixels=np.full((count, 4, 4, 1), count, np.uint8))
        for part, count in (parts or {"train": 6}).items()
    }
    decode_dataset(Dataset(name=name, parts=made, classes=("even", "odd"), channels=1), PLAN)
    return max((cache_root() / "decoded").iterdir(), key=lambda folder: folder.stat().st_ctime_ns)


def fill_with_every_kind(tmp_path):
    """Put one entry of each kind into the cache, all of whose names begin with `cifar`."""
    decode("cifar10")
    np.savez(tmp_path / "cifar-small.npz", x=np.zeros((2, 3, 3), np.uint8), y=[0, 1])
    load_npz(tmp_path / "cifar-small.npz")
    with zipfile.ZipFile(tmp_path / "cifar.v2.zip", "w") as archive:
        archive.writestr("a/1.png", b"12345")
    unpack(tmp_path / "cifar.v2.zip")
    download = cache_root() / "downloads" / "cifar10"
    download.mkdir(parents=True)
    (download / "cifar-10-python.tar.gz.part").write_bytes(b"half")


def kinds(entries):
    return sorted(entry.kind for entry in entries)


def test_every_kind_is_listed_with_its_size(tmp_path):
    fill_with_every_kind(tmp_path)
    entries = {entry.kind: entry for entry in list_entries("cifar")}
    assert sorted(entries) == ["archive", "arrays", "decoded", "download"]
    assert entries["archive"].bytes == 5 and entries["archive"].name.startswith("cifar.v2-")
    assert entries["download"].bytes == 4 and entries["download"].name == "cifar10"
    assert entries["arrays"].bytes > 2 * 3 * 3 and entries["arrays"].name.startswith("cifar-small-classes-")
    assert (entries["decoded"].images, entries["decoded"].total, entries["decoded"].shape) == (6, 6, (8, 8, 1))
    assert all(entries[kind][4:] == (None, None, None) for kind in ("archive", "arrays", "download"))


def test_clearing_keeps_what_takes_the_network_to_come_back(tmp_path):
    fill_with_every_kind(tmp_path)
    assert kinds(clear()) == ["archive", "arrays", "decoded"]
    assert kinds(list_entries()) == ["download"]


@pytest.mark.parametrize(("pattern", "goes"), [("cifar1", False), ("cifar", False), ("cifar10", True), ("c*", True)])
def test_a_download_goes_by_its_whole_name_only(tmp_path, pattern, goes):
    fill_with_every_kind(tmp_path)
    assert ("download" in kinds(clear(pattern))) == goes
    assert ("download" in kinds(list_entries())) != goes


def test_what_was_cleared_is_made_again(tmp_path):
    fill_with_every_kind(tmp_path)
    before = kinds(list_entries())
    clear("*")
    assert list_entries() == [] and not [path for path in cache_root().rglob("*") if path.is_file()]
    fill_with_every_kind(tmp_path)
    assert kinds(list_entries()) == before


def test_entries_are_listed_and_cleared_by_name():
    decode("some shoes", train=6, test=3)
    entries = {entry.name.split("-")[1]: entry for entry in list_entries()}
    assert entries["train"].name.startswith("some_shoes-train-8x8x1-")
    assert 6 * 64 < entries["train"].bytes < 6 * 64 + 200
    assert [entry.name for entry in clear("*-test")] == [entries["test"].name]
    assert [entry.name for entry in list_entries()] == [entries["train"].name]


def test_folders_of_others_are_left_alone(tmp_path):
    fill_with_every_kind(tmp_path)
    foreign = [cache_root() / name for name in ("decoded/mine", "arrays/mine", "archives/2024", "downloads/music")]
    for folder in foreign:
        folder.mkdir()
        (folder / "lock").touch()
    assert not {entry.name for entry in list_entries()} & {folder.name for folder in foreign}
    clear("*")
    assert all((folder / "lock").exists() for folder in foreign)


def test_what_was_left_half_made_goes_after_a_day():
    decode()
    old, new = (cache_root() / "archives" / f"{UNFINISHED}{age}" for age in ("old", "new"))
    for folder in (old, new):
        (folder / "a").mkdir(parents=True)
    os.utime(old, (time.time() - DAY_S - 60,) * 2)
    assert list_entries("nothing") == clear("nothing") == []
    assert not old.exists() and new.exists() and kinds(list_entries()) == ["decoded"]


def test_an_entry_in_use_is_not_cleared():
    with decoding.locked(decode()):
        assert clear() == []
    assert len(clear()) == 1


def test_a_damaged_entry_is_listed_too():
    (decode() / decoding.JOURNAL).write_text("x\n")
    (entry,) = list_entries()
    assert (entry.images, entry.total) == (0, 0)
    assert len(clear()) == 1


def test_the_longest_unused_entry_comes_first(tmp_path):
    def use_archive():
        return unpack(tmp_path / "b.zip")

    os.utime(decode("a") / decoding.LOCK, (2, 2))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("x/1.png", b"1")
        archive.writestr("y/1.png", b"1")
    os.utime(use_archive(), (1, 1))
    assert [entry.name[0] for entry in list_entries()] == ["b", "a"]
    use_archive()
    assert [entry.name[0] for entry in list_entries()] == ["a", "b"]


def test_an_empty_cache_is_an_empty_list():
    assert list_entries() == [] and clear() == []


def test_a_download_of_which_nothing_came_is_none(tmp_path):
    (tmp_path / "cache/downloads/mnist").mkdir(parents=True)
    assert list_entries() == []


def test_what_cannot_be_removed_is_named(monkeypatch, tmp_path):
    fill_with_every_kind(tmp_path)

    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fovea.data.cache.contents.remove_whole", refuse)
    with pytest.raises(StorageError, match="Cannot remove the cache entry `.*cifar.v2-.*`: Permission denied"):
        clear("cifar.v2")


def test_an_entry_is_gone_before_its_files_go(monkeypatch, tmp_path):
    (tmp_path / "entry" / "deep").mkdir(parents=True)
    seen = []
    monkeypatch.setattr("fovea.storage.shutil.rmtree", lambda folder, **_: seen.append((folder, os.listdir(folder))))
    remove_whole(tmp_path / "entry")
    ((doomed, content),) = seen
    assert Path(doomed).name.startswith(UNFINISHED) and content == ["entry"] and not (tmp_path / "entry").exists()

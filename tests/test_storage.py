"""Atomic writes: the old content or the new, whatever goes wrong; what cannot be written is said before any work."""

import errno
import os
import resource

import pytest

from fovea.errors import StorageError, UsageError
from fovea.storage import page_path, picture_path, remove_temporary, write_atomically


def test_the_content_is_written_and_nothing_else(tmp_path):
    write_atomically(tmp_path / "a", b"old")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_leaves_the_old_content(tmp_path):
    """A limit on the size of files stands for the full disk."""
    write_atomically(tmp_path / "a", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"^`.*a` cannot be written \(File too large\); free space or choose"):
            write_atomically(tmp_path / "a", bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_late_leaves_the_old_content(tmp_path, monkeypatch, step):
    write_atomically(tmp_path / "a", b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_an_interrupt_leaves_no_half_written_file(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == []


def test_a_read_only_disk_is_a_storage_error(tmp_path, monkeypatch):
    """On a read-only disk the removal of what is not there fails as well."""

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.open", read_only)
    monkeypatch.setattr("pathlib.Path.unlink", read_only)
    with pytest.raises(StorageError, match="Read-only file system"):
        write_atomically(tmp_path / "a", b"new")


@pytest.mark.parametrize(
    ("target", "reason"),
    [("none/a", "No such file or directory"), ("file/a", "Not a directory"), ("folder", "Is a dir")],
)
def test_a_place_that_takes_no_file_is_named(tmp_path, target, reason):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=f"^`.*{target}` cannot be written .{reason}"):
        write_atomically(tmp_path / target, b"new")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    for name in (".a.17.tmp", "a", "b.tmp"):
        (tmp_path / name).write_bytes(b"")
    remove_temporary(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a", "b.tmp"]


def test_a_file_in_a_folder_that_is_there_is_taken(tmp_path):
    assert picture_path(tmp_path / "a.PNG") == tmp_path / "a.PNG"
    assert page_path(str(tmp_path / "page.html"), option="html") == tmp_path / "page.html"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gif", r"`plot` \(=.*a\.gif\) must end in \.png, \.jpg, \.pdf or \.svg\.$"),
        ("none/a.png", r"`plot` \(=.*a\.png\): there is no folder `.*none`; make it first\.$"),
        ("folder.png", r"`plot` \(=.*folder\.png\) is a folder; name a file in it\.$"),
    ],
)
def test_other_places_are_usage_errors(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=message):
        picture_path(tmp_path / name, option="plot")

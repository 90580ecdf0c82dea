"""Atomic writes: the old content or the new, whatever goes wrong; what cannot be written is said before any work."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from fovea.errors import StorageError, UsageError
from fovea.storage import (
    UNFINISHED,
    alone,
    append_line,
    build_once,
    cache_root,
    in_turn,
    page_path,
    picture_path,
    remove_temporary,
    write_atomically,
)


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
        with pytest.raises(
            StorageError,
            match=(
                r"^`.*a` cannot be written \(File too large\); free some disk "
                r"space or choose"
            ),
        ):
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

    monkeypatch.setattr(os, "open", read_only)
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


def test_links_that_others_planted_lead_no_write_elsewhere(tmp_path, monkeypatch):
    """The name that was used before, of the process's number, and a guess of the random one; the target itself."""
    (victim := tmp_path / "victim").write_bytes(b"mine")
    (folder := tmp_path / "shared").mkdir()
    (folder / f".a.{os.getpid()}.tmp").symlink_to(victim)
    (folder / "a").symlink_to(victim)
    write_atomically(folder / "a", b"new")
    assert victim.read_bytes() == b"mine" and (folder / "a").read_bytes() == b"new" and not (folder / "a").is_symlink()
    monkeypatch.setattr("secrets.token_hex", lambda _: "0123456789abcdef")
    (folder / ".a.0123456789abcdef.tmp").symlink_to(victim)
    with pytest.raises(StorageError, match="File exists"):
        write_atomically(folder / "a", b"newer")
    assert victim.read_bytes() == b"mine" and (folder / "a").read_bytes() == b"new"


def test_a_file_is_as_readable_as_others_of_the_user(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_line_is_added_and_no_link_is_followed(tmp_path):
    append_line(tmp_path / "lines", "one")
    append_line(tmp_path / "lines", "two")
    assert (tmp_path / "lines").read_text() == "one\ntwo\n"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"link` cannot be written"):
        append_line(tmp_path / "link", "three")
    assert not (tmp_path / "nowhere").exists()


def test_a_lock_is_held_by_one_and_given_back(tmp_path):
    with alone(tmp_path / "lock") as held:
        assert held
        with pytest.raises(BlockingIOError), alone(tmp_path / "lock"):
            pass
    with alone(tmp_path / "lock") as held:
        assert held


def test_processes_change_a_file_in_turn(tmp_path):
    counter = tmp_path / "count"
    counter.write_text("0")
    code = (
        "import sys\nfrom pathlib import Path\nfrom fovea.storage import in_turn\nfile = Path(sys.argv[1])\n"
        "for _ in range(200):\n    with in_turn(file): file.write_text(str(int(file.read_text()) + 1))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(counter)]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert counter.read_text() == "400" and os.listdir(tmp_path) == ["count"]


def test_who_waits_too_long_for_a_file_is_told(tmp_path):
    with (
        in_turn(tmp_path / "list.csv"),
        pytest.raises(StorageError, match="is being written by another process"),
        in_turn(tmp_path / "list.csv", patience_s=0.02),
    ):
        pass


def test_where_there_are_no_locks_nothing_is_held(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", none)
    with alone(tmp_path / "lock") as held:
        assert not held


def test_a_user_without_a_home_has_a_cache_of_ones_own(tmp_path, monkeypatch):
    def homeless(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FOVEA_CACHE", raising=False)
    monkeypatch.setattr("pathlib.Path.home", homeless)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_root() == tmp_path / f"fovea-{os.getuid()}" and cache_root().stat().st_mode & 0o777 == 0o700
    cache_root().rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"fovea-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"does not belong to this user; set `FOVEA_CACHE` to another folder\.$"):
        cache_root()


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
        ("none/a.png", r"`plot` \(=.*a\.png\): there is no folder `.*none`; create it first\.$"),
        ("folder.png", r"`plot` \(=.*folder\.png\) is a folder; give the name of a file in it\.$"),
    ],
)
def test_other_places_are_usage_errors(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match=message):
        picture_path(tmp_path / name, option="plot")


KILLED = """
import os, sys
from pathlib import Path
from fovea.storage import build_once
def build(folder):
    (folder / "half").write_text("x")
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9)
    print("built", flush=True)
    sys.stdin.read()
build_once("arrays", [Path(sys.argv[1])], name="x", build=build)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no locks")
def test_what_a_killed_process_left_half_built_goes_with_the_next_and_what_is_being_built_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    command = [sys.executable, "-c", KILLED]
    assert subprocess.run([*command, tmp_path / "a", "killed"], check=False).returncode == -9
    (left,) = (tmp_path / "cache" / "arrays").iterdir()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*command, tmp_path / "b", "lives"], **pipes) as other:
        assert other.stdout.readline() == b"built\n"
        (busy,) = (tmp_path / "cache" / "arrays").iterdir()
        assert busy.name.startswith(UNFINISHED) and not left.exists()
        build_once("arrays", [tmp_path / "c"], name="x", build=lambda folder: (folder / "whole").write_text("x"))
        assert busy.exists() and len(list(busy.parent.iterdir())) == 2
        other.communicate()
    assert other.returncode == 0
    assert sorted(file.name for file in busy.parent.glob("*/*")) == ["half", "whole"]

"""Writing files and folders so that a crash, a full disk or a kill leaves the old content or the new; the cache.

Also where a picture or a page may go, looked at before any work.
"""

import contextlib
import glob
import hashlib
import json
import mmap
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from fovea.errors import StorageError, UsageError

FORMAT = 3  # of the folders that `build_once` makes; raise it when their content changes
KEYED = "*-" + 16 * "[0-9a-f]"
"""Matches the names of the folders that `build_once` makes."""
UNFINISHED = ".unfinished-"
"""Begins the names of folders that are being filled or removed; a killed process leaves them behind."""

TEMPORARY = ".tmp"
"""Ends the names of files that are being written."""

PICTURES = (".png", ".jpg", ".pdf", ".svg")
"""The suffixes of pictures that can be drawn."""


def picture_path(place: str | Path, *, option: str = "out", suffixes: Collection[str] = PICTURES) -> Path:
    """Return the path of a picture that can be written in the format of its suffix.

    Raises: UsageError if the suffix is another, or there is no such folder.
    """
    path = Path(place)
    if path.suffix.lower() not in suffixes:
        *others, last = suffixes
        raise UsageError(f"`{option}` (={path}) must end in {', '.join(others)} or {last}.")
    return page_path(path, option=option)


def page_path(place: str | Path, *, option: str) -> Path:
    """Return the path of a file in a folder that is there, and can be written.

    Raises:
        UsageError: the folder is not there.
        StorageError: it takes no files.
    """
    path = Path(place)
    if path.is_dir():
        raise UsageError(f"`{option}` (={path}) is a folder; give the name of a file in it.")
    if not path.parent.is_dir():
        raise UsageError(f"`{option}` (={path}): there is no folder `{path.parent}`; create it first.")
    check_writable(path)
    return path


def check_writable(path: Path) -> None:
    """Raise StorageError if `path` cannot be made: what is there of it and above it must be a folder to write in."""
    there = next(
        found for found in (path, *path.parents) if os.path.exists(found) and (found != path or found.is_dir())
    )
    if not there.is_dir():
        raise StorageError(f"`{path}` cannot be created: `{there}` is not a folder. Choose another location.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(
            f"`{path}` cannot be written: you have no write permission for `{there}`. Choose another location."
        )


def make_folder(folder: Path) -> None:
    """Make the folder, and those above it, where they are not there; StorageError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"Cannot create the folder `{folder}`: {error.strerror}. Choose another location."
        ) from error


def write_atomically(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Write `content` under a temporary name beside `path`, then rename it; a link at `path` is replaced, not followed.

    Of what does not fit into memory it comes in pieces.

    The temporary name is random and the file new: what others put into a shared folder leads no write elsewhere.

    Raises:
        StorageError: the disk is full, or the folder is missing or read-only; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}{TEMPORARY}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o666), "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"`{path}` cannot be written ({reason}); free some disk space or choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # a read-only disk refuses even what is not there
            temporary.unlink()


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give the body the path of a new file beside `path`, which takes that name when the body ends without an error.

    For what a library writes in several places of a file. Raises: StorageError as `write_atomically`.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}{TEMPORARY}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o666))
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"`{path}` cannot be written ({reason}); free some disk space or choose another folder."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def let_go(mapped: object) -> None:
    """Give back the memory of an array that a mapped file holds; what is in it stays. Nothing of another one."""
    file = getattr(mapped, "base", None)
    if isinstance(file, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        file.flush()
        file.madvise(mmap.MADV_DONTNEED)


def append_line(path: Path, line: str) -> None:
    """Add `line` to a file, which is made where there is none; a link is not followed. Raises: StorageError."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _PLAIN, 0o666), "ab") as file:
            file.write(f"{line}\n".encode())
    except OSError as error:
        raise StorageError(
            f"`{path}` cannot be written ({error.strerror}); free some disk space or make it writable."
        ) from error


@contextlib.contextmanager
def alone(file: Path) -> Iterator[bool]:
    """Hold the lock `file` while the body runs; the system takes it back when the process ends, however it ends.

    Yields False if the file system has no locks, and nothing is held.

    Raises:
        BlockingIOError: another process holds it.
        StorageError: the file cannot be made.
    """
    try:
        opened = os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | _PLAIN, 0o666), "r+b")
    except OSError as error:
        raise StorageError(
            f"`{file}` cannot be locked ({error.strerror or error}); make it a writable file."
        ) from error
    with opened:
        try:
            _lock(opened.fileno())
        except BlockingIOError:
            raise
        except OSError:
            yield False
            return
        if not _is_at(opened.fileno(), file):
            raise BlockingIOError  # its holder before has removed it, and another one may have made it anew
        yield True


@contextlib.contextmanager
def in_turn(file: Path, *, patience_s: float = 10.0) -> Iterator[None]:
    """Let one process after another read and write a file: each waits for the body of the one before.

    The lock lies beside the file, and is removed. Raises: StorageError if it is not free within `patience_s`.
    """
    lock, ends = file.with_name(f".{file.name[:200]}.lock"), time.monotonic() + patience_s
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(alone(lock))
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise StorageError(f"`{file}` is being written by another process; try again.") from None
                time.sleep(0.01)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()


def _is_at(descriptor: int, file: Path) -> bool:
    """Tell whether an open file is the one at its path still."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except OSError:
        return False


def is_locked(file: Path) -> bool:
    """Return whether a process holds the lock `file`; False if there is no such file, or no locks."""
    try:
        with open(file, "r+b") as opened:
            _lock(opened.fileno())
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
"""Opens a file itself, never what a link leads to."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is written by `write_atomically`; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def remove_temporary(folder: Path, *, of: str = "") -> None:
    """Remove what a killed `write_atomically` left in `folder`, of the file of that name where one is given."""
    for file in folder.glob(f".{glob.escape(of[:200]) + '.' if of else ''}*{TEMPORARY}"):
        file.unlink(missing_ok=True)


def cache_root() -> Path:
    """Return the folder of all that is kept to save time: `$FOVEA_CACHE`, else `~/.cache/fovea`.

    Below it lie `decoded`, `arrays`, `archives` and `downloads`. A user without a home has one for temporary files.
    """
    if given := os.environ.get("FOVEA_CACHE"):
        return Path(given)
    try:
        return Path.home() / ".cache" / "fovea"
    except RuntimeError:  # neither HOME nor an entry among the system's users
        return _homeless()


def _homeless() -> Path:
    """Return the user's own folder among the temporary files; StorageError if somebody else was there before."""
    user = os.getuid() if sys.platform != "win32" else 0
    folder = Path(tempfile.gettempdir()) / f"fovea-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StorageError(
            f"`{folder}` cannot be created ({error.strerror}); set `FOVEA_CACHE` to another folder."
        ) from error
    if not stat.S_ISDIR(status.st_mode) or (sys.platform != "win32" and status.st_uid != user):
        raise StorageError(f"`{folder}` does not belong to this user; set `FOVEA_CACHE` to another folder.")
    return folder


def build_once(kind: str, sources: Sequence[Path], *, name: str, build: Callable[[Path], None]) -> Path:
    """Return the folder `kind/name-key` of the cache, filled by `build` unless these very sources filled it before.

    It appears whole or not at all: built under another name and renamed.

    Raises: StorageError if the cache cannot be written; whatever `build` raises.
    """
    folder = cache_root() / kind / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}-{_key(sources)}"
    if folder.is_dir():
        with contextlib.suppress(OSError):  # a cache that is read-only serves as well
            os.utime(folder)
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(folder.parent) as unfinished:
            build(unfinished)
            _rename(unfinished, folder)
    except OSError as error:
        raise StorageError(
            f"Cannot fill the cache: {error}. Free some disk space, or set `FOVEA_CACHE` to a folder on another disk."
        ) from error
    return folder


def remove_whole(folder: Path) -> None:
    """Remove a folder that was built as a whole; renamed first, so that no part of it is taken for the whole.

    Raises: OSError.
    """
    with _unfinished(folder.parent, ignore_errors=False) as doomed:
        folder.rename(doomed / folder.name)


@contextlib.contextmanager
def _unfinished(parent: Path, *, ignore_errors: bool = True) -> Iterator[Path]:
    """Make a folder in `parent` for what is not whole, or no more, and remove it after the body.

    It is locked: those without are of killed processes, and are removed first.
    """
    for left in parent.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError), _locked_folder(left):
            shutil.rmtree(left)
    with contextlib.ExitStack() as stack:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=parent))
            # without locks it stays for `fovea cache --clear`; with them another process may take it for left behind
            with contextlib.suppress(OSError):
                stack.enter_context(_locked_folder(folder))
            if folder.is_dir():
                break
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=ignore_errors)


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; OSError if another process does, or the system has none for folders."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _rename(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was first with the same content
            raise


def _key(sources: Sequence[Path]) -> str:
    identity = [(path.resolve().as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    return hashlib.sha256(json.dumps([FORMAT, identity]).encode()).hexdigest()[:16]

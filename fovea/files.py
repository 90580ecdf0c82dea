"""Regular files only: what would hang or never end (pipes, devices, sockets) is named and not opened."""

import contextlib
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from fovea.errors import NotFoundError, StorageError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


IMPOSSIBLE = "a name that is not valid for a file"


def irregular(path: str | Path) -> str:
    """Return what is at `path` where that is not a regular file, as `a named pipe`; nothing of a file, or of nothing.

    Raises: OSError for a place that cannot be looked at.
    """
    try:
        return _kind(os.stat(path).st_mode)
    except FileNotFoundError:
        return ""
    except ValueError:  # a zero byte, or half of a character
        return IMPOSSIBLE


def is_file(path: Path) -> bool:
    """Tell whether there is a regular file at `path`; no name is too long or too odd to be asked for."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long; a NUL in it
        return False


def no_file(path: Path) -> str:
    """Return why there is no file to read at `path`, in few words; nothing where there is one."""
    if is_file(path):
        return ""
    try:
        kind = irregular(path)
    except (OSError, ValueError):  # it cannot be looked at, or is no name at all
        kind = ""
    return kind if kind == IMPOSSIBLE else f"{kind}, not a file" if kind else "no such file"


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder at `path`; no name is too long or too odd to be asked for."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long; a NUL in it
        return False


def no_folder(path: Path) -> str:
    """Return why there is no folder at `path`, in few words; nothing where there is one."""
    return "" if is_folder(path) else "no such folder"


def open_regular(path: str | Path) -> BinaryIO:
    """Return the file at `path`, open for reading; it never waits.

    Raises:
        StorageError: there is a pipe, a device, a socket or a folder.
        OSError: it cannot be opened.
    """
    kind = irregular(path)
    if not kind:
        # looked at again once open: it may have been exchanged; a pipe opened so does not wait for a writer
        stream = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
        if not (kind := _kind(os.fstat(stream.fileno()).st_mode)):
            return stream
        stream.close()
    raise StorageError(f"`{path}` is {kind}; give a file.")


@contextlib.contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """Yield a path to the file at `path` that is UTF-8, for libraries that take no other: itself, or a passing link.

    Raises: OSError if no link can be made.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / "file"
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path


def open_text(path: str | Path, *, encoding: str = "utf-8") -> TextIO:
    """Return the text file at `path`, its line ends as they are; errors as `open_regular`."""
    return io.TextIOWrapper(open_regular(path), encoding=encoding, newline="")


def check_there(path: str | Path) -> None:
    """Raise NotFoundError if there is nothing at `path`; of what is there whoever reads it tells."""
    with contextlib.suppress(ValueError):  # a NUL in the name
        try:
            os.stat(path)
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no file `{path}`.") from error
        except OSError:  # a name too long, a folder that nobody may enter
            pass


def check_regular(path: str | Path) -> None:
    """Raise StorageError if there is a pipe, a device or a socket at `path`; of folders whoever reads it tells."""
    if (kind := irregular(path)) and not os.path.isdir(path):
        raise StorageError(f"`{path}` is {kind}; give a file.")


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    return next((name for test, name in _KINDS if test(mode)), "not a regular file")

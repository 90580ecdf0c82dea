"""Standard input, output and error as a command can rely on them, whoever starts it and wherever they lead."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from fovea.errors import StorageError
from fovea.texts import plain


class Output:
    """Standard output: what cannot be written is a StorageError."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; BrokenPipeError where nobody reads any more."""
        with _told():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is buffered; errors as `write`."""
        with _told():
            self._stream.flush()


@contextmanager
def _told() -> Iterator[None]:
    """Raise StorageError for what cannot be written, but not where nobody reads any more."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        give_up_output()
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"Standard output cannot be written ({reason}): what was to be printed is lost.") from error


class Notes:
    """Standard error: what cannot be written is passed over, since no work stops for want of a note."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text where that is possible, and return its length."""
        try:
            written: int = self._stream.write(text)
            return written
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        """Write what is buffered where that is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return


def prepare() -> None:
    """Open what is closed, so that no file of the user takes its number; let names that are no text in and out.

    Raises:
        StorageError: standard output is closed: nobody would hear of a result.
    """
    closed = [number for number in range(3) if _fill(number)]
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a file name need not be text
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding=sys.getfilesystemencoding(), errors="surrogateescape")
    sys.stdout, sys.stderr = Output(sys.stdout), Notes(sys.stderr)
    warnings.showwarning = _warn
    if 1 in closed:
        raise StorageError("Standard output is closed; send it to a file, or to /dev/null.")


def give_up_output() -> None:
    """Let what is still buffered for standard output go nowhere: the interpreter would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _fill(number: int) -> bool:
    """Open the null device as the file `number` where that is closed, and return whether it was."""
    try:
        os.fstat(number)
        return False
    except OSError:
        os.dup2(null := os.open(os.devnull, os.O_RDWR), number)
        if null != number:
            os.close(null)
        return True


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning of a library as one line."""
    print(f"warning: {plain(' '.join(str(message).split()))}", file=sys.stderr)

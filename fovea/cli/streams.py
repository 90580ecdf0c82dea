"""Standard input, output and error as they may be: closed, on a full disk, without a reader, or in another encoding.

None of that ends a job once it has begun. What standard error cannot take is lost; what standard output cannot take is
said once, when all files are written.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any

from fovea.errors import StorageError


class OutputError(StorageError):
    """Standard output takes nothing."""


class ReaderGoneError(OutputError):
    """Nobody reads what the command prints, as behind `| head -1`: that needs no words."""


class _Stream:
    """A stream of text, but for what writing and flushing it do."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Output(_Stream):
    """Standard output: what goes wrong is said by one exception, and there is silence from then on."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.lost = False

    def write(self, text: str) -> int:
        """Write `text`, which may wait in memory. Raises: OutputError, the first time."""
        self._tried(self.stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Hand over what waits. Raises: OutputError, the first time."""
        self._tried(self.stream.flush)

    def _tried(self, act: Callable[..., Any], *given: str) -> None:
        if self.lost:
            return
        try:
            act(*given)
        except BrokenPipeError as error:
            self.lost = True
            raise ReaderGoneError("Nobody reads standard output.") from error
        except OSError as error:
            self.lost = True
            raise OutputError(f"Standard output cannot be written: {error.strerror or error}.") from error


class _Errors(_Stream):
    """Standard error: what cannot be written is lost, and stops nothing."""

    def write(self, text: str) -> int:
        """Write `text` if that can be."""
        with contextlib.suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand over what waits if that can be."""
        with contextlib.suppress(OSError):
            self.stream.flush()


def prepare() -> None:
    """Make the standard streams such that printing and reading names raise nothing but OutputError.

    Raises: OutputError where standard output is closed, so that no result could be read.
    """
    _occupy()
    closed = sys.stdout is None
    sys.stdout = _Output(_text(sys.stdout))
    sys.stderr = _Errors(_text(sys.stderr))
    if isinstance(sys.stdin, io.TextIOWrapper):  # names of files, which need not be text
        sys.stdin.reconfigure(encoding=sys.getfilesystemencoding(), errors="surrogateescape")
    if closed:
        raise OutputError("Standard output is closed; send it to a file, or to /dev/null.")


def finish() -> None:
    """Write what still waits; what cannot be written has been said, or nobody would hear it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OutputError):
            stream.flush()


def _text(stream: Any) -> Any:
    """Return a stream that writes any text; where there is none, one that nobody sees."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  stays open as long as the process
    stream.reconfigure(errors="backslashreplace")
    return stream


def _occupy() -> None:
    """Let no file of ours be opened as standard input, output or error, where libraries would write into it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)

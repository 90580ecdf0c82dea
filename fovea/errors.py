"""The exceptions of Fovea: each is a builtin too, and each knows the exit code of the command line."""

import difflib
from collections.abc import Iterable

LONGEST_MESSAGE = 1000
"""Characters of a message, whatever names and values of a file stand in it."""
LONGEST_REASON = 300
"""Characters of what a library says."""


class FoveaError(Exception):
    """Anything that Fovea refuses or cannot do; the message is one line that says what to do."""

    exit_code = 1

    def __str__(self) -> str:
        # names from files may hold ends of lines
        return without_middle(" ".join(super().__str__().splitlines()), LONGEST_MESSAGE)


class UsageError(FoveaError, ValueError):
    """An argument, option, name or recipe field that is not allowed."""

    exit_code = 2


class DataError(FoveaError, ValueError):
    """A data set that cannot be used as it is: missing, empty, contradictory, or too many bad files."""


class ImageError(FoveaError, ValueError):
    """One image that cannot be decoded, with the reason."""


class ShapeError(FoveaError, ValueError):
    """Sizes or channels that do not fit a layer."""


class BundleError(FoveaError, ValueError):
    """A model file that is truncated, foreign, hostile or of a newer format."""


class TrainingError(FoveaError, RuntimeError):
    """A training that cannot go on: the loss is not a number, or explodes."""


class DropError(FoveaError, ValueError):
    """A network that loses more of its score than is allowed."""


class StorageError(FoveaError, OSError):
    """A file or folder that cannot be written or read: disk full, read-only, half a download."""


class NotFoundError(StorageError):
    """A file that was named and is not there."""

    exit_code = 2


class MissingDependencyError(FoveaError, ImportError):
    """An optional library that a command needs and this environment lacks."""


def unreadable(path: object, error: OSError, *, reason: str = "") -> StorageError:
    """Return the error to raise for a file that could not be read, with a `reason` for what the system has none for."""
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"There is no file `{path}`.")
    return StorageError(f"`{path}` cannot be read: {error.strerror or reason or error}.")


def readable(name: str) -> str:
    r"""Return the name of a file as text that every encoding takes: bytes that are no UTF-8 as `\xe9`.

    >>> readable("caf\udce9") == "caf" + chr(92) + "xe9"
    True
    """
    return name.encode("utf-8", "backslashreplace").decode().replace("\\udc", "\\x")


def shortened(value: object, *, most: int = 60) -> str:
    """Return what a message quotes of a value: one line, cut where it is long.

    >>> shortened("iVBORw0KGgo" * 9, most=12), shortened("a.png")
    ('iVBORw0KGgoi... (99 characters)', 'a.png')
    """
    text = value if isinstance(value, str) else repr(value)
    line = readable(" ".join(text[: 4 * most].split()))
    return line if len(text) <= most else f"{line[:most]}... ({len(text):,} characters)"


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Return `names` sorted and quoted, the first of them where there are many.

    >>> listed(["b", "a", "c"], most=2)
    '`a`, `b` and 1 more'
    """
    ordered = sorted(names)
    rest = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(f"`{shortened(name, most=120)}`" for name in ordered[:most]) + rest


def unknown(kind: str, given: str, known: Iterable[str], *, see: str = "") -> UsageError:
    """Return the error for a name that does not exist, with its nearest neighbours.

    >>> str(unknown("model", "resnet19", ["resnet18", "lenet5"]))
    'Unknown model `resnet19`; did you mean `resnet18`? Known: lenet5, resnet18.'
    """
    names = sorted(known)
    rest = see or f"Known: {', '.join(names)}."
    return UsageError(f"Unknown {kind} `{given}`{nearest(given, names)} {rest}")


def nearest(given: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: a full stop, or the most similar known names.

    >>> nearest("resnet19", ["resnet18", "lenet5"]), nearest("vgg", ["lenet5"])
    ('; did you mean `resnet18`?', '.')
    """
    near = difflib.get_close_matches(given, sorted(known), n=3)
    return f"; did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else "."


def first_line(error: BaseException) -> str:
    """Return the message of an error without what follows its first line, shortened; its name where it has none."""
    text = str(error).strip() or type(error).__name__
    return without_middle(text.splitlines()[0], LONGEST_REASON)


def without_middle(text: str, most: int) -> str:
    """Return `text` in at most so many characters: what is in the middle is left out, as the end says what to do.

    >>> without_middle("abcdefghijklmnop", 11)
    'abc ... nop'
    """
    if len(text) <= most:
        return text
    begin = (most - 5) // 2
    return f"{text[:begin]} ... {text[len(text) - (most - 5 - begin) :]}"

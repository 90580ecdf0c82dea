"""The contents of the cells of typed columns and arrays: labels as text, images as bytes or paths.

What is not understood is refused, never made text.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fovea.errors import DataError, shortened
from fovea.texts import composed

MAX_PATH = 4096
"""Characters of a path, on Linux."""
_ENCODED = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "SUkq", "TU0AKg")
"""What PNG, JPEG, GIF, WebP and TIFF begin with in base64."""
LABELS = "expected text, whole numbers, or numbers with `--task number`"
IMAGES = "expected encoded images as bytes, structs of `bytes` and `path`, or paths"


def label_text(value: Any, names: Sequence[str], *, where: str) -> str:
    """Return a label as text: a class name where there are `names`, nothing where there is no label.

    No label are None, NaN, blanks, and -1 where there are names. Numbers that are whole are written so.

    >>> label_text(1, ("cat", "dog"), where=""), label_text(2.0, (), where=""), label_text(float("nan"), (), where="")
    ('dog', '2', '')

    Raises: DataError for an index that has no name, and for what is no text and no number.
    """
    if isinstance(value, bytes):
        value = _decoded(value, where)
    if isinstance(value, str):
        return composed(value)
    if value is None or value != value or (value == -1 and names):  # NaN is not itself
        return ""
    if isinstance(value, bool) and not names:
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise DataError(f"{where}: `{shortened(value)}` is {_called(value)}, not a label; {LABELS}.")
    if not math.isfinite(value):
        raise DataError(f"{where}: label `{value}` is not finite; correct it, or remove the row.")
    text = str(int(value)) if value == int(value) and abs(int(value)) < 2**63 else str(float(value))
    if not names:
        return text
    if not text.isdecimal() or int(text) >= len(names):
        raise DataError(f"{where}: label `{value}` must be from 0 to {len(names) - 1}, the classes named in the file.")
    return names[int(text)]


def image_of(value: Any, *, where: str = "") -> tuple[bytes | None, str]:
    """Return the encoded image that a cell holds, or else the path that it contains; neither where it is empty.

    >>> image_of({"bytes": None, "path": "a.png"}), image_of(b"GIF89a")
    ((None, 'a.png'), (b'GIF89a', ''))

    Raises: DataError for what is neither.
    """
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        if not value.keys() & {"bytes", "path"}:
            raise DataError(f"{where}: a struct of {shortened(', '.join(map(str, value)))}, not an image; {IMAGES}.")
        value = path if content is None else content
    if isinstance(value, bytes | None):
        return value, ""
    if not isinstance(value, str):
        raise DataError(f"{where}: `{shortened(value)}` is {_called(value)}, not an image; {IMAGES}.")
    encoded = value.startswith("data:") or (len(value) > 64 and value.startswith(_ENCODED))
    if encoded or len(value) > MAX_PATH:
        raise DataError(
            f"{where}: `{shortened(value)}` is {'an image as text' if encoded else 'text'}, not a path; {IMAGES}."
        )
    return None, value


def _decoded(value: bytes, where: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: `{shortened(value)}` is bytes that are not UTF-8 text; {LABELS}.") from error


def _called(value: Any) -> str:
    """Return what a value is, as a person calls it."""
    kinds = {"dict": "a struct", "list": "a list", "bool": "true or false", "int": "a number", "float": "a number"}
    name = type(value).__name__
    return kinds.get(name, f"a {name}")

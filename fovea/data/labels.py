"""From label texts to class indices or numbers, with the checks that every source shares."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import PARTS, Task
from fovea.errors import DataError

Labels = NDArray[np.int64] | NDArray[np.float32]

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""What a folder or a manifest may call a part (in any case), and which part that is."""

CHARACTERS_NOTE = "the classes are digits or letters, so images are not mirrored"


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts `10` after `9`.

    >>> sorted(["10", "9", "b", "a2", "a10"], key=natural_key)
    ['9', '10', 'a2', 'a10', 'b']
    """
    pieces = re.split(r"(\d+)", text)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], text


def encode_labels(
    texts: Mapping[str, Sequence[str]], *, task: Task, classes: Sequence[str] = ()
) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Return the labels of each part as an array (N,), and the class names in index order.

    The classes are those of all parts and those in `classes`, in natural order.

    Raises: DataError for a label that is no number, where numbers are wanted.
    """
    if task == "number":
        return {part: _numbers(values) for part, values in texts.items()}, ()
    names = tuple(sorted(set(classes).union(*texts.values()), key=natural_key))
    index = {name: position for position, name in enumerate(names)}
    return {part: np.array([index[text] for text in values], np.int64) for part, values in texts.items()}, names


def part_of(text: str, *, where: str) -> str:
    """Return the part that a split name means, as `val` for `Validation`.

    Raises: DataError for any other name.
    """
    part = PART_NAMES.get(text.strip().lower())
    if part is None:
        raise DataError(f"{where}: unknown split `{text}`; allowed are {', '.join(PART_NAMES)}.")
    return part


def are_characters(classes: Sequence[str], *, channels: int) -> bool:
    """Tell whether the classes are digits or letters, to be read and so not to be mirrored.

    Ten or more names of one character, of grey images: fewer may be grades of anything, colour ones objects.
    """
    return channels == 1 and len(classes) >= 10 and all(len(name) == 1 and name.isalnum() for name in classes)


def in_order(parts: Mapping[str, object]) -> list[str]:
    """Return the names of the parts there are, as train, val, test."""
    return [part for part in PARTS if part in parts]


def _numbers(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([_number(text) for text in texts], np.float32)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"Label `{text}` is not a number, as `--task number` requires; correct it, or train on classes."
        )
    return value

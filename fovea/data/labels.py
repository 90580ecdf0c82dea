"""What every source calls its parts."""

from collections.abc import Mapping

from fovea.data.dataset import PARTS
from fovea.errors import DataError

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


def part_of(text: str, *, where: str) -> str:
    """Return the part that a split name means, as `val` for `Validation`.

    Raises: DataError for any other name.
    """
    part = PART_NAMES.get(text.strip().lower())
    if part is None:
        raise DataError(f"{where}: unknown split `{text}`; allowed are {', '.join(PART_NAMES)}.")
    return part


def in_order(parts: Mapping[str, object]) -> list[str]:
    """Return the names of the parts there are, as train, val, test."""
    return [part for part in PARTS if part in parts]

"""What every source calls its parts, and what names of classes must be."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from fovea.data.dataset import PARTS
from fovea.errors import DataError, listed, shortened
from fovea.texts import composed

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
        raise DataError(f"{where}: unknown split `{shortened(text)}`; allowed are {', '.join(PART_NAMES)}.")
    return part


def part_named(name: str) -> str:
    """Return the part that a file's name from the root begins with, as `train-00000-of-00002.parquet`, or nothing.

    >>> part_named("data/validation-00000-of-00001.parquet"), part_named("test/0000.parquet"), part_named("0.parquet")
    ('val', 'test', '')
    """
    words = [re.split(r"[-_.]", piece)[0].lower() for piece in name.split("/")]
    # from the end: the file's own name counts more than the folders around it
    return next((PART_NAMES[word] for word in reversed(words) if word in PART_NAMES), "")


def checked_names(names: Iterable[object], *, where: str) -> tuple[str, ...]:
    """Return names of classes in index order, as they are compared (`composed`); bytes are UTF-8.

    Raises: DataError for a name that is not a text, an empty one, and one that stands there twice.
    """
    found = tuple(_name(name, index, where) for index, name in enumerate(names))
    if twice := [name for name, count in Counter(found).items() if count > 1]:
        first, second, *_ = (index for index, name in enumerate(found) if name == twice[0])
        raise DataError(
            f"{where} has {len(set(found))} different names for {len(found)} classes: {first} and {second} are both "
            f"`{shortened(twice[0])}`; give each a name of its own."
        )
    return found


def _name(given: object, index: int, where: str) -> str:
    try:
        text = given.decode("utf-8") if isinstance(given, bytes) else given
    except UnicodeDecodeError:
        text = None
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str) or not composed(text):
        raise DataError(f"{where}: the name of class {index} is `{shortened(given)}`; expected UTF-8 text.")
    return composed(text)


def alike(classes: Sequence[str]) -> tuple[str, ...]:
    """Return a line on names that differ only in case or blanks, which may be meant for one class; or nothing."""
    same: dict[str, list[str]] = {}
    for name in classes:
        same.setdefault("".join(name.casefold().split()), []).append(name)
    groups = [f"{listed(names)}" for names in same.values() if len(names) > 1]
    rest = f" and {len(groups) - 5} more" if len(groups) > 5 else ""
    return (
        (f"names that differ only in case or spaces are kept as separate classes: {'; '.join(groups[:5])}{rest}",)
        if groups
        else ()
    )


def in_order(parts: Mapping[str, object]) -> list[str]:
    """Return the names of the parts there are, as train, val, test."""
    return [part for part in PARTS if part in parts]

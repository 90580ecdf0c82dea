"""What a run writes line by line for its pages: JSON objects. Of damaged files only what is whole is read.

Nothing else of a training needs them, so nothing that stands in them stops one.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fovea.fields import is_number, is_whole
from fovea.storage import append_line, write_atomically
from fovea.texts import strict_json

MAX_BYTES = 256 << 20
"""What is behind is not read: a training of a million epochs writes less."""


def append(path: Path, values: Mapping[str, Any]) -> None:
    """Add a line; numbers that are not finite become null. Raises: StorageError."""
    append_line(path, strict_json(values, finite=is_number))


def objects(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects in a file of lines; nothing where it cannot be read."""
    return [values for _, values in _lines(path)]


def history(path: Path) -> list[dict[str, Any]]:
    """Return the epochs that can be drawn, in their order; of one that stands there twice the later."""
    epochs = {line["epoch"]: line for line in objects(path) if _is_epoch(line)}
    return [epochs[epoch] for epoch in sorted(epochs)]


def keep(path: Path, key: str, *, below: int) -> int:
    """Keep the lines whose `key` is a whole number from 0 to less than `below`; return how many different ones."""
    kept = [(values[key], line) for line, values in _lines(path) if is_whole(values.get(key)) and values[key] >= 0]
    kept = [(number, line) for number, line in kept if number < below]
    write_atomically(path, b"".join(line + b"\n" for _, line in kept))
    return len({number for number, _ in kept})


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    try:
        if not path.is_file():  # a pipe or a device would keep the reader waiting
            return
        with path.open("rb") as file:
            content = file.read(MAX_BYTES)
    except OSError:
        return
    for line in content.split(b"\n"):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            yield line, values


def _is_epoch(line: Mapping[str, Any]) -> bool:
    """Tell whether a line has what the curves of a page are made of."""
    val = line.get("val", 0)
    whole = is_whole(line.get("epoch")) and line["epoch"] >= 0 and is_number(line.get("lr"))
    values = [value for name, value in line.items() if name != "val"]
    values += val.values() if isinstance(val, dict) else []
    numbers = all(value is None or isinstance(value, bool) or is_number(value) for value in values)
    return whole and "loss" in line and numbers and (val is None or isinstance(val, dict))

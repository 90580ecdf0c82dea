"""Plain functions of text that several floors share."""

import re
from collections.abc import Iterator, Mapping
from typing import Any


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts `10` after `9`.

    >>> sorted(["10", "9", "b", "a2", "a10"], key=natural_key)
    ['9', '10', 'a2', 'a10', 'b']
    """
    pieces = re.split(r"(\d+)", text)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], text


BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def parse_value(text: str, default: Any) -> Any:
    """Return what `text` stands for in the type of `default`; between commas, a list has integers, a tuple texts.

    >>> parse_value("No", True), parse_value("64, 32", [8]), parse_value("flip, shift 4", ())
    (False, [64, 32], ('flip', 'shift 4'))

    Raises:
        ValueError: it cannot be read as one.
    """
    if isinstance(default, bool):
        if text.lower() not in BOOLEANS:
            raise ValueError(f"`{text}` is none of {', '.join(BOOLEANS)}.")
        return BOOLEANS[text.lower()]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(default, list):
        return [int(part) for part in parts]
    return tuple(parts) if isinstance(default, tuple) else type(default)(text)


def flattened(values: Mapping[str, Any], *, separator: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings with the names on the way to them, joined by `separator`, after `prefix`.

    >>> list(flattened({"data": {"name": "digits", "images": 1797}, "seed": 0}))
    [('data.name', 'digits'), ('data.images', 1797), ('seed', 0)]
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, separator=separator, prefix=f"{prefix}{name}{separator}")
        else:
            yield f"{prefix}{name}", value

"""The names of classes from a file, in the order of a network's outputs."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fovea.errors import DataError
from fovea.files import check_regular, check_there


class ClassNames(NamedTuple):
    """Distinct names in index order, and what else the classes are called, as `n01440764`; none, or one each."""

    names: tuple[str, ...]
    ids: tuple[str, ...] = ()


def read_class_names(path: str | Path) -> ClassNames:
    """Return the classes in a text file, a name per line, or in JSON: a list, or an object with indices as keys, of
    names or of [id, name].

    Of several classes with one name each gets its id, or else its index, in brackets: `crane (n03126707)`.

    Raises:
        NotFoundError: the file is not there.
        DataError: the file cannot be read, or has another form.
    """
    path = Path(path)
    check_there(path)
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8")
        # not `splitlines`, which cuts at more characters than those that end lines; `strip` takes a \r
        entries = _entries(json.loads(text)) if path.suffix.lower() == ".json" else text.split("\n")
        pairs = [("", entry.strip()) if isinstance(entry, str) else tuple(entry) for entry in entries if entry]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"`{path}` cannot be read as class names: {error}.") from error
    if not pairs or not all(len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs):
        raise DataError(f"`{path}` must contain names, one per line, or JSON with names or [id, name] in index order.")
    names = [name for _, name in pairs]
    ids = tuple(own for own, _ in pairs if own)
    return ClassNames(_distinct(names, ids or [str(index) for index in range(len(names))]), ids)


def _entries(value: Any) -> Sequence[Any]:
    """Return the entries of a list, or of an object whose keys are 0, 1, 2, ..."""
    return [value[str(index)] for index in range(len(value))] if isinstance(value, dict) else list(value)


def _distinct(names: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(names)  # ImageNet has two `crane` and two `maillot`
    return tuple(name if counts[name] == 1 else f"{name} ({own})" for name, own in zip(names, ids, strict=True))

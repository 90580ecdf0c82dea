"""Plain functions of text that several floors share."""

import math
import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from fovea.errors import UsageError


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


def composed(text: str) -> str:
    """Return a name in the form in which names are compared: Unicode's NFC, without blanks around it.

    >>> composed("cafe\\u0301 ") == "caf\\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text).strip()


UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
FOREVER = 10**4


def parse_years(year: int | str | None) -> tuple[int, int]:
    """Return the first and the last year of a year or a span of years; of None, all of them.

    >>> parse_years("2014-2016"), parse_years(2017), parse_years("2017-")
    ((2014, 2016), (2017, 2017), (2017, 10000))

    Raises:
        UsageError: it is neither.
    """
    match = re.fullmatch(r"(\d{4})?(-)?(\d{4})?", "-" if year is None else str(year).strip())
    if match is None or (match[1] and match[3] and not match[2]) or not any(match.groups()):
        raise UsageError(f"`year` (={year}) must be a year or a span of years: 2015, 2014-2016, 2017- or -2012.")
    first = int(match[1] or 0)
    last = int(match[3] or (FOREVER if match[2] else first))
    if last < first:
        raise UsageError(f"`year` (={year}) ends before it begins; write the earlier year first: {last}-{first}.")
    return first, last


def parse_count(name: str, value: float | str | None) -> float:
    """Return the value of the option `name`, given as a number, or as `5M`, `300k`, `1.5G`; of None, no bound.

    >>> parse_count("max_params", "5M")
    5000000.0

    Raises:
        UsageError: it is no number.
    """
    match = re.fullmatch(r"(\d+\.?\d*(?:e\d+)?)\s*([kmgb]?)", "1e99" if value is None else str(value).strip().lower())
    if match is None:
        raise UsageError(f"`{name}` (={value}) must be a number, as 4000000, 5M or 1.5G.")
    return float(match[1]) * UNITS[match[2]]


def plain(value: object, *, keep: str = "") -> str:
    """Return text that is shown and not obeyed: what is no letter, mark, digit, sign or space is written as its code.

    So nothing that comes from data, names, cards or arguments colours, moves or reorders what stands around it. Bytes
    of a name that are no text are written as such. `keep` are characters that stay.

    >>> print(plain("a" + chr(27) + "[31m" + chr(0x202E) + "b"), plain("caf" + chr(0xDCE9)))
    a\\x1b[31m\\u202eb caf\\xe9
    """
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else _code(c) for c in text)


def _code(character: str) -> str:
    if character.isspace() and character not in "\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "  # spaces of other widths
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def cell(value: object) -> object:
    """Return what a spreadsheet shows and does not compute: text that it would take for a formula, after an apostrophe.

    As OWASP advises on CSV injection. Numbers stay as they are, also those written as text.

    >>> cell("=1+1"), cell("-3.5"), cell(-2), cell("- a")
    ("'=1+1", '-3.5', -2, "'- a")
    """
    if not isinstance(value, str):
        return value
    text = plain(value)
    formula = value.lstrip()[:1] in FORMULA or value[:1] in ("\t", "\r", "\n")
    return f"'{text}" if formula and not NUMBER.fullmatch(text) else text


FORMULA = (
    *"=+-@",
    *"\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}",
)
"""What a formula begins with."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


def for_json(value: Any) -> Any:
    """Return nested values as JSON has them: None for a number that is not finite, text for what else it lacks.

    >>> for_json({"loss": float("nan"), "path": ("a", 1)})
    {'loss': None, 'path': ['a', 1]}
    """
    if isinstance(value, Mapping):
        return {for_json(str(name)): for_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [for_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def command(*words: object) -> str:
    """Return a command line that a shell takes as these words; bash, where one holds what cannot be shown.

    >>> command("fovea", "train", "two words", "--seed", 1)
    "fovea train 'two words' --seed 1"
    """
    return " ".join(map(_quoted, map(str, words)))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    shown = (c if c.isprintable() and c not in "'\\" else _escaped(c) for c in word)
    return f"$'{''.join(shown)}'"


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


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

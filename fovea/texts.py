"""Plain functions of text that several floors share."""

import json
import math
import os
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, SupportsFloat

from fovea.errors import UsageError

BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
"""Characters that Unicode counts as letters or marks, and that nobody sees."""
FORMULA = re.compile(
    r"(^|[,;|])"
    r"(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|(?<![,;|])[\t\r\n])"
    r"(?!\s*[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?\s*(\Z|[,;|]))",
    re.IGNORECASE,
)
"""Where a spreadsheet computes instead of showing, also in full width; where its separator is another, within a cell.

What follows is no plain number.
"""


def shown(value: object) -> str:
    """Return the text of a value in one line that looks like what it is, and that no terminal obeys.

    Control and format characters (escapes, line ends, changes of direction, invisible ones) become the replacement
    character; bytes of file names that are not text are written as such. All that is printed goes through here.

    >>> shown("a\\x1b[31m b\\udcff")
    'a\N{REPLACEMENT CHARACTER}[31m b\\\\xff'
    """
    text = str(value)
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        byte = ord(character) - 0xDC00  # as Python keeps what a name has besides text
        return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{ord(character):04x}"
    visible = character.isprintable() and character not in BLANK
    return character if visible or unicodedata.category(character) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def percent(share: SupportsFloat, digits: int = 1) -> str:
    """Return a fraction as a percentage with `digits` decimals.

    >>> percent(0.9916, 2), percent(0.5)
    ('99.16 %', '50.0 %')
    """
    return f"{100 * float(share):.{digits}f} %"


def scaled(count: int) -> str:
    """Return a count to three digits with k, M or G.

    >>> scaled(61_706), scaled(999_999), scaled(15_470_264_320), scaled(950)
    ('61.7 k', '1.00 M', '15.5 G', '950')
    """
    rounded = float(f"{count:.3g}")
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= size:
            # 1.23, 12.3, 123
            decimals = 2 if rounded < 10 * size else 1 if rounded < 100 * size else 0
            return f"{rounded / size:.{decimals}f} {unit}"
    return str(count)


def in_cell(value: object) -> object:
    """Return what a cell of CSV holds for a value: text as `shown`, behind a quote where a program would compute it.

    Numbers stay as they are, and so does text that is a plain number.

    >>> in_cell("=1+1"), in_cell("-1+1"), in_cell("-1.5"), in_cell(-1.5)
    ("'=1+1", "'-1+1", '-1.5', -1.5)
    """
    if value is None or isinstance(value, int | float):
        return value
    return shown(FORMULA.sub(r"\1'", str(value)))


def strict_json(value: Any, *, indent: int | None = None, finite: Callable[[float], bool] = math.isfinite) -> str:
    """Return a value as JSON in ASCII; numbers that are not `finite` become null, what JSON lacks becomes its text.

    >>> strict_json({"loss": float("nan"), "name": "\xe9"})
    '{"loss": null, "name": "\\\\u00e9"}'
    """
    return json.dumps(_strict(value, finite), indent=indent, allow_nan=False, default=str)


def _strict(value: Any, finite: Callable[[float], bool]) -> Any:
    if isinstance(value, Mapping):
        return {name: _strict(item, finite) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item, finite) for item in value]
    return None if isinstance(value, float) and not finite(value) else value


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
            raise ValueError(f"`{text}` is not one of {', '.join(BOOLEANS)}.")
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
        UsageError: it is not a number.
    """
    match = re.fullmatch(r"(\d+\.?\d*(?:e\d+)?)\s*([kmgb]?)", "1e99" if value is None else str(value).strip().lower())
    if match is None:
        raise UsageError(f"`{name}` (={value}) must be a number, for example 4000000, 5M or 1.5G.")
    return float(match[1]) * UNITS[match[2]]


def command(*words: object) -> str:
    """Return a command line that a shell takes as these words.

    >>> command("fovea", "train", "two words", "--seed", 1)
    "fovea train 'two words' --seed 1"
    >>> print(command("fovea", "info", "a\\x1b'b"))
    fovea info $'a\\033\\'b'
    """
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    """Return a word of a command line; in octal what is not to be shown, as shells from bash to zsh read it."""
    if shown(word) == word:
        return shlex.quote(word)
    pieces = (f"\\{piece}" if piece in "'\\" else piece if shown(piece) == piece else _octal(piece) for piece in word)
    return f"$'{''.join(pieces)}'"


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


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

"""JSON, XML and YAML that strangers wrote, read within bounds: of size, of depth, of elements, and without entities."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from fovea.errors import DataError, StorageError, first_line, shortened
from fovea.files import open_regular
from fovea.texts import composed

LARGEST_JSON = 512 << 20
LARGEST_XML = 8 << 20
LARGEST_TEXT = 16 << 20
DEEPEST = 32
MOST_ELEMENTS = 200_000


def read_bytes(path: Path, *, most: int) -> bytes:
    """Return what a file holds. Raises: DataError for one that is larger than `most` bytes, or cannot be read."""
    try:
        with open_regular(path) as stream:
            content = stream.read(most + 1)
    except StorageError as error:  # a pipe, a device
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror or error}.") from error
    if len(content) > most:
        raise DataError(f"`{path}` is larger than the limit of {most >> 20} MiB; split it.")
    return content


def read_text(path: Path, *, most: int = LARGEST_TEXT) -> str:
    """Return the text in a file; errors as `read_bytes`, and for one that is not UTF-8."""
    try:
        return read_bytes(path, most=most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"`{path}` is not UTF-8 text; save it as UTF-8.") from error


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises: DataError for one that is too large or too deep, no JSON, or that has numbers which are none.
    """
    content = read_bytes(path, most=LARGEST_JSON)
    try:
        return json.loads(content, parse_constant=_refused)
    except RecursionError as error:
        raise DataError(f"`{path}` is nested too deeply.") from error
    except ValueError as error:
        raise DataError(f"`{path}` is not valid JSON: {first_line(error)}.") from error


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def read_xml(path: Path) -> Element:
    """Return the root of an XML file.

    Raises: DataError for one that is too large or too deep, no XML, or that declares a document type or entities.
    """
    content, tree, depth, count = read_bytes(path, most=LARGEST_XML), TreeBuilder(), 0, 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > DEEPEST or count > MOST_ELEMENTS:
            raise DataError(
                f"`{path}` is nested deeper than {DEEPEST} levels or has more than {MOST_ELEMENTS:,} elements."
            )
        tree.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(name)

    def declared(*_: object) -> None:
        raise DataError(f"`{path}` declares a document type, which is not supported; remove that line.")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, tree.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = declared
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"`{path}` is not valid XML: {first_line(error)}.") from error
    return tree.close()


def yaml_names(path: Path) -> list[str]:
    """Return the names of classes of a `data.yaml`: a list in brackets, a list of lines, or lines with an index each.

    No more of YAML is read. Raises: DataError if there is no such list.
    """
    lines = [re.sub(r"(^|\s)#.*", "", line).rstrip() for line in read_text(path).splitlines()]
    start = next((number for number, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise DataError(f"`{path}` has no `names`; list the classes there.")
    rest = lines[start].partition(":")[2].strip()
    if rest.startswith(("[", "{")):
        return _bracketed(" ".join([rest, *lines[start + 1 :]]), path)
    below = []
    for line in filter(None, lines[start + 1 :]):
        if not line.startswith((" ", "-", "\t")):
            break
        below.append(line.strip())
    if all(line.startswith("- ") for line in below):
        return _checked([_unquoted(line[2:]) for line in below], path)
    return _numbered(below, path)


def _bracketed(text: str, path: Path) -> list[str]:
    close = text.find("]" if text[0] == "[" else "}")
    if close < 0:
        raise DataError(f"`{path}`: the list of `names` does not end.")
    items = [item.strip() for item in text[1:close].split(",") if item.strip()]
    return _numbered(items, path) if text[0] == "{" else _checked(list(map(_unquoted, items)), path)


def _numbered(lines: list[str], path: Path) -> list[str]:
    pairs = [line.partition(":")[::2] for line in lines]
    if [_unquoted(number) for number, _ in pairs] != [str(number) for number in range(len(pairs))]:
        raise DataError(f"`{path}`: `names` must be a list, or a mapping with the indices 0, 1, 2, ... in this order.")
    return _checked([_unquoted(name) for _, name in pairs], path)


def _unquoted(text: str) -> str:
    text = text.strip()
    return composed(text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text)


def _checked(names: list[str], path: Path) -> list[str]:
    if not names or not all(names) or len(set(names)) != len(names):
        raise DataError(
            f"`{path}`: `names` ({shortened(', '.join(names))}) must contain at least one name, and no name twice."
        )
    return names

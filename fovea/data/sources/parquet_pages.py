"""How large the pages of a Parquet file become, from their headers: a library undoes each whole, whatever it says.

Format: parquet.thrift, `FileMetaData` and `PageHeader`, in Thrift's compact protocol. Where the pages lie is read here
too: asked for it, the library ends the process at some damaged statistics.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fovea.budget import IMAGE, MEGABYTE, TABLE
from fovea.errors import DataError

MAX_PAGE_HEADER_BYTES = 1 << 20
MAX_FOOTER_BYTES = 1 << 28
MAX_VALUES = 50_000_000
"""In a column of a group of rows: labels in lists are several for each row."""
MAX_ROWS_AT_ONCE = 64
COPIES = 5
"""Of rows that are handed on: in the page, the column, as Python has them, and what is left of the rows before."""
PLAIN_BYTES, MAX_FOLD = 64 * MEGABYTE, 100
"""Pages above this size that were compressed more than so many times hold nothing that is an image."""
_DICTIONARY = 2  # of `PageType`
_DAMAGED = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError, OverflowError, OSError)


class Chunk(NamedTuple):
    """Where a column of a group of rows lies."""

    column: str
    """Its path in the schema, joined by dots."""
    values: int
    first: int
    packed_bytes: int
    full_bytes: int


class Page(NamedTuple):
    """What the header of a page announces."""

    full_bytes: int
    packed_bytes: int
    values: int
    is_dictionary: bool = False

    @property
    def rows_at_once(self) -> int:
        """How many rows that lie in such pages may be held at a time."""
        # without a dictionary, rows share what their pages hold: at most two, and those of fewer rows than are wanted
        together = self.full_bytes * (MAX_ROWS_AT_ONCE // max(1, self.values) + 2)
        if not self.is_dictionary and COPIES * together <= IMAGE.bytes:
            return MAX_ROWS_AT_ONCE
        return max(1, min(MAX_ROWS_AT_ONCE, IMAGE.bytes // max(1, COPIES * self.full_bytes)))


def rows_at_once(file: Path, columns: list[str]) -> int:
    """Return how many rows can be held at a time: where a dictionary holds large values, each row may repeat one.

    Raises: DataError for pages that become too large, or cannot be followed.
    """
    rows = MAX_ROWS_AT_ONCE
    with file.open("rb") as stream:
        for chunk in _chunks(stream, columns, file):
            if chunk.values > MAX_VALUES:
                raise DataError(f"`{file}` has {chunk.values:,} values in a group of rows; write smaller groups.")
            for page in _pages(stream, chunk, file):
                _check(page, file)
                rows = min(rows, page.rows_at_once)
    return rows


def _chunks(stream: BinaryIO, columns: list[str], file: Path) -> list[Chunk]:
    """Return what the footer says of these columns, and of those in them."""
    try:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(size - 8)
        length = int.from_bytes(stream.read(4), "little")
        if length > min(MAX_FOOTER_BYTES, size - 8):
            raise ValueError("too long")
        stream.seek(size - 8 - length)
        footer = _struct(io.BytesIO(stream.read(length)))
        found = [_chunk(chunk[3]) for group in footer[4] for chunk in group[1]]
    except _DAMAGED as error:
        raise DataError(f"`{file}` cannot be read as Parquet: its footer is damaged.") from error
    return [chunk for chunk in found if any(f"{chunk.column}.".startswith(f"{name}.") for name in columns)]


def _chunk(facts: dict[int, Any]) -> Chunk:
    """Return the `ColumnMetaData` with these fields; a dictionary, where there is one, lies before the data."""
    first = min(facts[9], facts.get(11) or facts[9])
    if min(facts[5], first, facts[6], facts[7]) < 0:
        raise ValueError("a size below 0")
    return Chunk(b".".join(facts[3]).decode(), facts[5], first, facts[7], facts[6])


def _check(page: Page, file: Path) -> None:
    if page.values > MAX_VALUES:
        raise DataError(f"`{file}` has {page.values:,} values in one page; write smaller ones.")
    if page.full_bytes > max(PLAIN_BYTES, MAX_FOLD * page.packed_bytes):
        full, packed = page.full_bytes // MEGABYTE, page.packed_bytes
        raise DataError(
            f"`{file}` has a page of {packed:,} bytes that expands to {full:,} MB; images do not compress that well."
        )
    if excess := TABLE.excess(3 * page.full_bytes):  # the page, its values as a column, and as they are handed on
        raise DataError(f"`{file}` has a page that would need {excess}.")


def _pages(stream: BinaryIO, chunk: Chunk, file: Path) -> Iterator[Page]:
    first = chunk.first
    end = first + chunk.packed_bytes
    while first < end:
        try:
            page, header_bytes = _page(stream, first)
        except _DAMAGED as error:
            raise DataError(f"`{file}` cannot be read as Parquet: the header of a page is damaged.") from error
        yield page
        first += header_bytes + page.packed_bytes


def _page(stream: BinaryIO, offset: int) -> tuple[Page, int]:
    """Return the page at `offset`, and how long its header is."""
    for size in (1 << 10, MAX_PAGE_HEADER_BYTES):
        stream.seek(offset)
        buffer = io.BytesIO(stream.read(size))
        try:
            fields = _struct(buffer)
        except IndexError:
            if size == MAX_PAGE_HEADER_BYTES:
                raise
            continue
        details = fields.get(5) or fields.get(8) or fields.get(7) or {}
        page = Page(fields[2], fields[3], details.get(1, 0), fields[1] == _DICTIONARY)
        if min(page[:3]) < 0:
            raise ValueError("a size below 0")
        return page, buffer.tell()
    raise IndexError


def _struct(buffer: BinaryIO, depth: int = 0) -> dict[int, Any]:
    """Return the fields of a Thrift struct by number."""
    if depth > 8:
        raise ValueError("nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while head := _byte(buffer):
        number = number + (head >> 4) if head >> 4 else _zigzag(buffer)
        fields[number] = _value(buffer, head & 15, depth)
    return fields


def _value(buffer: BinaryIO, kind: int, depth: int) -> Any:
    if kind in (1, 2):  # true and false: the type is the value
        return kind == 1
    if kind == 3:
        return _byte(buffer)
    if kind in (4, 5, 6):
        return _zigzag(buffer)
    if kind in (7, 8):
        return _bytes(buffer, 8 if kind == 7 else _varint(buffer))
    if kind in (9, 10):
        head = _byte(buffer)
        count = head >> 4 if head >> 4 < 15 else _varint(buffer)
        return [_value(buffer, 3 if head & 15 in (1, 2) else head & 15, depth + 1) for _ in range(count)]
    if kind == 12:
        return _struct(buffer, depth + 1)
    raise ValueError(f"type {kind}")  # maps do not occur


def _byte(buffer: BinaryIO) -> int:
    return buffer.read(1)[0]


def _bytes(buffer: BinaryIO, count: int) -> bytes:
    content = buffer.read(count)
    if len(content) < count:
        raise IndexError
    return content


def _varint(buffer: BinaryIO) -> int:
    value = shift = 0
    while shift < 64:
        byte = _byte(buffer)
        value |= (byte & 127) << shift
        if byte < 128:
            return value
        shift += 7
    raise ValueError("a number of more than 64 bits")


def _zigzag(buffer: BinaryIO) -> int:
    value = _varint(buffer)
    return (value >> 1) ^ -(value & 1)

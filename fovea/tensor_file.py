"""A safetensors file before its tensors: its metadata, and where which tensor lies, checked against the bytes it has.

Nothing of what the header announces is read or held before it is known to be there.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

from fovea.card import json_object
from fovea.errors import BundleError

MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 20_000


class Entry(NamedTuple):
    """One tensor of a file."""

    dtype: str
    """As safetensors names it: `F32`, `I64`, ..."""
    shape: tuple[int, ...]
    begin: int
    """Bytes from the beginning of the file to its first value."""
    end: int


class Table(NamedTuple):
    """What a file says of itself."""

    metadata: Mapping[str, Any] | None
    """None if it has none."""
    entries: dict[str, Entry]


def read_table(file: BinaryIO, size_bytes: int, source: str) -> Table:
    """Return the metadata and the tensors' places in an open file of that size; `source` is what messages call it.

    Raises: BundleError for a file that is not a safetensors, cut short, or announces more than is read.
    """
    raw = _raw_header(file, size_bytes, source)
    first = 8 + len(raw)
    header = json_object(raw, source, what="header")
    metadata = header.pop("__metadata__", None)
    entries = _entries(header, first, source)
    # checked as a whole, too: a tensor that the table leaves out may hide anything
    end = max((entry.end for entry in entries.values()), default=first)
    if end != size_bytes:
        word = "truncated" if end > size_bytes else "damaged"
        raise BundleError(
            f"`{source}` is {word}: its tensors need {end - first} bytes, but it has {size_bytes - first}."
        )
    return Table(metadata if isinstance(metadata, dict) else None, entries)


def write_header(metadata: Mapping[str, str], tensors: Mapping[str, tuple[str, tuple[int, ...], int]]) -> bytes:
    """Return the beginning of a file of `tensors`: by name their type, shape and bytes, in the order in which they lie.

    It is as long as a multiple of 64, so that the first tensor lies well in memory.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    begin = 0
    for name, (dtype, shape, size_bytes) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, begin + size_bytes]}
        begin += size_bytes
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    return len(text).to_bytes(8, "little") + text


def _raw_header(file: BinaryIO, size_bytes: int, source: str) -> bytes:
    """Return the header's JSON, reading no more than the file holds."""
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{":
        raise BundleError(f"`{source}` is {_kind(start)}.")
    if length > MAX_HEADER_BYTES:
        raise BundleError(f"`{source}` declares a header of {length} bytes; the limit is {MAX_HEADER_BYTES}.")
    if length > size_bytes - 8:
        raise BundleError(
            f"`{source}` is truncated: its header should have {length} bytes, but only {size_bytes - 8} are present."
        )
    return b"{" + file.read(length - 1)


def _kind(start: bytes) -> str:
    """Return what a file is that begins like this and not like a safetensors file."""
    if start.startswith((b"PK", b"\x80")):
        return "a pickle or zip archive. Such files can run code and are never unpickled; convert it to safetensors"
    return "not a safetensors file" if len(start) == 9 else "empty or truncated"


def _entries(header: Mapping[str, Any], first: int, source: str) -> dict[str, Entry]:
    if len(header) > MAX_TENSORS:
        raise BundleError(f"`{source}` lists {len(header)} tensors; the limit is {MAX_TENSORS}.")
    try:
        return {name: _entry(values, first) for name, values in header.items()}
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise BundleError(f"`{source}`: its table of tensors is damaged.") from error


def _entry(values: Mapping[str, Any], first: int) -> Entry:
    begin, end = (int(offset) + first for offset in values["data_offsets"])
    if begin < first:
        raise ValueError("it starts inside the header")
    return Entry(str(values["dtype"]), tuple(int(length) for length in values["shape"]), begin, end)


ITEM_BYTES = {"F32": 4, "F16": 2, "I64": 8, "U8": 1}
"""Of the types that indices hold."""


def check_place(entry: Entry, name: str, source: str) -> None:
    """Raise BundleError if a tensor's bytes are not those of its shape."""
    needed = math.prod(entry.shape) * ITEM_BYTES.get(entry.dtype, 0)
    if min(entry.shape, default=0) < 0 or entry.end - entry.begin != needed:
        raise BundleError(f"`{source}` is damaged: `{name}` is not where its table says.")

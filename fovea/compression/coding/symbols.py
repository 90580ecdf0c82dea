"""A row of symbols 0 .. alphabet - 1 as bytes: packed, or by Huffman codes, whichever is shorter.

byte 0        0 for packed, 1 for Huffman codes
packed        ceil(log2(alphabet)) bits each
Huffman       the lengths of the codes, four bits a symbol, the first in the greater half of a byte;
              four bytes, how long the codes are; the codes
"""

from typing import NamedTuple

import numpy as np

from fovea.compression.coding import huffman
from fovea.compression.coding.bits import Bits, Bytes, Reader, packed, packed_bytes, unpacked
from fovea.errors import BundleError

PACKED, HUFFMAN = 0, 1


class Row(NamedTuple):
    """How a row is best written."""

    bytes: int
    """How long it is."""
    lengths: Bytes | None
    """Of the Huffman codes; None if it is packed."""


def best(counts: huffman.Counts) -> Row:
    """Return how symbols, of which each is there so often, are best written."""
    number, alphabet = int(counts.sum()), len(counts)
    plain = packed_bytes(width_of(alphabet), number)
    if 1 < alphabet <= huffman.MOST_SYMBOLS:
        lengths = huffman.code_lengths(counts)
        codes = packed_bytes(1, int((counts * lengths).sum()))
        if (whole := packed_bytes(4, alphabet) + 4 + codes) < plain and codes < 1 << 32:
            return Row(1 + whole, lengths)
    return Row(1 + plain, None)


def written(symbols: Bits, alphabet: int) -> bytes:
    """Return symbols below `alphabet`, at most 65,536, as bytes."""
    lengths = best(np.bincount(symbols, minlength=alphabet)).lengths
    if lengths is None:
        return bytes([PACKED]) + packed(symbols, width_of(alphabet))
    codes = huffman.encoded(symbols, lengths)
    return b"".join([bytes([HUFFMAN]), packed(lengths, 4), len(codes).to_bytes(4, "little"), codes])


def read(reader: Reader, alphabet: int, count: int) -> Bits:
    """Return the next `count` symbols below `alphabet`, uint16.

    Raises: BundleError if the bytes are no such symbols.
    """
    coder = reader.number(1)
    if coder == PACKED:
        width = width_of(alphabet)
        symbols = unpacked(reader.take(packed_bytes(width, count)), width, count)
        if count and int(symbols.max()) >= alphabet:
            raise BundleError(f"name a value that is not among their {alphabet}")
        return symbols
    if coder == HUFFMAN and 1 < alphabet <= huffman.MOST_SYMBOLS:
        lengths = unpacked(reader.take(packed_bytes(4, alphabet)), 4, alphabet).astype(np.uint8)
        return huffman.decoded(reader.take(reader.number(4)), lengths, count)
    raise BundleError(f"have the unknown coder {coder}")


def width_of(alphabet: int) -> int:
    """Return how many bits a packed symbol takes.

    >>> [width_of(size) for size in (1, 2, 3, 256, 257)]
    [0, 1, 2, 8, 9]
    """
    return (alphabet - 1).bit_length()

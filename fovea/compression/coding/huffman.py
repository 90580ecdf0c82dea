"""Huffman codes: Huffman 1952, doi:10.1109/JRPROC.1952.273898; canonical, and none longer than 15 bits.

The lengths are optimal under that bound by package-merge (Larmore and Hirschberg 1990, doi:10.1145/79147.79150). Codes
follow from the lengths alone: shorter ones first, those of one length in the order of their symbols.

Decoding looks up, for every bit of a chunk at once, how long a code would be that begins there; one walk from code to
code then finds where they do begin. It takes a time that grows with the coded bits, whatever they say.
"""

from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from fovea.compression.coding.bits import Bits, Bytes
from fovea.errors import BundleError

LONGEST = 15
"""Bits of a code: a length fits into four bits, and a table of all beginnings into 32,768 entries."""
MOST_SYMBOLS = 4096
"""Beyond it the bound would cost more than it saves."""
CHUNK = 1 << 20
"""Symbols that are coded, and bits that are decoded, at a time."""

Counts = NDArray[np.int64]


def entropy(counts: Counts) -> float:
    """Return the entropy in bits per symbol of symbols that occur so often: what no code can beat.

    >>> entropy(np.array([2, 1, 1]))
    1.5
    """
    seen = counts[counts > 0]
    shares = seen / max(1, seen.sum())
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def code_lengths(counts: Counts, *, longest: int = LONGEST) -> Bytes:
    """Return the bits of each symbol's code, the least in sum for symbols that occur so often.

    A symbol that does not occur has none, one that is alone has one bit.

    >>> code_lengths(np.array([5, 1, 0, 1])).tolist()
    [1, 2, 0, 2]
    """
    lengths = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts)
    if len(used) < 2:
        lengths[used] = 1
        return lengths
    order = used[np.argsort(counts[used], kind="stable")]
    leaves = counts[order]
    levels, weights = [], leaves
    single = np.ones(len(leaves), bool)
    for _ in range(longest):
        levels.append(single)
        pairs = weights[: len(weights) // 2 * 2].reshape(-1, 2).sum(1)
        merged = np.concatenate([leaves, pairs])
        sort = np.argsort(merged, kind="stable")
        weights, single = merged[sort], sort < len(leaves)
    taken = 2 * len(leaves) - 2
    for single in reversed(levels):  # a package that is taken takes two of the level below
        alone = int(single[:taken].sum())
        lengths[order[:alone]] += 1
        taken = 2 * (taken - alone)
    return lengths


def codes(lengths: Bytes) -> NDArray[np.uint16]:
    """Return the canonical code of each symbol, (K,) uint16, in the least bits."""
    found = np.zeros(len(lengths), np.uint16)
    code = 0
    for length in range(1, LONGEST + 1):
        of_length = np.flatnonzero(lengths == length)
        found[of_length] = code + np.arange(len(of_length))
        code = (code + len(of_length)) << 1
    return found


def encoded(symbols: Bits, lengths: Bytes) -> bytes:
    """Return the codes of the symbols one after the other; the last byte is filled with zeros."""
    table, parts = codes(lengths), []
    rest = np.zeros(0, np.uint8)
    for start in range(0, len(symbols), CHUNK):
        bits = np.concatenate([rest, _bits(symbols[start : start + CHUNK], table, lengths)])
        whole = len(bits) // 8 * 8
        parts.append(np.packbits(bits[:whole]).tobytes())
        rest = bits[whole:]
    return b"".join([*parts, np.packbits(rest).tobytes()])


def decoded(raw: Bytes, lengths: Bytes, count: int) -> Bits:
    """Return the `count` symbols, uint16, whose codes fill `raw`.

    Raises: BundleError if the lengths are those of no code, or there are fewer or more symbols.
    """
    symbol_at, length_at = _beginnings(lengths)
    symbols = np.empty(count, np.uint16)
    padded = np.concatenate([raw, np.zeros(2, np.uint8)]).astype(np.uint32)
    found = position = 0
    for start in range(0, len(raw), CHUNK // 8):
        begin = _windows(padded[start : start + CHUNK // 8 + 2])
        places, position = _walk(length_at[begin].tobytes(), position, count - found)
        symbols[found : found + len(places)] = symbol_at[begin[places]]
        found += len(places)
        if found == count:
            if start * 8 + position > len(raw) * 8:
                break
            if len(raw) * 8 - (start * 8 + position) >= 8:
                raise BundleError("continue after their last value")
            return symbols
        position -= len(begin)
    if count == found == 0 and not len(raw):
        return symbols
    raise BundleError(f"end early: {count} values are expected")


def _bits(symbols: Bits, table: NDArray[np.uint16], lengths: Bytes) -> Bytes:
    """Return the codes of symbols as one bit a byte."""
    each, code = lengths[symbols].astype(np.int64), table[symbols]
    ends = np.cumsum(each)
    bits = np.zeros(int(ends[-1]), np.uint8)
    for bit in range(int(each.max())):
        has = np.flatnonzero(each > bit)
        bits[ends[has] - each[has] + bit] = (code[has] >> (each[has] - 1 - bit)) & 1
    return bits


def _beginnings(lengths: Bytes) -> tuple[NDArray[np.uint16], Bytes]:
    """Return the symbol, and the length of its code, for each 15 bits that may come next."""
    used = np.flatnonzero(lengths)
    order = used[np.argsort(lengths[used], kind="stable")]
    spans = 1 << (LONGEST - lengths[order].astype(np.int64))
    if len(order) == 1 and spans[0] == 1 << (LONGEST - 1):  # one symbol: its one bit says nothing
        spans *= 2
    if spans.sum() != 1 << LONGEST:
        raise BundleError("have lengths of codes that fit no code")
    return np.repeat(order.astype(np.uint16), spans), np.repeat(lengths[order], spans)


def _windows(padded: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Return, for each bit of all bytes but the last two, the 15 bits that begin there."""
    three = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifts = np.arange(9, 1, -1, dtype=np.uint32)
    return ((three[:, None] >> shifts) & ((1 << LONGEST) - 1)).astype(np.uint16).ravel()


def _walk(lengths: bytes, position: int, most: int) -> tuple[list[int], int]:
    """Return where codes begin, from `position` on and at most so many, and where the next one would."""
    places: list[int] = []
    stop, add = len(lengths), places.append
    for _ in repeat(None, most):
        if position >= stop:
            break
        add(position)
        position += lengths[position]
    return places, position

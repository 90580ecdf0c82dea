"""Whole numbers of a fixed number of bits, packed without gaps; and bytes that are read to their end and no further."""

import numpy as np
from numpy.typing import NDArray

from fovea.errors import BundleError

CHUNK = 1 << 20
"""Numbers that are spread into bits at a time: a multiple of 8, so that each chunk fills whole bytes."""

Bytes = NDArray[np.uint8]
Bits = NDArray[np.unsignedinteger]
"""Values as unsigned numbers of the same bits: no rounding, no two zeros that are equal, no NaN that is not."""


def packed(numbers: Bits, width: int) -> bytes:
    """Return numbers below 2^`width`, `width` bits each, the greatest bit first; the last byte is filled with zeros.

    >>> packed(np.array([1, 2, 3], np.uint16), 2).hex()  # 01 10 11 00
    '6c'
    """
    parts = (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))
    return b"".join(np.packbits(_spread(part, width)).tobytes() for part in parts)


def unpacked(raw: Bytes, width: int, count: int) -> Bits:
    """Return the `count` numbers, uint16, that `packed` packed."""
    numbers = np.zeros(count, np.uint16)
    for start in range(0, count if width else 0, CHUNK):
        part = numbers[start : start + CHUNK]
        spread = np.unpackbits(raw[start * width // 8 :], count=len(part) * width).reshape(len(part), width)
        for bit in range(width):
            part <<= 1
            part |= spread[:, bit]
    return numbers


def packed_bytes(width: int, count: int) -> int:
    """Return how many bytes `packed` makes."""
    return -(-width * count // 8)


def _spread(numbers: Bits, width: int) -> Bytes:
    spread = np.empty((len(numbers), width), np.uint8)
    for bit in range(width):
        spread[:, bit] = (numbers >> (width - 1 - bit)) & 1
    return spread


class Reader:
    """Takes one piece of some bytes after the other."""

    def __init__(self, raw: Bytes) -> None:
        self._raw, self._at = raw, 0

    @property
    def left(self) -> int:
        """How many bytes have not been taken."""
        return len(self._raw) - self._at

    def take(self, count: int) -> Bytes:
        """Return the next `count` bytes.

        Raises: BundleError if there are not so many.
        """
        if not 0 <= count <= self.left:
            raise BundleError(f"end early: {count} bytes are expected, {self.left} are left")
        self._at += count
        return self._raw[self._at - count : self._at]

    def number(self, size: int) -> int:
        """Return the next `size` bytes as a number, the least byte first."""
        return int.from_bytes(self.take(size).tobytes(), "little")

    def array(self, dtype: np.dtype[np.unsignedinteger], count: int) -> Bits:
        """Return the next `count` values of `dtype`, as they lie."""
        raw = self.take(count * dtype.itemsize)
        found: Bits = np.frombuffer(raw.tobytes(), dtype.newbyteorder("<")).astype(dtype)
        return found

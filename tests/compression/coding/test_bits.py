"""Packed numbers come back, and bytes are read no further than they go."""

import numpy as np
import pytest

from fovea.compression.coding.bits import CHUNK, Reader, packed, packed_bytes, unpacked
from fovea.errors import BundleError


def test_numbers_are_packed_as_by_hand():
    numbers = np.array([5, 0, 7, 1], np.uint16)  # 101 000 111 001
    assert packed(numbers, 3) == bytes([0b10100011, 0b10010000])
    assert packed_bytes(3, 4) == 2


@pytest.mark.parametrize("width", range(17))
def test_what_was_packed_comes_back(width):
    numbers = np.random.default_rng(width).integers(1 << width, size=1001).astype(np.uint16)
    raw = packed(numbers, width)
    assert len(raw) == packed_bytes(width, 1001)
    assert np.array_equal(unpacked(np.frombuffer(raw, np.uint8), width, 1001), numbers)


def test_more_than_a_chunk_comes_back():
    numbers = np.arange(2 * CHUNK + 3, dtype=np.uint32).astype(np.uint16) % 8
    assert np.array_equal(unpacked(np.frombuffer(packed(numbers, 3), np.uint8), 3, len(numbers)), numbers)


def test_a_reader_gives_its_pieces_in_order_and_no_more():
    reader = Reader(np.arange(8, dtype=np.uint8))
    assert reader.take(1).tolist() == [0]
    assert reader.number(2) == 0x0201
    assert reader.array(np.dtype(np.uint16), 2).tolist() == [0x0403, 0x0605]
    assert reader.left == 1
    for count in (2, -1):
        with pytest.raises(BundleError, match=f"{count} bytes are expected, 1 are left"):
            reader.take(count)

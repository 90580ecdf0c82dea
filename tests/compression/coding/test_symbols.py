"""A row of symbols takes the shorter of its two forms, and damaged ones are refused."""

import numpy as np
import pytest

from fovea.compression.coding.bits import Reader, packed
from fovea.compression.coding.symbols import HUFFMAN, PACKED, best, read, written
from fovea.errors import BundleError


def reader(raw):
    return Reader(np.frombuffer(raw, np.uint8))


@pytest.mark.parametrize("alphabet", [1, 2, 3, 16, 255, 4096, 4097, 65536])
@pytest.mark.parametrize("exponent", [1, 6])
def test_what_was_written_is_read(alphabet, exponent):
    uniform = np.random.default_rng(alphabet).random(5000)
    symbols = (alphabet * uniform**exponent).astype(np.uint16)
    raw = written(symbols, alphabet)
    source = reader(raw + b"more")
    assert np.array_equal(read(source, alphabet, 5000), symbols)
    assert source.left == 4


def test_even_symbols_are_packed_and_uneven_ones_have_codes():
    even, uneven = np.arange(800, dtype=np.uint16) % 16, np.arange(800, dtype=np.uint16) % 100 // 95
    assert written(even, 16)[0] == PACKED and len(written(even, 16)) == 1 + 400
    assert written(uneven, 16)[0] == HUFFMAN and len(written(uneven, 16)) <= 1 + 8 + 4 + 200


@pytest.mark.parametrize("exponent", [1, 3, 8])
def test_how_long_a_row_will_be_is_known_before(exponent):
    symbols = (100 * np.random.default_rng(0).random(4000) ** exponent).astype(np.uint16)
    assert best(np.bincount(symbols, minlength=100)).bytes == len(written(symbols, 100))


def test_no_symbols_take_a_byte():
    assert written(np.zeros(0, np.uint16), 9) == bytes([PACKED])
    assert len(read(reader(bytes([PACKED])), 9, 0)) == 0


def test_what_is_not_in_the_alphabet_is_refused():
    raw = bytes([PACKED]) + packed(np.array([2, 3], np.uint16), 2)
    with pytest.raises(BundleError, match="not among their 3"):
        read(reader(raw), 3, 2)
    for raw, alphabet in ((b"\2", 5), (b"\1", 1), (b"\1", 5000)):
        with pytest.raises(BundleError, match=f"have the unknown coder {raw[0]}"):
            read(reader(raw), alphabet, 0)

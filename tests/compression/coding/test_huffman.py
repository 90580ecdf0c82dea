"""The law of Huffman codes, their canonical form, and that damaged ones are refused in a bounded time."""

import heapq

import numpy as np
import pytest

from fovea.compression.coding.huffman import CHUNK, LONGEST, code_lengths, codes, decoded, encoded, entropy
from fovea.errors import BundleError


def array(raw):
    return np.frombuffer(raw, np.uint8)


def huffman_bits(counts):
    """Return how many bits Huffman's own procedure takes: the sum of all merged weights."""
    heap, bits = sorted(int(count) for count in counts if count), 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        bits += merged
        heapq.heappush(heap, merged)
    return bits


def counts_of(seed):
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(generator.integers(2, 400), 10.0 ** generator.uniform(-2, 2)))
    return generator.multinomial(int(10 ** generator.uniform(1, 6)), shares)


def test_the_codes_of_a_small_alphabet_are_those_by_hand():
    lengths = code_lengths(np.array([1, 5, 0, 1, 3]))
    assert lengths.tolist() == [3, 1, 0, 3, 2]
    assert [f"{code:b}" for code in codes(lengths)] == ["110", "0", "0", "111", "10"]
    symbols = np.array([1, 4, 0, 3, 1], np.uint16)
    assert encoded(symbols, lengths) == bytes([0b01011011, 0b10000000])  # 0 10 110 111 0


@pytest.mark.parametrize("seed", range(200))
def test_codes_take_between_the_entropy_and_one_bit_more(seed):
    counts = counts_of(seed)
    if np.count_nonzero(counts) < 2:
        return
    lengths = code_lengths(counts)
    mean = (counts * lengths).sum() / counts.sum()
    assert entropy(counts) - 1e-9 <= mean < entropy(counts) + 1
    assert lengths.max() <= LONGEST
    assert sum(2.0 ** -float(length) for length in lengths if length) == 1  # Kraft: no code is wasted


@pytest.mark.parametrize("seed", range(100))
def test_codes_are_as_short_as_huffmans_where_his_are_not_too_long(seed):
    counts = counts_of(seed)
    bits = int((counts * code_lengths(counts, longest=40)).sum())
    assert np.count_nonzero(counts) < 2 or bits == huffman_bits(counts)


def test_codes_of_very_uneven_symbols_are_bounded():
    counts = np.array([2**n for n in range(30)])  # Huffman's own longest code has 29 bits
    lengths = code_lengths(counts)
    assert lengths.max() == LONGEST
    assert entropy(counts) <= (counts * lengths).sum() / counts.sum() < entropy(counts) + 1


@pytest.mark.parametrize("seed", range(30))
def test_what_was_coded_comes_back(seed):
    counts = counts_of(seed)
    symbols = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.uint16)
    lengths = code_lengths(counts)
    assert np.array_equal(decoded(array(encoded(symbols, lengths)), lengths, len(symbols)), symbols)


def test_more_than_a_chunk_comes_back():
    symbols = np.random.default_rng(0).choice(5, 2 * CHUNK + 3, p=(0.4, 0.3, 0.1, 0.1, 0.1)).astype(np.uint16)
    lengths = code_lengths(np.bincount(symbols))
    assert np.array_equal(decoded(array(encoded(symbols, lengths)), lengths, len(symbols)), symbols)


def test_a_symbol_that_is_alone_takes_a_bit():
    lengths = code_lengths(np.array([0, 0, 9]))
    assert lengths.tolist() == [0, 0, 1]
    raw = encoded(np.full(9, 2, np.uint16), lengths)
    assert len(raw) == 2
    assert decoded(array(raw), lengths, 9).tolist() == [2] * 9


def test_lengths_that_are_no_code_are_refused():
    for lengths in ([1, 1, 1], [1, 2], [2, 2, 2], [0, 0], [0, 2]):
        with pytest.raises(BundleError, match="fit no code"):
            decoded(array(b"\0" * 8), np.array(lengths, np.uint8), 4)


def test_too_few_and_too_many_codes_are_refused():
    lengths = code_lengths(np.array([5, 3, 1, 1]))
    symbols = np.array([0, 3, 1, 2] * 50, np.uint16)
    raw = array(encoded(symbols, lengths))
    for fewer in (raw[:-2], raw[:1], raw[:0]):
        with pytest.raises(BundleError, match="end early"):
            decoded(fewer, lengths, 200)
    with pytest.raises(BundleError, match="continue after their last value"):
        decoded(np.concatenate([raw, raw]), lengths, 200)
    with pytest.raises(BundleError, match="continue after"):
        decoded(raw, lengths, 0)

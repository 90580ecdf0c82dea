"""Arrays come back to the bit from each form, the shortest is taken, and damaged bytes are refused."""

import numpy as np
import pytest

from fovea.compression.coding.forms import FORMS, Flat, coded, decoded
from fovea.errors import BundleError

generator = np.random.default_rng(0)
SIGNS = np.where(generator.random((20, 90)) < 0.5, -1, 1) * generator.random((20, 1))
STEPS = np.clip(generator.normal(0, 45, (30, 200)).round(), -127, 127).astype(np.float32)
GRID = STEPS * generator.random((30, 1)).astype(np.float32)
ARRAYS = {
    "random": generator.normal(size=500),
    "few values": generator.choice([0.5, -1.25, 3.0, 7.0], 4000),
    "uneven values": generator.choice([0.5, -1.25, 3.0, 7.0], 4000, p=(0.9, 0.05, 0.03, 0.02)),
    "sparse": np.where(generator.random(5000) < 0.1, generator.normal(size=5000), 0),
    "very sparse": np.where(generator.random(90_000) < 0.0005, generator.normal(size=90_000), 0),
    "sparse and shared": np.where(generator.random(5000) < 0.1, generator.normal(size=5000).round(1), 0),
    "sparse with both zeros": generator.normal(size=5000) * (generator.random(5000) < 0.1),
    "one at the end": np.eye(1, 3000, 2999)[0],
    "one at the beginning": np.eye(1, 3000)[0],
    "regular gaps": np.tile(np.eye(1, 10)[0], 300),
    "grid": GRID,
    "constant": np.full(1000, 2.5),
    "signs": SIGNS,
    "both zeros": generator.choice([0.0, -0.0], 1000),
}


def bits_of(values, dtype=np.float32):
    array = np.asarray(values, dtype)
    return array.reshape(-1).view(f"u{array.itemsize}"), array.shape


def again(form, raw, shape, dtype):
    return decoded(form, np.frombuffer(raw, np.uint8), shape, dtype)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_each_form_gives_back_each_bit(name, dtype):
    bits, shape = bits_of(ARRAYS[name], dtype)
    applied = 0
    for form, (code, _) in FORMS.items():
        if (raw := code(Flat(bits, shape))) is not None:
            applied += 1
            assert np.array_equal(again(form, raw, shape, bits.dtype), bits)
    assert applied


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *[("random", None), ("few values", "dense"), ("uneven values", "sparse"), ("sparse", "sparse")],
        *[("very sparse", "sparse"), ("sparse and shared", "sparse"), ("one at the end", "sparse")],
        *[("constant", "dense"), ("signs", "signs"), ("grid", "scaled"), ("both zeros", "dense")],
    ],
)
def test_the_shortest_form_is_taken(name, form):
    found = coded(*bits_of(ARRAYS[name]))
    assert (found and found[0]) == form


def test_bytes_by_hand():
    assert coded(*bits_of(np.full(1000, 2.5)))[1].hex() == "01000000" + "00002040" + "00"
    _, raw = coded(*bits_of([[2.0, -2.0, -2.0] * 8, [0.5] * 24]))
    assert raw.hex() == "00000040" + "0000003f" + "6db6db" + "000000"


def test_nothing_shorter_is_found_for_what_is_empty_or_one_number():
    for values in (np.zeros((0, 3)), 3.0, [1.0, 2.0]):
        assert coded(*bits_of(values)) is None


def test_gaps_take_about_their_entropy():
    for density in (0.5, 0.1, 0.01, 0.001):
        places = generator.random(200_000) < density
        _, raw = coded(*bits_of(places.astype(np.float32)))
        entropy = -density * np.log2(density) - (1 - density) * np.log2(1 - density)
        assert len(raw) * 8 < 1.03 * entropy * len(places) + 1600


@pytest.mark.parametrize("name", ["uneven values", "sparse", "sparse and shared", "signs", "grid"])
def test_bytes_that_are_cut_or_longer_are_refused(name):
    bits, shape = bits_of(ARRAYS[name])
    form, raw = coded(bits, shape)
    for wrong in (raw[:-1], raw[: len(raw) // 2], raw[:3], b"", raw + b"\0"):
        with pytest.raises(BundleError, match="early|continue|have|name a value"):
            again(form, wrong, shape, bits.dtype)


@pytest.mark.parametrize("name", ["uneven values", "sparse", "very sparse", "sparse and shared", "signs", "grid"])
def test_a_changed_byte_never_escapes_as_another_error(name):
    bits, shape = bits_of(ARRAYS[name])
    form, raw = coded(bits, shape)
    for place in [*range(min(40, len(raw))), *generator.integers(len(raw), size=60)]:
        changed = bytearray(raw)
        changed[place] ^= int(generator.integers(1, 256))
        try:
            found = again(form, bytes(changed), shape, bits.dtype)
        except BundleError:
            continue
        assert found.shape == bits.shape and found.dtype == bits.dtype


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(40))
def test_random_bytes_never_escape_as_another_error(form, seed):
    noise = np.random.default_rng(seed)
    raw = bytearray(noise.bytes(200))
    if seed % 2:
        raw[:13] = bytes([*raw[:4], 3, 0, 0, 0, 9, 0, 0, 0, 2])  # numbers that are small enough to go on
    try:
        found = again(form, bytes(raw), (10, 7), np.dtype(np.uint32))
    except BundleError:
        return
    assert found.shape == (70,)

"""The forms in which an array is coded, on its bits alone; the shortest is taken.

`dense`: a codebook of the distinct values and, of every element, which of them it is.
`sparse`: Han, Mao and Dally 2015, arXiv:1510.00149, section 2 and figure 2. One value, as a rule zero, is everywhere
but at some places, each given by how far it is from the one before. A gap has w bits; one of 2^w - 1 or more is
bridged by fillers. Departure: there a filler takes a gap and a zero; here the greatest gap, 2^w - 1, is a filler by
itself, and takes no value.
`signs`: a magnitude per row, the first axis, and a bit per element: the weights of binary layers, sign times scale.
`scaled`: a scale per row, and of each element how many times it, -127 to 127: float32 weights on an 8-bit grid.

Numbers have their least byte first:

    dense    4 bytes, how many values; the values; which of them (`symbols`)
    sparse   the value everywhere else; 4 bytes each, how many places and how many gaps; 1 byte, w; 4 bytes, how many
             values, 0 for one a place; the values; the gaps (`symbols`); unless 0, which value (`symbols`)
    signs    the magnitudes; the sign bits, packed
    scaled   the scales; how many times each (`symbols`), plus 127; 255 for minus zero
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.compression.coding import grids, symbols
from fovea.compression.coding.bits import Bits, Bytes, Reader, packed, packed_bytes, unpacked
from fovea.errors import BundleError

MOST_VALUES = 1 << 16
"""Of a codebook."""
LEAST_SHARE = 1 / 16
"""Of the elements that one value must have before the others are coded by their places."""
WIDEST_GAP = 10
"""Bits of a gap."""
LARGEST = 1 << 32
"""Arrays of so many elements stay as they are: counts have four bytes."""

Shape = tuple[int, ...]


class Flat:
    """An array that is to be coded, its elements in one row."""

    def __init__(self, bits: Bits, shape: Shape) -> None:
        self.bits, self.shape = bits, shape

    @cached_property
    def _distinct(self) -> tuple[Bits, NDArray[np.int64]]:
        return np.unique(self.bits, return_counts=True)

    @property
    def values(self) -> Bits:
        """The distinct values, sorted."""
        return self._distinct[0]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each is there: (V,) int64, as `values`."""
        return self._distinct[1]


def dense(flat: Flat) -> bytes | None:
    """Return the array in this form; None if it has too many values."""
    if len(flat.values) > MOST_VALUES:
        return None
    return _codebook(flat.values) + _which(flat.bits, flat.values)


def from_dense(reader: Reader, shape: Shape, dtype: np.dtype[np.unsignedinteger]) -> Bits:
    """Return the array of this form; errors as `decoded`."""
    values = _values(reader, dtype)
    if not len(values):
        raise BundleError("have no values")
    if len(values) == 1:  # whatever its shape, it takes no symbols
        symbols.read(reader, 1, 0)
        return np.full(prod(shape), values[0])
    return values[symbols.read(reader, len(values), prod(shape))]


def sparse(flat: Flat) -> bytes | None:
    """Return the array in this form; None if no value is frequent enough, or there is no other."""
    frequent = int(flat.counts.argmax())
    rest = np.delete(flat.values, frequent)
    if not len(rest) or flat.counts[frequent] < LEAST_SHARE * len(flat.bits):
        return None
    common = flat.values[frequent : frequent + 1]
    places = np.flatnonzero(flat.bits != common)
    width, gaps = _gaps(np.diff(places, prepend=-1) - 1)
    kept = flat.bits[places]
    shared, alone = b"", _little(kept)
    if len(rest) <= MOST_VALUES:
        shared = _which(kept, rest)
    is_shared = shared and 4 + rest.nbytes + len(shared) < len(alone)
    head = [_little(common), _four(len(places)), _four(len(gaps)), bytes([width])]
    book = _codebook(rest) if is_shared else _four(0)
    return b"".join([*head, book, symbols.written(gaps, 1 << width), shared if is_shared else alone])


def from_sparse(reader: Reader, shape: Shape, dtype: np.dtype[np.unsignedinteger]) -> Bits:
    """Return the array of this form; errors as `decoded`."""
    length = prod(shape)
    common = reader.array(dtype, 1)
    count, steps, width = reader.number(4), reader.number(4), reader.number(1)
    if not (count <= steps <= length and 1 <= width <= WIDEST_GAP):
        raise BundleError(f"have {count} positions in {steps} gaps of {width} bits, for {length} elements")
    values = _values(reader, dtype)
    gaps = symbols.read(reader, 1 << width, steps)
    filler = (1 << width) - 1
    is_place = gaps != filler
    ends = np.cumsum(gaps + is_place.astype(np.uint16), dtype=np.int64)
    places = ends[is_place] - 1
    if len(places) != count or (steps and ends[-1] > length):
        raise BundleError(f"have gaps that do not give {count} positions in {length} elements")
    kept = values[symbols.read(reader, len(values), count)] if len(values) else reader.array(dtype, count)
    found: Bits = np.full(length, common[0], dtype)
    found[places] = kept
    return found


def signs(flat: Flat) -> bytes | None:
    """Return the array in this form; None if the elements of a row differ in more than their first bit."""
    if len(flat.shape) < 2 or not len(flat.bits):
        return None
    rows = flat.bits.reshape(flat.shape[0], -1)
    top = 8 * flat.bits.dtype.itemsize - 1
    magnitudes = rows & rows.dtype.type((1 << top) - 1)
    if (magnitudes != magnitudes[:, :1]).any():
        return None
    first: Bits = (flat.bits >> top).astype(flat.bits.dtype)
    return _little(magnitudes[:, 0]) + packed(first, 1)


def from_signs(reader: Reader, shape: Shape, dtype: np.dtype[np.unsignedinteger]) -> Bits:
    """Return the array of this form; errors as `decoded`."""
    if len(shape) < 2 or not prod(shape):
        raise BundleError("have no rows")
    magnitudes, length = reader.array(dtype, shape[0]), prod(shape)
    negative = unpacked(reader.take(packed_bytes(1, length)), 1, length).astype(dtype)
    top = negative << dtype.type(8 * dtype.itemsize - 1)
    found: Bits = (top.reshape(shape[0], -1) | magnitudes[:, None]).ravel()
    return found


def scaled(flat: Flat) -> bytes | None:
    """Return the array in this form; None if it is not a float32, or a row is on no such grid."""
    if len(flat.shape) < 2 or not len(flat.bits) or flat.bits.dtype.itemsize != 4:
        return None
    rows = flat.bits.view(np.float32).reshape(flat.shape[0], -1)
    found = grids.of_rows(rows)
    return None if found is None else _little(found.scales.view(np.uint32)) + symbols.written(found.steps, grids.STEPS)


def from_scaled(reader: Reader, shape: Shape, dtype: np.dtype[np.unsignedinteger]) -> Bits:
    """Return the array of this form; errors as `decoded`."""
    if len(shape) < 2 or not prod(shape) or dtype.itemsize != 4:
        raise BundleError("have no rows of float32")
    scales = reader.array(dtype, shape[0]).view(np.float32)
    steps = symbols.read(reader, grids.STEPS, prod(shape))
    return grids.rows_on(scales, steps).view(dtype)


class Form(NamedTuple):
    """How an array is coded: bytes of it, or None, and it from these bytes."""

    code: Callable[[Flat], bytes | None]
    decode: Callable[[Reader, Shape, np.dtype[np.unsignedinteger]], Bits]


FORMS: Mapping[str, Form] = {
    "dense": Form(dense, from_dense),
    "sparse": Form(sparse, from_sparse),
    "signs": Form(signs, from_signs),
    "scaled": Form(scaled, from_scaled),
}


def coded(bits: Bits, shape: Shape) -> tuple[str, bytes] | None:
    """Return the shortest form of an array, given in one row, and its bytes; None if none is shorter than it is."""
    if not 0 < len(bits) < LARGEST:
        return None
    flat = Flat(bits, shape)
    found = [(name, raw) for name, form in FORMS.items() if (raw := form.code(flat)) is not None]
    best = min(found, key=lambda item: len(item[1]), default=None)
    return best if best is not None and len(best[1]) < bits.nbytes else None


def decoded(form: str, raw: Bytes, shape: Shape, dtype: np.dtype[np.unsignedinteger]) -> Bits:
    """Return the array, in one row, whose bytes in `form` are `raw`.

    Raises: BundleError if they are no such array; the message goes on after "its coded bytes".
    """
    reader = Reader(raw)
    found = FORMS[form].decode(reader, shape, dtype)
    if reader.left:
        raise BundleError(f"continue for {reader.left} bytes after their end")
    return found


def _gaps(lengths: NDArray[np.int64]) -> tuple[int, Bits]:
    """Return the width of gaps that takes the least bytes, and the gaps, fillers among them."""

    def cost(width: int) -> int:
        filler = (1 << width) - 1
        counts = np.bincount(lengths % filler, minlength=filler + 1)
        counts[filler] += (lengths // filler).sum()
        return symbols.best(counts).bytes

    width = min(range(1, WIDEST_GAP + 1), key=cost)
    filler = (1 << width) - 1
    ends = np.cumsum(lengths // filler + 1)
    gaps = np.full(int(ends[-1]), filler, np.uint16)
    gaps[ends - 1] = lengths % filler
    return width, gaps


def _which(bits: Bits, values: Bits) -> bytes:
    return symbols.written(np.searchsorted(values, bits).astype(np.uint16), len(values))


def _codebook(values: Bits) -> bytes:
    return _four(len(values)) + _little(values)


def _values(reader: Reader, dtype: np.dtype[np.unsignedinteger]) -> Bits:
    count = reader.number(4)
    if count > MOST_VALUES:
        raise BundleError(f"have {count} values; the limit is {MOST_VALUES}")
    return reader.array(dtype, count)


def _little(values: Bits) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _four(number: int) -> bytes:
    return number.to_bytes(4, "little")

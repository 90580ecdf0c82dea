"""What the card of a model file says of its coded tensors; all of it is checked before anything is decoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from fovea.errors import BundleError, shortened
from fovea.fields import is_whole

BYTES_OF: Mapping[str, int] = {
    **{"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2},
    **{"U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8},
}
"""The bytes of an element, by the name that safetensors gives its type."""
MOST_AXES = 8
MOST_ELEMENTS = 1 << 40
NAMES = ("dense", "sparse", "signs", "scaled")
"""The forms, as `forms.FORMS` has them."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A coded tensor."""

    form: str
    """One of `NAMES`."""
    dtype: str
    """Of `BYTES_OF`."""
    shape: tuple[int, ...]
    bytes: int
    """How long it is when coded."""

    @property
    def elements(self) -> int:
        """How many there are."""
        return prod(self.shape)

    @property
    def decoded_bytes(self) -> int:
        """How long it is when decoded."""
        return self.elements * BYTES_OF[self.dtype]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"form": self.form, "dtype": self.dtype, "shape": list(self.shape), "bytes": self.bytes}


@dataclass(frozen=True, kw_only=True)
class Coding:
    """The coded tensors of a file: they stand one after the other in one tensor of bytes."""

    stored: str
    """The name of that tensor."""
    crc32: int
    """Of its bytes."""
    tensors: Mapping[str, Entry]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Coding":
        """Return what JSON says.

        Raises: BundleError if it is something else.
        """
        stored, crc32, tensors = (values.get(key) for key in ("stored", "crc32", "tensors"))
        if not (isinstance(stored, str) and is_whole(crc32) and isinstance(tensors, Mapping)):
            raise BundleError("the card's `coding` must hold `stored`, `crc32` and `tensors`.")
        return cls(stored=stored, crc32=crc32, tensors={name: _entry(name, entry) for name, entry in tensors.items()})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        tensors = {name: entry.to_dict() for name, entry in self.tensors.items()}
        return {"stored": self.stored, "crc32": self.crc32, "tensors": tensors}

    @property
    def bytes(self) -> int:
        """How long all are when coded."""
        return sum(entry.bytes for entry in self.tensors.values())

    @property
    def decoded_bytes(self) -> int:
        """How long all are when decoded."""
        return sum(entry.decoded_bytes for entry in self.tensors.values())


def _entry(name: str, values: object) -> Entry:
    if isinstance(values, Mapping):
        form, dtype, shape, length = (values.get(key) for key in ("form", "dtype", "shape", "bytes"))
        if (
            form in NAMES
            and isinstance(dtype, str)
            and dtype in BYTES_OF
            and isinstance(shape, list)
            and len(shape) <= MOST_AXES
            and all(is_whole(size) and 0 <= size <= MOST_ELEMENTS for size in shape)
            and is_whole(length)
            and length >= 0
        ):
            entry = Entry(form=form, dtype=dtype, shape=tuple(shape), bytes=length)
            if entry.elements <= MOST_ELEMENTS:
                return entry
    raise BundleError(
        f"the card's `coding` of `{shortened(name)}` must hold a `form` ({', '.join(NAMES)}), a `dtype` as F32, "
        "a `shape` and its `bytes`."
    )

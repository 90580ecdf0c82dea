"""Tensors to bytes and back, by their bits: what comes back is what went in, to the last bit.

Tensors are of any shape and dtype.
"""

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fovea.compression.coding import forms
from fovea.compression.coding.bits import Bits
from fovea.compression.coding.description import BYTES_OF, Coding, Entry
from fovea.errors import BundleError

STORED = "coded"
"""Names the tensor of bytes; longer where a tensor of the network has this name."""
DTYPES: Mapping[str, torch.dtype] = {
    **{"BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "U16": torch.uint16, "I16": torch.int16},
    **{"U32": torch.uint32, "I32": torch.int32, "U64": torch.uint64, "I64": torch.int64},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"F32": torch.float32, "F64": torch.float64, "C64": torch.complex64},
}
NAMES: Mapping[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}
LEAST_SAVED = 64
"""Bytes: the line in the card takes about as many more than that of the file's header."""


def encode(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Coding | None]:
    """Return the tensors to store instead of contiguous ones on the CPU, and what the card has to say of them.

    What coding makes shorter stands in one tensor of bytes, the rest as it is; None if that is all.
    """
    stored: dict[str, Tensor] = {}
    entries: dict[str, Entry] = {}
    parts: list[bytes] = []
    for name, tensor in tensors.items():
        shape = tuple(tensor.shape)
        found = forms.coded(_bits(tensor), shape) if tensor.dtype in NAMES else None
        if found is None or len(found[1]) + LEAST_SAVED > tensor.nbytes:
            stored[name] = tensor
            continue
        form, raw = found
        entries[name] = Entry(form=form, dtype=NAMES[tensor.dtype], shape=shape, bytes=len(raw))
        parts.append(raw)
    if not entries:
        return stored, None
    content, name = b"".join(parts), STORED
    while name in tensors:
        name += "_"
    stored[name] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return stored, Coding(stored=name, crc32=zlib.crc32(content), tensors=entries)


def decode(stored: Mapping[str, Tensor], coding: Coding) -> dict[str, Tensor]:
    """Return all tensors of a file that holds `stored`, whose `coding` has been checked.

    Raises: BundleError if the bytes are not those that were written.
    """
    tensors = {name: tensor for name, tensor in stored.items() if name != coding.stored}
    found = stored.get(coding.stored)
    if found is None or found.dtype != torch.uint8 or found.shape != (coding.bytes,):
        raise BundleError(f"it has no {coding.bytes} bytes of coded tensors")
    content = found.numpy()
    if zlib.crc32(content.tobytes()) != coding.crc32:
        raise BundleError("its coded tensors are damaged (checksum)")
    start = 0
    for name, entry in coding.tensors.items():
        dtype = np.dtype(f"u{BYTES_OF[entry.dtype]}")
        raw = content[start : start + entry.bytes]
        start += entry.bytes
        try:
            bits = forms.decoded(entry.form, raw, entry.shape, dtype)
        except BundleError as error:
            raise BundleError(f"the coded bytes of `{name}` {error}") from error
        tensors[name] = _tensor(bits, entry)
    return tensors


def _bits(tensor: Tensor) -> Bits:
    """Return the elements in one row, each as an unsigned number of its bits."""
    raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return raw.view(np.dtype(f"u{tensor.element_size()}"))


def _tensor(bits: Bits, entry: Entry) -> Tensor:
    return torch.from_numpy(bits.view(np.uint8)).view(DTYPES[entry.dtype]).reshape(entry.shape)

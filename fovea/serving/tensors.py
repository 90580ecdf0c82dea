"""Tensors of the Open Inference Protocol, version 2: as JSON, and as bytes behind it (the binary tensor extension)."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.errors import shortened
from fovea.serving.refusal import Refusal

DATATYPES = {
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{"float16": "FP16", "float32": "FP32", "float64": "FP64"},
}
"""What the protocol calls the types of NumPy."""
MOST_TENSORS = 16
Tensor = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One output that a request asks for."""

    name: str
    binary: bool


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """What a request says: its inputs by name, and which outputs it wants; all, where it names none."""

    inputs: Mapping[str, Tensor]
    wanted: Sequence[Wanted] = ()
    binary: bool = False
    """Whether outputs that say nothing of it come as bytes."""
    id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def parse_infer(body: bytes, header_length: str | None) -> InferRequest:
    """Return the request in a body, whose first `header_length` bytes are JSON; all of it, where that is None.

    Raises: Refusal (400) for what the protocol does not allow.
    """
    length = len(body)
    if header_length is not None:
        if not re.fullmatch("[0-9]{1,12}", header_length) or int(header_length) > len(body):
            raise Refusal(
                400, ("`Inference-Header-Content-Length` must be the length of the JSON at the start of the body.")
            )
        length = int(header_length)
    said = _object(body[:length])
    given, wanted = _list(said, "inputs"), _list(said, "outputs") if "outputs" in said else []
    inputs: dict[str, Tensor] = {}
    at = length
    for entry in given:
        name = _text(entry, "name")
        inputs[name], at = _tensor(entry, name, body, at)
    if at != len(body):
        raise Refusal(400, f"The body has {len(body) - at:,} bytes more than its inputs need.")
    parameters = said.get("parameters", {})
    if not isinstance(parameters, dict) or not isinstance(said.get("id", ""), str):
        raise Refusal(400, "`parameters` must be an object and `id` a string.")
    binary = parameters.get("binary_data_output") is True
    return InferRequest(
        inputs=inputs,
        wanted=[_wanted(entry, binary) for entry in wanted],
        binary=binary,
        id=said.get("id", ""),
        parameters=parameters,
    )


def written(head: dict[str, Any], outputs: Sequence[tuple[str, Tensor, bool]]) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON where bytes follow.

    `outputs` are names, tensors (N, ...) of any dtype in `DATATYPES`, and whether they come as bytes.
    """
    entries, tail = [], []
    for name, tensor, binary in outputs:
        entry: dict[str, Any] = {
            "name": name,
            "datatype": DATATYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
        }
        if binary:
            tail.append(tensor.tobytes())
            entry["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            entry["data"] = tensor.ravel().tolist()
        entries.append(entry)
    text = json.dumps({**head, "outputs": entries}, allow_nan=False).encode()
    return b"".join((text, *tail)), len(text) if tail else None


def _tensor(entry: Mapping[str, Any], name: str, body: bytes, at: int) -> tuple[Tensor, int]:
    """Return a tensor, of its JSON or of the bytes from `at`, and where the bytes of the next begin."""
    shown = f"input `{shortened(name)}`"
    dtype = next((np.dtype(own) for own, known in DATATYPES.items() if known == entry.get("datatype")), None)
    shape = entry.get("shape")
    if dtype is None:
        raise Refusal(
            400, (f"The {shown} has the datatype `{shortened(entry.get('datatype'))}`, which is not supported.")
        )
    if not isinstance(shape, list) or len(shape) > 8 or not all(type(side) is int and side >= 0 for side in shape):
        raise Refusal(400, f"The `shape` of the {shown} must be a list of whole numbers.")
    count, parameters = math.prod(shape), entry.get("parameters", {})
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return _from_json(entry.get("data"), dtype, shape, shown), at
    if type(size) is not int or size != count * dtype.itemsize or at + size > len(body):
        raise Refusal(400, f"The {shown} of shape {shape} needs {count * dtype.itemsize:,} bytes after the JSON.")
    return np.frombuffer(body, dtype, count, at).reshape(shape), at + size


def _from_json(data: Any, dtype: np.dtype[Any], shape: Sequence[int], shown: str) -> Tensor:
    try:
        values = np.array(data)
        if values.dtype.kind not in "biuf" or values.size != math.prod(shape):
            raise ValueError
        if values.size and dtype.kind in "iu" and (values.dtype.kind == "f" or not _fits(values, dtype)):
            raise ValueError
        return values.astype(dtype).reshape(shape)
    except (ValueError, OverflowError, TypeError):
        raise Refusal(400, f"The `data` of the {shown} must be {math.prod(shape):,} numbers of its datatype.") from None


def _fits(values: Tensor, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= int(values.min()) and int(values.max()) <= limits.max)


def _wanted(entry: Mapping[str, Any], binary: bool) -> Wanted:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict) or "classification" in parameters:
        raise Refusal(400, "`classification` is not supported; `/predict` returns class names.")
    own = parameters.get("binary_data")
    return Wanted(name=_text(entry, "name"), binary=binary if own is None else own is True)


def _object(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(400, "The body must start with a JSON object.") from None
    if not isinstance(said, dict):
        raise Refusal(400, "The body must start with a JSON object.")
    return said


def _list(said: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = said.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refusal(400, f"`{name}` must be a list of objects.")
    if len(entries) > MOST_TENSORS:
        raise Refusal(400, f"`{name}` has {len(entries)} entries; the limit is {MOST_TENSORS}.")
    return entries


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise Refusal(400, f"Each input and output needs a `{name}`.")
    return value

"""The header of a model file: its card and the shapes of its tensors, checked before anything uses them.

A model file is one `.safetensors` with a JSON card under the metadata key `fovea`; docs/bundle.md describes the card.
The standard library is enough to read it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fovea.errors import BundleError, StorageError

FORMAT = 1
"""The newest card format this version writes and reads."""

MAX_HEADER_BYTES = 16 << 20
MAX_CARD_LENGTH = 1_000_000
MAX_TEMPERATURE = 1e6
MAX_TENSORS = 20_000
MAX_DEPTH = 32
"""Nesting of the card: nothing honest comes near, and deep JSON exhausts the stack of whoever walks it."""

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "architecture": str,
    "arguments": dict,
    "task": str,
    "outputs": int,
    "loss": str,
    "preprocess": dict,
    "classes": list,
    "temperature": (int, float),
}
"""What every card has."""

_SECTIONS: dict[str, type] = {"calibration": dict, "training": dict, "origin": dict, "licences": dict, "results": list}
"""What a card may have, for people and for comparing; what stands in them is not checked."""


class Header(NamedTuple):
    """What a model file says of itself before its tensors."""

    card: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    """The shape of each tensor by its name in the network."""


def read_card(path: str | Path) -> dict[str, Any]:
    """Return the card of the file `path` without reading its tensors; errors as `load`."""
    return read_header(path).card


def read_header(path: str | Path) -> Header:
    """Return the card and the tensor shapes of the file `path`; errors as `load`."""
    path = Path(path)
    if path.is_dir():
        inside = path / "model.safetensors"
        raise BundleError(f"`{path}` is a folder; a model is one file" + (f": `{inside}`." if inside.exists() else "."))
    try:
        with path.open("rb") as file:
            raw, data_bytes = _raw_header(file, path)
    except OSError as error:
        raise StorageError(f"`{path}` cannot be read: {error.strerror}.") from error
    header = _json(raw, path, what="header")
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(text := metadata.get("fovea"), str):
        raise BundleError(
            f"`{path.name}` is a safetensors file but not of Fovea: it has no `fovea` entry in its metadata."
        )
    if len(text) > MAX_CARD_LENGTH:
        raise BundleError(f"`{path.name}`: its card has {len(text)} characters; at most {MAX_CARD_LENGTH} are read.")
    shapes = _shapes(header, data_bytes, path=path)
    card = _json(text, path, what="card")
    check_card(card, path)
    return Header(card, shapes)


def card_text(card: dict[str, Any], path: Path) -> str:
    """Return `card` as the JSON that `read_card` accepts.

    Raises:
        BundleError: it would not be accepted.
    """
    check_card(card, path)
    try:
        text = json.dumps(card, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BundleError(f"The card of `{path.name}` must hold JSON values only: {first_line(error)}.") from error
    if len(text) > MAX_CARD_LENGTH:
        raise BundleError(f"The card of `{path.name}` has {len(text)} characters; at most {MAX_CARD_LENGTH} fit.")
    return text


def check_card(card: dict[str, Any], path: Path) -> None:
    """Raise BundleError unless `card` has all that loading needs, each of its type."""
    number = card.get("format")
    if type(number) is int and number > FORMAT:
        raise BundleError(f"`{path.name}` has format {number}, this version reads up to {FORMAT}: upgrade Fovea.")
    for key, kind in _FIELDS.items():
        if not isinstance(card.get(key), kind) or isinstance(card[key], bool):
            raise BundleError(f"`{path.name}`: the card's `{key}` is missing or of the wrong type.")
    _check_sections(card, path)
    task, loss, classes, outputs = card["task"], card["loss"], card["classes"], card["outputs"]
    expected = {
        ("classes", "cross-entropy"): len(classes),
        ("classes", "binary"): 1 if len(classes) == 2 else None,
        ("number", "mse"): None if classes else 1,
    }.get((task, loss))
    if outputs != expected or outputs != card["arguments"].get("classes", outputs):
        raise BundleError(
            f"`{path.name}`: task `{task}`, loss `{loss}`, {outputs} outputs and {len(classes)} classes contradict."
        )
    target = card.get("target") if task == "number" else {"mean": 0.0, "std": 1.0}
    if not isinstance(target, dict) or not all(isinstance(target.get(key), float | int) for key in ("mean", "std")):
        raise BundleError(f"`{path.name}`: `target` must hold the `mean` and `std` of the numbers to predict.")
    if len({name for name in classes if isinstance(name, str)}) != len(classes):
        raise BundleError(f"`{path.name}`: `classes` must be distinct names.")
    ids = card.get("class_ids", classes)
    if not isinstance(ids, list) or len({name for name in ids if isinstance(name, str)}) != len(classes):
        raise BundleError(f"`{path.name}`: `class_ids` must be as many distinct names as there are `classes`.")
    if not 0 < card["temperature"] <= MAX_TEMPERATURE:
        raise BundleError(
            f"`{path.name}`: `temperature` (={card['temperature']}) must lie above 0, up to {MAX_TEMPERATURE:g}."
        )


def _check_sections(card: dict[str, Any], path: Path) -> None:
    wrong = [key for key, kind in _SECTIONS.items() if not isinstance(card.get(key, kind()), kind)]
    if not wrong and not isinstance(card.get("training", {}).get("data", {}), dict):
        wrong = ["training.data"]
    if not wrong and not all(isinstance(result, dict) for result in card.get("results", [])):
        wrong = ["results"]
    if wrong:
        raise BundleError(f"`{path.name}`: the card's `{wrong[0]}` is of the wrong type.")


def _raw_header(file: BinaryIO, path: Path) -> tuple[bytes, int]:
    """Return the header's JSON and the number of bytes after it, reading no more than the file holds."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{":
        raise BundleError(f"`{path.name}` is {_kind(start)}.")
    if length > MAX_HEADER_BYTES:
        raise BundleError(f"`{path.name}` announces a header of {length} bytes; at most {MAX_HEADER_BYTES} are read.")
    if length > size - 8:
        raise BundleError(f"`{path.name}` is truncated: its header has {length} bytes, {size - 8} are there.")
    return b"{" + file.read(length - 1), size - 8 - length


def _kind(start: bytes) -> str:
    """Return what a file is that begins like this and not like a model file."""
    if start.startswith((b"PK", b"\x80")):
        return "a pickle or zip archive, which can run code, and is never unpickled: convert it to safetensors"
    return "not a safetensors file" if len(start) == 9 else "empty or truncated"


def _json(text: str | bytes, path: Path, *, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"`{path.name}`: its {what} is not valid JSON ({first_line(error)}).") from error
    if not isinstance(value, dict):
        raise BundleError(f"`{path.name}`: its {what} must be a JSON object.")
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
    if level:
        raise BundleError(f"`{path.name}`: its {what} is nested more than {MAX_DEPTH} deep.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _shapes(header: dict[str, Any], data_bytes: int, *, path: Path) -> dict[str, tuple[int, ...]]:
    """Return the tensors' shapes after checking that their bytes fill the file exactly."""
    if len(header) > MAX_TENSORS:
        raise BundleError(f"`{path.name}` lists {len(header)} tensors; at most {MAX_TENSORS} are read.")
    try:
        shapes = {name: tuple(int(length) for length in entry["shape"]) for name, entry in header.items()}
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise BundleError(f"`{path.name}`: its table of tensors is damaged.") from error
    if end != data_bytes:
        word = "truncated" if end > data_bytes else "damaged"
        raise BundleError(f"`{path.name}` is {word}: its tensors need {end} bytes, it has {data_bytes}.")
    return shapes


def first_line(error: BaseException) -> str:
    """Return the message of an error without what follows its first line."""
    return (str(error) or type(error).__name__).splitlines()[0]

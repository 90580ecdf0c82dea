"""A model file before its tensors: the card, and the shapes of the tensors, checked before anything uses them.

A model file is one `.safetensors` with the JSON of a card under the metadata key `fovea`. The engine is not needed.
"""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fovea.budget import WEIGHTS
from fovea.card import Card, card_values
from fovea.compression.coding.description import Coding
from fovea.errors import BundleError, StorageError, listed, unreadable
from fovea.files import check_regular, check_there, is_file
from fovea.retrieval import SUFFIX as INDEX
from fovea.tensor_file import MAX_TENSORS, read_table

EXPORTED = ".onnx"
"""The suffix of exported networks, which have another container: `fovea.runtime` reads it."""
OF_A_RUN = "model.safetensors"
"""What the model file in a run folder is called."""


class Header(NamedTuple):
    """What a model file says of itself before its tensors."""

    card: Card
    shapes: dict[str, tuple[int, ...]]
    """The shape of each tensor by its name in the network, coded or not."""


def model_file(path: str | Path) -> Path:
    """Return the model file that a path stands for: the one in it where it is a run folder, else the path itself."""
    inside = Path(path) / OF_A_RUN
    return inside if is_file(inside) else Path(path)


def read_card(path: str | Path) -> Card:
    """Return the card of the file `path` without reading its tensors; errors as `load`."""
    return read_header(path).card


def read_header(path: str | Path) -> Header:
    """Return the card and the tensor shapes of the file `path`; errors as `load`."""
    values, shapes = read_values(path)
    return Header(Card.from_dict(values, source=Path(path).name), shapes)


def read_values(path: str | Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Return the card as checked JSON, usable here or not, and the tensor shapes of the file `path`."""
    path = model_file(path)
    if path.is_dir():
        raise BundleError(f"`{path}` is a folder without a `{OF_A_RUN}`: give a model file, or a run that has one.")
    check_there(path)
    if is_exported(path):
        raise BundleError(
            f"`{path.name}` is an exported network, which works with predict, evaluate, info and serve. This "
            "command needs the model file (.safetensors) that it was made from."
        )
    if path.suffix == INDEX:
        raise BundleError(f"`{path.name}` is an index; give the model file (.safetensors) it was made with.")
    check_regular(path)
    try:
        with path.open("rb") as file:
            return _values(file, os.fstat(file.fileno()).st_size, path=path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise unreadable(path, error) from error


def is_exported(path: str | Path) -> bool:
    """Tell whether a path is that of an exported network, by its suffix."""
    return Path(path).suffix.lower() == EXPORTED


def header_in(content: bytes, path: Path) -> Header:
    """Return the header of a model file that is about to be written to `path`; errors as `load`."""
    values, shapes = _values(io.BytesIO(content), len(content), path=path)
    return Header(Card.from_dict(values, source=path.name), shapes)


def _values(file: BinaryIO, size: int, *, path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Return the card as checked JSON, and the tensor shapes, of an open file of `size` bytes."""
    metadata, entries = read_table(file, size, path.name)
    if metadata is None or not isinstance(text := metadata.get("fovea"), str):
        raise BundleError(
            f"`{path.name}` is a safetensors file, but not written by Fovea: it has no `fovea` entry in its metadata."
        )
    shapes = {name: entry.shape for name, entry in entries.items()}
    values = card_values(text, path.name)
    return values, _decoded_shapes(values["coding"], shapes, path=path) if values.get("coding") else shapes


def _decoded_shapes(
    values: dict[str, Any], shapes: dict[str, tuple[int, ...]], *, path: Path
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors, from what the card says of those that are coded; nothing is decoded."""
    try:
        coding = Coding.from_dict(values)
    except BundleError as error:
        raise BundleError(f"`{path.name}`: {error}") from error
    if shapes.pop(coding.stored, None) != (coding.bytes,):
        raise BundleError(f"`{path.name}` is damaged: it has no {coding.bytes} bytes of coded tensors.")
    if twice := shapes.keys() & coding.tensors.keys():
        raise BundleError(f"`{path.name}` has tensors stored both coded and plain: {listed(twice)}.")
    if len(shapes) + len(coding.tensors) > MAX_TENSORS:
        raise BundleError(f"`{path.name}` lists more than {MAX_TENSORS} tensors.")
    if excess := WEIGHTS.excess(coding.decoded_bytes):
        raise BundleError(f"`{path.name}`: its coded tensors would need {excess}.")
    return shapes | {name: entry.shape for name, entry in coding.tensors.items()}

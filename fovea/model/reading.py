"""Weights files of any library as tensors by name: nothing in them runs, and what cannot be read is reported."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from fovea.data.sources.download import checksum_of
from fovea.errors import BundleError, first_line, unreadable
from fovea.files import check_regular, utf8_path
from fovea.model.container import read_card
from fovea.model.keras import read_keras
from fovea.model.tensors import decoded

SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".h5")
HOLDERS = (
    *("state_dict", "model", "model_state_dict", "module", "net", "network", "weights", "params"),
    *("ema", "model_ema", "state_dict_ema", "ema_state_dict", "ema_model", "params_ema"),
)
"""What the tensors stand under in others' files. The first that holds some is taken: moving averages come last."""
MAX_DEPTH = 8
"""Of such keys in each other."""
MAX_NAME = 1000
"""Characters of a tensor's name."""
FOREIGN = re.compile(r"(?:GLOBAL|class) ([A-Za-z_][\w.]{0,100})")
"""How PyTorch names, in its refusal, the object that only running code could restore."""


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """The tensors of a file under the names they have there, and its card where it is a model file of ours."""

    path: Path
    tensors: Mapping[str, Tensor]
    sha256: str
    card: Mapping[str, Any] | None = None


def read_weights(path: str | Path) -> WeightsFile:
    """Return the tensors in a `.pth` of torchvision, a `.safetensors` of timm, a `.h5` of Keras, or a file of ours.

    Nothing in the file runs. Tensors come to the CPU; keys around them, as `state_dict` or `model`, are taken off.

    Raises:
        BundleError: the file is damaged or holds something else.
        StorageError: the file cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BundleError(f"`{path.name}` is not a supported weights file; supported are {', '.join(SUFFIXES)}.")
    check_regular(path)
    try:
        sha256 = checksum_of(path, "sha256").partition(":")[2]
    except OSError as error:
        raise unreadable(path, error) from error
    card = None
    if suffix == ".safetensors":
        tensors, card = _safetensors(path), card_of(path)
        tensors = decoded(tensors, card.get("coding", {})) if card is not None else tensors
    else:
        tensors = read_keras(path) if suffix == ".h5" else _state_dict(_loaded(path), path)
    _check_names(tensors, path)
    return WeightsFile(path=path, sha256=sha256, tensors=tensors, card=card)


def card_of(path: str | Path) -> Mapping[str, Any] | None:
    """Return the card of a model file of ours; None for another library's. Errors as `read_weights`."""
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        with utf8_path(path) as named, safe_open(named, framework="pt") as file:
            ours = "fovea" in (file.metadata() or {})
    except SafetensorError as error:
        raise BundleError(f"`{path.name}` is damaged: {first_line(error)}.") from error
    except OSError as error:
        raise unreadable(path, error, reason=first_line(error)) from error
    return read_card(path) if ours else None


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with utf8_path(path) as named:
            return load_file(named)
    except Exception as error:  # a damaged file: its library and PyTorch raise whatever they meet
        raise _damaged(path, first_line(error).partition(". ")[0]) from error


def _loaded(path: Path) -> object:
    """Return what a file of `torch.save` holds: tensors, numbers and text, in lists and mappings."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if zipped:
        _check_zip(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickle protocols: whether they can be read is seen at once
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file: PyTorch raises whatever it meets
        if foreign := FOREIGN.search(str(error)):
            raise BundleError(
                f"`{path.name}` contains more than tensors: an object of `{foreign[1]}`, which only code can "
                "restore. Nothing in the file was used or run. Where it was made, save only its `state_dict()`."
            ) from error
        pickled = isinstance(error, RuntimeError) and not isinstance(error, pickle.UnpicklingError) and zipped
        found = first_line(error).partition(". ")[0] if pickled else "it is not a pickle of tensors only"
        raise _damaged(path, found) from error


def _check_zip(path: Path) -> None:
    """Raise BundleError for an archive that is cut short, or would take more memory than it has bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:  # a damaged archive: `zipfile` raises whatever it meets
        raise _damaged(path, "it is incomplete, or its table of contents is damaged") from error
    if needed > path.stat().st_size:
        raise BundleError(
            f"`{path.name}` is compressed: {path.stat().st_size} bytes would expand to {needed}. PyTorch does not "
            "compress; save it again with `torch.save`."
        )


def _damaged(path: Path, reason: str) -> BundleError:
    return BundleError(
        f"`{path.name}` is an incomplete download or not a weights file, and nothing in it was used or run: "
        f"{reason.rstrip('.:')}. Download it again."
    )


def _state_dict(loaded: object, path: Path) -> dict[str, Tensor]:
    """Return the tensors in what a `.pth` holds; numbers and text beside them, as the epoch, are passed over."""
    found = _found(loaded, MAX_DEPTH)
    if not found:
        raise BundleError(
            f"`{path.name}` contains no state dict: a mapping from names to tensors, either alone or under a common "
            "key such as `state_dict` or `model`."
        )
    return found


def _found(value: object, depth: int) -> dict[Any, Tensor] | None:
    """Return the tensors of a mapping, or of the first mapping under a usual key that has some."""
    if not isinstance(value, Mapping) or not depth:
        return None
    inner = (_found(value[key], depth - 1) for key in HOLDERS if key in value)
    first = next((tensors for tensors in inner if tensors), None)
    return first or {name: item for name, item in value.items() if isinstance(item, Tensor)}


def _check_names(tensors: Mapping[Any, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise BundleError(
                f"`{path.name}` names a tensor by {str(name)[:20]!r}, of type `{type(name).__name__}`: names must "
                "be a string. Where it was made, save a `state_dict()`."
            )
        if len(name) > MAX_NAME:
            raise BundleError(f"`{path.name}` has a name of {len(name)} characters; the limit is {MAX_NAME}.")
        if tensor.is_meta or tensor.layout != torch.strided:
            raise BundleError(f"`{path.name}`: `{name}` is not a dense tensor with values; save it as one.")

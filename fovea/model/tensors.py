"""The tensors of a model file as it holds them: as they are, or coded without loss where the card says so.

Tensors are of any shape and dtype.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from fovea.card import Card
from fovea.compression.coding.description import Coding
from fovea.compression.coding.tensors import decode, encode
from fovea.files import utf8_path


def uncoded(tensors: Mapping[str, Tensor], card: Card) -> tuple[Mapping[str, Tensor], Card]:
    """Return what a file of these contiguous tensors holds, each as it is."""
    return tensors, card.uncoded()


def coded(tensors: Mapping[str, Tensor], card: Card) -> tuple[Mapping[str, Tensor], Card]:
    """Return what a file of these contiguous tensors holds where they are coded: fewer bytes of the same values."""
    stored, coding = encode(tensors)
    return uncoded(tensors, card) if coding is None else (stored, replace(card, coding=coding.to_dict()))


def read_tensors(path: Path, coding: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors in a `.safetensors` whose header, and what its card calls `coding`, were checked.

    Raises:
        BundleError: coded tensors are damaged; the message continues after the name of the file.
        SafetensorError: the container is.
    """
    with utf8_path(path) as named:
        return decoded(load_file(named), coding)


def decoded(tensors: dict[str, Tensor], coding: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of which a file holds these; errors as `read_tensors`."""
    return decode(tensors, Coding.from_dict(coding)) if coding else tensors

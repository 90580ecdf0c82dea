"""A model file as one ONNX file: written only when it is proven."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fovea import inputs
from fovea.card import Card
from fovea.errors import UsageError
from fovea.exporting.assembly import assembled, with_card
from fovea.exporting.core import float_core
from fovea.exporting.grids import grid_of
from fovea.exporting.half import OBSERVED, halved
from fovea.exporting.library import check_installed
from fovea.exporting.proof import Proof, prove
from fovea.exporting.reference import network_logits, reference
from fovea.exporting.samples import Samples, generated
from fovea.exporting.settings import PLAIN, ExportSettings
from fovea.model.bundle import Bundle
from fovea.storage import page_path, write_atomically

if TYPE_CHECKING:
    from onnx import ModelProto

LARGEST = 2**31 - 1
"""Bytes of one ONNX file."""
SECOND_SIZE = 1.25
"""With the size left open, the graph is also proven at about so many times the size of the input."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file that was written, and what is known of it."""

    path: Path
    bytes: int
    seconds: float
    """That the export took, the proof counted."""
    settings: ExportSettings
    proof: Proof
    card: Card
    """With the key `export`."""


def export_onnx(
    bundle: Bundle, path: str | Path, *, settings: ExportSettings = PLAIN, samples: Samples | None = None
) -> Exported:
    """Write a network as one proven ONNX file, with preprocessing, decoding and card inside.

    `samples` are what it is proven on; generated ones where there are none.

    Raises:
        ProofError: the graph does not compute what the network does, or that cannot be shown; nothing is written.
        UsageError: the network cannot be written as such a graph, or there is no folder for the file.
        MissingDependencyError: the extra `export` is not installed.
        StorageError: the file cannot be written.
    """
    began = time.perf_counter()
    path = page_path(path, option="out")
    content, proof, card = proven(bundle, settings=settings, samples=samples)
    write_atomically(path, content)
    seconds = time.perf_counter() - began
    return Exported(path=path, bytes=len(content), seconds=seconds, settings=settings, proof=proof, card=card)


def proven(
    bundle: Bundle,
    *,
    settings: ExportSettings = PLAIN,
    samples: Samples | None = None,
    core: "ModelProto | None" = None,
) -> tuple[bytes, Proof, Card]:
    """Return the content of the file that `export_onnx` writes, its proof, and the card inside; errors as there.

    `core` is that of `float_core`, where it is made already.
    """
    check_installed()
    _check(bundle, settings)
    expected = reference(bundle, samples or generated(bundle.preprocess))
    if core is None:
        core = float_core(bundle.model, bundle.preprocess.shape, dynamic_size=settings.dynamic_size)
    kept: list[str] = []
    if settings.precision == "float16":
        core, kept = halved(core, bundle.preprocess.normalise(expected.samples.stored[:OBSERVED]))
    model = assembled(core, bundle.card, settings)
    content = serialised(model)
    proof = prove(content, expected, settings)
    if settings.dynamic_size:
        proof = _proven_at_another_size(content, bundle, proof, settings)
    card = with_export(bundle.card, settings, proof, kept=kept, grid=grid_of(bundle.model))
    return serialised(with_card(model, card)), proof, card


def serialised(model: "ModelProto") -> bytes:
    """Return an ONNX model as bytes. Raises: UsageError if it is larger than one file can be."""
    if model.ByteSize() > LARGEST:
        raise UsageError(
            f"The exported file would have {model.ByteSize():,} bytes; the limit of one ONNX file is {LARGEST:,}."
        )
    content: bytes = model.SerializeToString()
    return content


def with_export(
    card: Card,
    settings: ExportSettings,
    proof: Proof,
    *,
    kept: Sequence[str] = (),
    grid: Mapping[str, Any] = MappingProxyType({}),
) -> Card:
    """Return the card with the key `export`: what the file is, how it was proven, and which nodes are `kept` float.

    `grid` is what `grid_of` says.
    """
    export = {**settings.to_dict(), **grid, **({"kept_float": list(kept)} if kept else {}), "proof": proof.to_dict()}
    return Card(**{**vars(card.uncoded()), "other": {**card.other, "export": export}})


def _check(bundle: Bundle, settings: ExportSettings) -> None:
    kind = inputs.kind_of(bundle.preprocess)
    if settings.dynamic_size and not kind.pictures:
        raise UsageError(f"`--dynamic-size` works only for images, and this model takes {kind.nouns}; leave it out.")
    if settings.precision == "float16" and grid_of(bundle.model):
        raise UsageError("This network is already quantised to int8; leave out `--half`.")
    if settings.dynamic_size:
        try:
            network_logits(bundle, _other_size(bundle, count=1).stored)
        except Exception as error:  # a network may raise anything
            raise UsageError("This network has a fixed input size; leave out `--dynamic-size`.") from error


def _proven_at_another_size(content: bytes, bundle: Bundle, proof: Proof, settings: ExportSettings) -> Proof:
    samples = _other_size(bundle, count=8)
    other = prove(content, reference(bundle, samples), settings)
    worse = max((proof, other), key=lambda each: each.largest_difference / each.scale)
    sizes = [list(samples.stored.shape[1:3])]
    return replace(proof, largest_difference=worse.largest_difference, scale=worse.scale, sizes=sizes)


def _other_size(bundle: Bundle, *, count: int) -> Samples:
    H, W = (round(SECOND_SIZE * side) for side in bundle.preprocess.stored_shape[:2])
    return generated(bundle.preprocess, count=count, size=(H, W))

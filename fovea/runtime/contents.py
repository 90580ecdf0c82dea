"""Whether an `.onnx` file is an export of Fovea's, and its card and its graph say the same."""

import json
from dataclasses import dataclass
from typing import Any

from fovea import inputs
from fovea.budget import INPUT
from fovea.card import Card
from fovea.errors import BundleError, shortened
from fovea.runtime.onnx_file import OnnxFile, Value
from fovea.runtime.walk import Plan, planned

PRECISIONS = ("float32", "float16", "int8")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is known of a checked file."""

    card: Card
    input: str
    """The name of the input."""
    outputs: tuple[str, ...]
    """The names of the decoded rows, the logits, and, of labels, of those that are present."""
    columns: tuple[int, ...]
    """How many columns each of the first two outputs has."""
    batch: int | None
    """How many samples it takes at a time; None for any number."""
    sample_bytes: int
    """What it holds at a time for one sample."""
    plan: Plan
    """What it takes for as many samples as are asked about."""


def card_in(file: OnnxFile) -> Card:
    """Return the card of an `.onnx` file. Raises: BundleError where it has none, or cannot be used."""
    text = file.metadata.get("fovea")
    if text is None:
        raise BundleError(
            f"`{file.source}` is an ONNX file but not of Fovea: it has no `fovea` entry in its metadata. "
            "`fovea export MODEL` writes such files."
        )
    card = Card.parse(text, file.source)
    _check_copies(file, card)
    return card


def check_contents(file: OnnxFile) -> Contents:
    """Return what is known of a file whose graph and card go together.

    Raises: BundleError where they contradict, or the graph may do more than a network needs to.
    """
    card = card_in(file)
    _check_export(file, card)
    given = _input(file, card)
    outputs = _outputs(file, card)
    columns = (len(card.target.classes) or 1, card.target.outputs)
    batch = given.shape[0] if isinstance(given.shape[0], int) else None
    plan = planned(file, given, card.preprocess.stored_shape)
    sample_bytes = plan.needs(batch or 1).bytes // (batch or 1)
    if excess := INPUT.excess(sample_bytes):
        raise BundleError(f"`{file.source}`: one sample would take {excess}.")
    plan.check_batch(batch or 1)
    return Contents(
        card=card,
        input=given.name,
        outputs=outputs,
        columns=columns,
        batch=batch,
        sample_bytes=sample_bytes,
        plan=plan,
    )


def _check_copies(file: OnnxFile, card: Card) -> None:
    """Raise BundleError where what the metadata repeats of the card is something else."""
    for key, own in (("classes", list(card.target.classes)), ("preprocess", card.preprocess.to_dict())):
        if key not in file.metadata:
            continue
        try:
            said: Any = json.loads(file.metadata[key])
        except (ValueError, RecursionError):
            said = None
        if said != own:
            raise BundleError(f"`{file.source}`: `{key}` in its metadata contradicts its card; export it again.")


def _check_export(file: OnnxFile, card: Card) -> None:
    export = card.other.get("export")
    if not isinstance(export, dict):
        raise BundleError(f"`{file.source}`: its card does not say how it was exported; export it again.")
    if export.get("raw", False):
        raise BundleError(
            f"`{file.source}` was exported with `--raw`: logits of float input, for other tools. "
            "Export it without that option to predict with it here."
        )
    if export.get("precision") not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise BundleError(f"`{file.source}`: its card names no precision that is known here ({known}).")


def _input(file: OnnxFile, card: Card) -> Value:
    """Return the one input, which is what the card's preprocessing makes."""
    own = [value for value in file.inputs if value.name not in file.tensors]
    if len(own) != 1 or len(file.inputs) != 1:
        raise BundleError(f"`{file.source}` takes {len(file.inputs)} inputs, and an export of Fovea takes one.")
    (value,) = own
    shape, dtype = card.preprocess.stored_shape, card.preprocess.dtype
    nouns = inputs.kind_of(card.preprocess).nouns
    if value.dtype != dtype or len(value.shape) != len(shape) + 1 or not _fits(value.shape[1:], shape):
        made = "x".join(map(str, shape))
        taken = "x".join(str(length) or "?" for length in value.shape[1:])
        raise BundleError(
            f"`{file.source}` takes {value.dtype} of {taken}, and its card announces {nouns}: {dtype} of {made}."
        )
    if value.shape[0] == 0:
        raise BundleError(f"`{file.source}` takes batches of no sample.")
    return value


def _fits(taken: tuple[int | str, ...], made: tuple[int, ...]) -> bool:
    """Tell whether lengths are those of the samples, or open."""
    return all(isinstance(length, str) or length == own for length, own in zip(taken, made, strict=True))


def _outputs(file: OnnxFile, card: Card) -> tuple[str, ...]:
    """Return the names of the outputs, whose number, types and columns are those of the card's task."""
    columns = len(card.target.classes) or 1
    wanted = [(card.target.row_name, "float32", columns), ("logits", "float32", card.target.outputs)]
    if card.target.several:
        wanted.append(("present", "bool", columns))
    found = [(value.name, value.dtype) for value in file.outputs]
    if found != [(name, dtype) for name, dtype, _ in wanted]:
        said = ", ".join(shortened(name, most=30) for name, _ in found[:5]) or "none"
        expected = ", ".join(name for name, _, _ in wanted)
        raise BundleError(f"`{file.source}` has the outputs {said}; its card announces {expected}.")
    for value, (name, _, columns) in zip(file.outputs, wanted, strict=True):
        if len(value.shape) != 2 or not _fits(value.shape[1:], (columns,)):
            raise BundleError(
                f"`{file.source}`: its output `{name}` is of {value.shape}, and its card announces (N, {columns})."
            )
    return tuple(value.name for value in file.outputs)

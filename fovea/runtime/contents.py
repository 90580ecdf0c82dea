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
from fovea.shapes import Shape

PRECISIONS = ("float32", "float16", "int8")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is known of a checked file."""

    card: Card
    input: str
    """The name of the input."""
    outputs: tuple[str, ...]
    """The names of the decoded rows, the logits, and, of labels, of those that are present.

    Where a file holds no decoded rows, that of the logits stands for them.
    """
    rows: tuple[Shape, ...]
    """The shape of each of the first two outputs for one sample; None for a length that depends on the network."""
    batch: int | None
    """How many samples it takes at a time; None for any number."""
    sample_bytes: int
    """What it holds at a time for one sample."""
    plan: Plan
    """What it takes for as many samples as are asked about."""


def card_in(file: OnnxFile) -> Card:
    """Return the card of an `.onnx` file. Raises: BundleError if it has none, or cannot be used."""
    text = file.metadata.get("fovea")
    if text is None:
        raise BundleError(
            f"`{file.source}` is an ONNX file, but not written by Fovea: it has no `fovea` entry in its metadata. "
            "`fovea export MODEL` writes such files."
        )
    card = Card.parse(text, file.source)
    _check_copies(file, card)
    return card


def check_contents(file: OnnxFile) -> Contents:
    """Return what is known of a file whose graph and card go together.

    Raises: BundleError if they contradict, or the graph may do more than a network needs to.
    """
    card = card_in(file)
    _check_export(file, card)
    given = _input(file, card)
    outputs = _outputs(file, card)
    in_graph = card.target.decoded_in_graph
    outputs = outputs if in_graph else outputs * 2
    rows = (card.target.row_shape if in_graph else card.target.output_shape, card.target.output_shape)
    shapes = dict(zip(outputs, (*rows, rows[0]), strict=False))
    batch = given.shape[0] if given.shape and isinstance(given.shape[0], int) else None
    plan = planned(file, given, card.preprocess.stored_shape, shapes)
    sample_bytes = plan.needs(batch or 1).bytes // (batch or 1)
    if excess := INPUT.excess(sample_bytes):
        raise BundleError(f"`{file.source}`: one sample would need {excess}.")
    plan.check_batch(batch or 1)
    return Contents(
        card=card,
        input=given.name,
        outputs=outputs,
        rows=rows,
        batch=batch,
        sample_bytes=sample_bytes,
        plan=plan,
    )


def _check_copies(file: OnnxFile, card: Card) -> None:
    """Raise BundleError if what the metadata repeats of the card is something else."""
    for key, own in (("classes", list(card.target.classes)), ("preprocess", card.preprocess.to_dict())):
        if key not in file.metadata:
            continue
        try:
            said: Any = json.loads(file.metadata[key])
        except (ValueError, RecursionError):
            said = None
        if said != own:
            raise BundleError(f"`{file.source}`: `{key}` in its metadata contradicts its card; export the model again.")


def _check_export(file: OnnxFile, card: Card) -> None:
    export = card.other.get("export")
    if not isinstance(export, dict):
        raise BundleError(f"`{file.source}`: its card does not say how it was exported; export the model again.")
    if export.get("raw", False):
        raise BundleError(
            f"`{file.source}` was exported with `--raw`, which takes float input and returns logits, for other "
            "tools. Export it without `--raw` to use it with Fovea."
        )
    if export.get("precision") not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise BundleError(f"`{file.source}`: its card names an unknown precision; known are {known}.")


def _input(file: OnnxFile, card: Card) -> Value:
    """Return the one input, which is what the card's preprocessing makes."""
    if len(file.inputs) != 1 or file.inputs[0].name in file.tensors:
        raise BundleError(f"`{file.source}` has {len(file.inputs)} inputs, but a file exported by Fovea has one.")
    (value,) = file.inputs
    wanted, dtype = card.preprocess.stored_shape, card.preprocess.dtype
    nouns = inputs.kind_of(card.preprocess).nouns
    if (value.name, value.dtype) != (nouns, dtype) or not _fits(value, wanted):
        raise BundleError(
            f"`{file.source}` takes `{shortened(value.name)}`, {value.dtype} of {_text(value)}, but its card "
            f"declares `{nouns}`, {dtype} of {('N', *wanted)}."
        )
    return value


def _fits(value: Value, wanted: Shape) -> bool:
    """Tell whether a value has a batch of things of a shape; lengths may be open, but of a batch of none."""
    if value.shape is None or len(value.shape) != 1 + len(wanted) or value.shape[0] == 0:
        return False
    return all(
        isinstance(said, str) or own is None or said == own for said, own in zip(value.shape[1:], wanted, strict=True)
    )


def _text(value: Value) -> str:
    return "a shape that is not given" if value.shape is None else str(value.shape)


def _outputs(file: OnnxFile, card: Card) -> tuple[str, ...]:
    """Return the names of the outputs, whose number, types and columns are those of the card's task."""
    target = card.target
    wanted = [("logits", "float32", target.output_shape)]
    if target.decoded_in_graph:
        wanted.insert(0, (target.row_name, target.row_dtype, target.row_shape))
    if target.several:
        wanted.append(("present", "bool", target.row_shape))
    found = [(value.name, value.dtype) for value in file.outputs]
    if found != [(name, dtype) for name, dtype, _ in wanted]:
        said = ", ".join(shortened(name, most=30) for name, _ in found[:5]) or "none"
        expected = ", ".join(name for name, _, _ in wanted)
        raise BundleError(f"`{file.source}` has the outputs {said}, but its card declares {expected}.")
    for value, (name, _, row) in zip(file.outputs, wanted, strict=True):
        if not _fits(value, row):
            announced = ", ".join(str(length or "any") for length in row)
            raise BundleError(
                f"`{file.source}`: its output `{name}` is of {_text(value)}, but its card declares (N, {announced})."
            )
    return tuple(value.name for value in file.outputs)

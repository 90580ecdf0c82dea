"""Which part of a data set a network is evaluated on, and what it says of that."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np
import torch

from fovea import inputs
from fovea.card import Card
from fovea.data.dataset import PARTS, Dataset
from fovea.data.sources.source import DataSource, Reading
from fovea.data.splits import split_validation
from fovea.display import Display
from fovea.errors import DataError, unknown
from fovea.evaluation.joined import is_tiled, joined_outcome
from fovea.evaluation.outcome import Outcome
from fovea.inputs.interface import Stored
from fovea.inputs.views import PLAIN, Protocol
from fovea.model.predictor import Predictor
from fovea.training.inference import Progress

SPLITS = (*PARTS, "whole")


def split_as_trained(dataset: Dataset, card: Card) -> Dataset:
    """Return the data set with the validation split that a training on this same data had set aside."""
    trained_on = card.trained_on
    if trained_on.fingerprint != dataset.fingerprint or not trained_on.val_fraction or card.training is None:
        return dataset
    return split_validation(dataset, fraction=trained_on.val_fraction, seed=card.training.seed or 0)


def chosen_part(dataset: Dataset, split: str) -> tuple[str, Dataset]:
    """Return the data set with the chosen part alone, and what was chosen.

    Without the split `test` the validation split is taken, without that the whole.

    Raises:
        UsageError: an unknown `split`.
        DataError: the data has no such part.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    fallback = {"test": ("test", "val"), "whole": ()}.get(split, (split,))
    name = next((part for part in fallback if part in dataset.parts), "whole")
    if name == "whole":
        if split in ("train", "val"):
            raise DataError(f"`{dataset.name}` has no split `{split}`; it has {', '.join(dataset.parts)}.")
        return name, dataset
    return name, replace(dataset, parts={name: dataset.parts[name]})


class FoundPart(NamedTuple):
    """One part of a data set, not decoded yet."""

    name: str
    """Which part it is: `test`, ..., `whole`."""
    dataset: Dataset
    notes: tuple[str, ...]
    """What the reader of a result must know of it."""


class DecodedPart(NamedTuple):
    """One part of a data set, ready for a network."""

    name: str
    """Which part it is: `test`, ..., `whole`."""
    decoded: Dataset
    notes: tuple[str, ...]
    """What the reader of a result must know of it."""
    found: Dataset
    """The same before it was decoded: a superset, where files cannot be read."""


def found_part(
    predictor: Predictor,
    dataset: Dataset,
    *,
    split: str,
    display: Display,
    labelled: bool = True,
    shown: Sequence[str] = (),
) -> FoundPart:
    """Return the part of the data that is asked for, divided as the network's training divided it.

    Its notes are shown, but for those that were `shown` before. Where its labels do not matter, not `labelled`, they
    may be any.

    Raises:
        DataError: classes that the network does not know, or no such part.
        UsageError: an unknown `split`.
    """
    if dataset.input != predictor.preprocess.input:
        raise DataError(
            f"`{dataset.name}` contains {inputs.kind(dataset.input).nouns}, but this network takes "
            f"{inputs.kind_of(predictor.preprocess).nouns}."
        )
    name, dataset = chosen_part(split_as_trained(dataset, predictor.card), split)
    if labelled:
        predictor.target.check_known(dataset.classes, data=dataset.name)
    notes = (*dataset.notes, *caveats(dataset, predictor.card, asked=split, given=name))
    for note in notes:
        if note not in shown:
            display.note(f"data: {note}")
    return FoundPart(name, dataset, notes)


def source_for(
    predictor: Predictor, data: str | Path, *, allow_bad: bool = False, **reading: Unpack[Reading]
) -> DataSource:
    """Return where data for a network is, and how it is read: its task, its classes, and what it sees."""
    target = predictor.target
    given: Reading = {**reading, "input": reading.get("input") or predictor.preprocess.input}
    return DataSource(data=data, task=target.name, known=target.classes, allow_bad=allow_bad, **given)


def decoded_part(
    predictor: Predictor,
    source: DataSource,
    *,
    split: str,
    display: Display,
    protocol: Protocol = PLAIN,
    labelled: bool = True,
) -> DecodedPart:
    """Return the part of the data that is asked for, decoded; errors as `found_part`.

    Raises:
        DataError: data that cannot be used.
        UsageError: views that do not fit.
    """
    dataset = source.find(progress=display.fetched)
    part = found_part(predictor, dataset, split=split, display=display, labelled=labelled)
    geometry = inputs.kind_of(predictor.preprocess).viewed(predictor.preprocess, protocol)
    decoded = source.decode(part.dataset, geometry, progress=display.counter("decoding"))
    return DecodedPart(part.name, decoded, part.notes, part.dataset)


def caveats(dataset: Dataset, card: Card, *, asked: str, given: str) -> Iterator[str]:
    """Yield what the reader of a result must know of the part it is for."""
    if asked != given:
        yield "no splits: measured on all images" if given == "whole" else f"no {asked} split: measured on {given}"
    if "train" in dataset.parts and card.trained_on.fingerprint == dataset.fingerprint:
        yield "the network was trained on images of this split"


def outcome_of(
    predictor: Predictor,
    decoded: Dataset,
    *,
    split: str,
    protocol: Protocol = PLAIN,
    batch: int = 256,
    progress: Progress | None = None,
) -> Outcome:
    """Return what the network says of all parts of a decoded data set, its labels as those of the network.

    Where the rows are tiles, it is what it says of the whole images.
    """
    if is_tiled(decoded):
        return joined_outcome(predictor, decoded, split=split, protocol=protocol, batch=batch, progress=progress)
    parts = tuple(decoded.parts.values())
    outputs = [predictor.outputs(part.decoded, protocol, batch=batch, progress=progress) for part in parts]
    # masks of one part stay in their file
    labels = parts[0].labels if len(parts) == 1 else np.concatenate([part.labels for part in parts])
    kind = inputs.kind_of(predictor.preprocess)
    return Outcome(
        data=decoded.name,
        split=split,
        protocol=protocol,
        target=predictor.target,
        outputs=torch.cat(outputs),
        labels=predictor.target.matched(labels, decoded.classes),
        names=tuple(name for part in parts for name in part.names),
        picture=lambda index: kind.thumbnail(sample_of(decoded, index)),
    )


def sample_of(decoded: Dataset, index: int) -> Stored:
    """Return a stored sample, (H, W, C) uint8 of images, counted through all parts."""
    for part in decoded.parts.values():
        if index < len(part):
            break
        index -= len(part)
    return np.asarray(part.decoded[index])

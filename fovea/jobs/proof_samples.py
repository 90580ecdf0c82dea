"""The samples used to verify an export: those given, else those of the training data, else generated ones."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fovea import inputs
from fovea.data.dataset import Part
from fovea.data.sources.source import FILE_SUFFIXES, NAMES, DataSource
from fovea.display import Display
from fovea.errors import DataError, FoveaError, ImageError, first_line
from fovea.evaluation.parts import chosen_part, source_for
from fovea.exporting.samples import USUAL, Samples, completed, generated
from fovea.files import check_there
from fovea.inputs.interface import Preprocessing, Stored
from fovea.jobs.predict import find_images, samples_at
from fovea.model.bundle import Bundle

MOST_FILES = 100_000
"""Of a folder, so many are looked through."""


def samples_for(bundle: Bundle, images: str | Path | None, *, display: Display) -> Samples:
    """Return stored samples for a network: of `images`, else of the data on its card if at hand, else generated.

    `images` is a file, folder or glob, or a data set by name or path.

    Raises:
        DataError: none of `images` can be read.
        UsageError: `images` means nothing.
    """
    if images is not None:
        found = _of_data(bundle, images) if _is_data(images) else _of_files(bundle, images)
        return completed(found, bundle.preprocess)
    name = bundle.card.trained_on.name
    if name in NAMES:
        try:
            return completed(_of_data(bundle, name), bundle.preprocess)
        except FoveaError as error:  # nothing is downloaded for a proof
            display.note(f"{name} is not available: {first_line(error)}")
    nouns = inputs.kind_of(bundle.preprocess).nouns
    display.note(
        f"No {nouns} are available to verify the export, so they are generated; give real ones with --images PATH."
    )
    return generated(bundle.preprocess)


def _is_data(images: str | Path) -> bool:
    """Tell whether a data set is meant rather than files of samples."""
    return images in NAMES or str(images).lower().endswith(FILE_SUFFIXES)


def _of_data(bundle: Bundle, data: str | Path) -> Samples:
    """Return samples spread over the test split of a data set, or over what it has in place of that."""
    source: DataSource = source_for(bundle, data)
    split, dataset = chosen_part(source.find(download=False), "test")
    if dataset.input != bundle.preprocess.input:
        nouns = inputs.kind(dataset.input).nouns
        raise DataError(f"`{dataset.name}` contains {nouns}, but this network takes {bundle.preprocess.input}.")
    part = next(iter(dataset.parts.values()))
    chosen = [_source(part, index) for index in _spread(len(part))]
    noun = inputs.kind_of(bundle.preprocess).nouns
    where = "" if split == "whole" else f", split {split}"
    return _read(chosen, bundle.preprocess, called=f"{noun} of {dataset.name}{where}")


def _source(part: Part, index: int) -> Path | Stored:
    return part.files[index] if part.files is not None else np.array(part.decoded[index])


def _of_files(bundle: Bundle, images: str | Path) -> Samples:
    """Return samples spread over files; one that cannot be read is passed over."""
    kind = inputs.kind_of(bundle.preprocess)
    paths = list(islice(find_images([images], kind=kind), MOST_FILES))
    if len(paths) == 1:
        check_there(paths[0])
    held = [sample for index in _spread(len(paths)) for sample in samples_at(paths[index], bundle.preprocess)]
    chosen = [held[index].source for index in _spread(len(held))]
    return _read(chosen, bundle.preprocess, called=f"{kind.nouns} of {Path(images).name}")


def _spread(count: int) -> Sequence[int]:
    """Return the indices of as many samples as a proof takes, evenly."""
    indices: list[int] = np.unique(np.linspace(0, count - 1, min(count, USUAL)).astype(int)).tolist()
    return indices


def _read(sources: Iterable[Path | Stored], preprocess: Preprocessing, *, called: str) -> Samples:
    """Return what can be read of `sources`; DataError if that is nothing."""
    read, reason = [], "there are none"
    for source in sources:
        try:
            read.append(preprocess.read(source))
        except ImageError as error:
            reason = str(error)
    if not read:
        raise DataError(f"None of the {called} can be read: {reason.rstrip('.')}.")
    return Samples(np.stack(read), called)

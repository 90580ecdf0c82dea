"""Samples without labels: a folder of any depth, or samples whose labels are not asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fovea.data.dataset import Dataset
from fovea.data.sources.archives import Progress
from fovea.data.sources.folders import WithoutClassesError, dataset_of, files_below, is_sample, kind_below, load_folder
from fovea.data.sources.source import NAMES, DataSource
from fovea.errors import UsageError


def find_with_or_without_labels(
    source: DataSource, *, unlabelled: bool = False, progress: Progress | None = None
) -> tuple[Dataset, bool]:
    """Return the data set that a source means, and whether it has labels.

    A folder without a folder per class is a single part without any; every sample below it counts. So is any folder of
    samples where it is to be taken as `unlabelled`.

    Raises: UsageError for data that is to be `unlabelled` and is not a folder; else as `DataSource.find`.
    """
    named = isinstance(source.data, str) and source.data in NAMES
    if unlabelled and (named or not source.path.is_dir()):
        raise UsageError(f"`--unlabelled` works for a folder of samples, and `{source.data}` is not one; leave it out.")
    if unlabelled:
        return load_unlabelled(source.path, input=source.input), False
    try:
        return source.find(progress=progress), True
    except WithoutClassesError:
        return load_unlabelled(source.path, input=source.input), False


def load_unlabelled(root: Path, *, input: str | None = None) -> Dataset:
    """Return all samples below a folder as its part `train`, each with the label -1.

    They are of the kind `input`; where none is named images, or else what its files are by their suffix.

    Raises: DataError for a folder without samples.
    """
    found = sorted(files_below(root, "", ()))
    kind = kind_below((record.name for record in found), input)
    own = [record for record in found if is_sample(record.name, kind)]
    if not own or kind.of_folders:  # which samples are folders its layout tells
        return without_labels(load_folder(root, input=input))
    dataset = dataset_of(own, name=root.resolve().name, task="classes", classes=frozenset(), input=kind.name)
    return without_labels(dataset)


def without_labels(dataset: Dataset) -> Dataset:
    """Return a data set with the label -1 for each sample, and without notes on its labels."""
    parts = {name: replace(part, labels=np.full(len(part), -1, np.int64)) for name, part in dataset.parts.items()}
    return replace(dataset, parts=parts, classes=(), directional=False, notes=())

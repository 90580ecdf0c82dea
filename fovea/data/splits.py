"""What training needs of the parts, and a validation split for it: stratified, seeded, in whatever order files come.

Labels and strata are (N,) int64 class indices or float32 numbers, or (N, L): float32 labels, bool strata.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Dataset, Part, Rows
from fovea.data.labels import in_order
from fovea.errors import DataError, UsageError, listed
from fovea.tasks.task import Labels
from fovea.texts import composed

WORTH_A_WORD = 0.25
"""Of the images asked for: by how much the part may be larger or smaller without a word."""


def require_trainable(dataset: Dataset) -> None:
    """Raise DataError unless there is a train part that its kind of target can be learned from.

    It holds for what is found; where bad files were left out since, it is asked again.
    """
    if "train" not in dataset.parts:
        raise DataError(f"`{dataset.name}` has no train split to learn from; it has {', '.join(dataset.parts)}.")
    labels = dataset.parts["train"].labels
    dataset.kind.check_trainable(labels, classes=dataset.classes, data=dataset.name)


def split_validation(dataset: Dataset, *, fraction: float, seed: int) -> Dataset:
    """Return the data set with `fraction` of its training split as `val`, and a note that says so.

    Every class, or label, keeps its share, at least one image where it has two; a single image stays in `train`.
    Numbers are drawn at random. A data set that has `val`, or lacks `train`, is returned as it is, as with
    `fraction` 0.

    Raises: UsageError unless 0 <= fraction < 1.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"`--val-fraction` (={fraction}) must be at least 0 and below 1.")
    if fraction == 0 or "val" in dataset.parts or "train" not in dataset.parts:
        return dataset
    train = dataset.parts["train"]
    strata = dataset.kind.strata(train.labels)
    rest, held_out = split_off(train, fraction=fraction, seed=seed, strata=strata)
    if not len(held_out):
        alone = "no class of the train split has two images"
        several = "each image of the train split has a label that no other has"
        note = f"validation: none, as {alone if train.labels.ndim == 1 else several}"
        return replace(dataset, notes=(*dataset.notes, note))
    parts = {**dataset.parts, "train": rest, "val": held_out}
    share = f"{len(held_out):,} of {len(train):,} training images set aside ({100 * len(held_out) / len(train):.3g} %)"
    note = f"validation: {share}, {'at random' if strata is None else 'stratified'}, seed {seed}"
    notes = (*dataset.notes, note, *_surprises(dataset, held_out, fraction))
    return replace(dataset, parts={name: parts[name] for name in in_order(parts)}, notes=notes)


def surprises(dataset: Dataset, *, fraction: float) -> tuple[str, ...]:
    """Return in what a validation split of `fraction` would be another than is asked for, one line each."""
    split = split_validation(dataset, fraction=fraction, seed=0)
    if split is dataset:
        return ()
    return _surprises(dataset, split.parts["val"], fraction) if "val" in split.parts else split.notes[-1:]


def _surprises(dataset: Dataset, held_out: Part, fraction: float) -> tuple[str, ...]:
    train = dataset.parts["train"]
    asked, taken = fraction * len(train), len(held_out)
    notes = []
    if abs(taken - asked) > max(1.0, WORTH_A_WORD * asked):
        each = "label" if dataset.kind.several else "class" if dataset.kind.has_classes else "part"
        why = f"each {each} gives at least one" if taken > asked else f"each {each} keeps at least one"
        notes.append(
            f"validation: {100 * fraction:g} % was requested and {100 * taken / len(train):.3g} % taken, {taken:,} "
            f"of {len(train):,} images, as {why}"
        )
    there, here = (dataset.kind.counts(part.labels, dataset.classes) for part in (train, held_out))
    if lacking := [name for name, count in there.items() if count and not here[name]]:
        notes.append(f"validation: no image of {listed(lacking)}, which have too few images")
    return tuple(notes)


def split_off(part: Part, *, fraction: float, seed: int, strata: Labels | None) -> tuple[Part, Part]:
    """Return the rest of a part and the random fraction taken from it, both in the order of the part.

    Each of the groups that `strata` tells of, (N,) or bool (N, L), keeps its share; None draws from all. Regions of one
    image stay together.
    """
    if part.regions is not None and part.files is not None:
        return _split_off_images(part, part.files, fraction=fraction, seed=seed)
    order = np.array(sorted(range(len(part)), key=lambda index: composed(part.names[index])), np.int64)
    groups: NDArray[Any] = np.zeros(len(part), np.int64) if strata is None else strata[order]
    divide = stratified
    if groups.ndim == 2:
        # SciPy's matrices take longer to import than a prediction does
        from fovea.data.stratification import iteratively_stratified as divide
    chosen = np.zeros(len(part), bool)
    chosen[order[divide(groups, fraction=fraction, generator=np.random.default_rng(seed))]] = True
    return take(part, np.flatnonzero(~chosen)), take(part, np.flatnonzero(chosen))


def _split_off_images(part: Part, files: Sequence[Path], *, fraction: float, seed: int) -> tuple[Part, Part]:
    """Return the rest of a part of regions, and those of a random fraction of its images."""
    first = dict(zip(reversed(files), reversed(part.names), strict=True))
    images = sorted(first, key=lambda file: composed(first[file]))
    drawn = stratified(np.zeros(len(images), np.int64), fraction=fraction, generator=np.random.default_rng(seed))
    held = {images[index] for index in drawn}
    chosen = np.array([file in held for file in files])
    return take(part, np.flatnonzero(~chosen)), take(part, np.flatnonzero(chosen))


def stratified(labels: Labels, *, fraction: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices of a random `fraction` of each label; of two or more at least one and never all."""
    chosen: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        chosen.append(generator.permutation(members)[:count])
    return np.concatenate(chosen)


def take(part: Part, indices: Sequence[int] | NDArray[np.int64]) -> Part:
    """Return the images at these indices; their pixels stay where they are."""
    return Part(
        labels=part.labels[indices],
        names=tuple(part.names[index] for index in indices),
        files=tuple(part.files[index] for index in indices) if part.files is not None else None,
        pixels=Rows(part.pixels, np.asarray(indices)) if part.pixels is not None else None,
        regions=None if part.regions is None else part.regions[indices],
        areas=None if part.areas is None else part.areas[indices],
        tiles=part.tiles.taken(indices) if part.tiles is not None else None,
    )

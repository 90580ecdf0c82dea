"""Images of a data set drawn by a seed: a few, as many of each class as there can be, or all, with replacement."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Dataset, Part
from fovea.data.splits import take


def drawn_evenly(dataset: Dataset, count: int, *, seed: int, first: Collection[str] = ()) -> Dataset:
    """Return the data set with `count` of its images, or all where it has fewer, each once however often it is listed.

    Classes, or labels, take turns in a random order. Images whose names are `first` are drawn before the others.
    """
    generator = np.random.default_rng(seed)
    pool = [(name, index) for name, part in dataset.parts.items() for index in _once(part)]
    queues = [generator.permutation(queue).tolist() for queue in _groups(dataset, pool)]
    order = generator.permutation(len(queues)).tolist()
    named = [dataset.parts[name].names[index] in first for name, index in pool]
    chosen = dict[int, None]()
    for wanted in (True, False):
        turns = _in_turn([[place for place in queues[group] if named[place] is wanted] for group in order])
        for place in turns:
            if len(chosen) < count:
                chosen[place] = None
    indices: dict[str, list[int]] = {}
    for place in sorted(chosen):
        indices.setdefault(pool[place][0], []).append(pool[place][1])
    return replace(dataset, parts={name: take(dataset.parts[name], some) for name, some in indices.items()})


def resampled(part: Part, *, seed: int) -> Part:
    """Return as many images as the part has, drawn with replacement: about 63 % of them, some several times.

    A bootstrap sample, as Breiman 1996 ("Bagging predictors", section 1) trains each member of an ensemble on.
    """
    count = len(part)
    return take(part, np.random.default_rng((seed, count)).integers(0, count, count))


def _once(part: Part) -> list[int]:
    """Return the first index of each name."""
    first: dict[str, int] = {}
    for index, name in enumerate(part.names):
        first.setdefault(name, index)
    return list(first.values())


def _groups(dataset: Dataset, pool: list[tuple[str, int]]) -> list[NDArray[np.int64]]:
    """Return the places in the pool of each class, of each label, or of all images where there are none of these."""
    strata = dataset.kind.strata(np.array([dataset.parts[name].labels[index] for name, index in pool]))
    if strata is None:
        return [np.arange(len(pool))]
    if strata.ndim == 1:
        return [np.flatnonzero(strata == value) for value in np.unique(strata)]
    groups = [np.flatnonzero(has) for has in (*strata.T, ~strata.any(axis=1))]
    return [group for group in groups if len(group)]


def _in_turn(queues: list[list[int]]) -> Iterator[int]:
    """Yield the first of each queue, then the second of each, and so on."""
    for turn in range(max(map(len, queues), default=0)):
        yield from (queue[turn] for queue in queues if turn < len(queue))

"""Fewer images of every split, drawn by class, where decoding all of them would take too long."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from fovea.data.cache.decoded import is_kept
from fovea.data.dataset import Dataset, Part
from fovea.data.splits import split_off
from fovea.errors import ImageError
from fovea.inputs.interface import Preprocessing

TIMED_FILES = 32


def thinned(dataset: Dataset, *, fraction: float, seed: int) -> Dataset:
    """Return the data set with a random `fraction` of every split, each class or label keeping its share.

    Of a class with two images or more one at least stays; a split of which nothing would be left stays as it is. With
    `fraction` 1 the data set is returned.
    """
    if fraction >= 1:
        return dataset
    parts: dict[str, Part] = {}
    for name, part in dataset.parts.items():
        fewer = split_off(part, fraction=fraction, seed=seed, strata=dataset.kind.strata(part.labels))[1]
        parts[name] = fewer if len(fewer) else part
    return replace(dataset, parts=parts)


def decoding_s(dataset: Dataset, preprocess: Preprocessing, *, room: float = 1.0) -> float:
    """Return how many seconds decoding will take, by the time that a few files spread over it take now.

    0 where all is in the cache, and where samples are no files of their own.
    """
    whole = all(part.regions is None and part.files is not None for part in dataset.parts.values())
    if not whole or getattr(preprocess, "tiles", False) or is_kept(dataset, preprocess, room=room):
        return 0.0
    files = [file for part in dataset.parts.values() for file in part.files or ()]
    frame, workers = preprocess.roomy(room), os.cpu_count() or 1
    chosen = [files[index] for index in np.linspace(0, len(files) - 1, min(TIMED_FILES, len(files))).astype(int)]

    def read(file: Path) -> None:
        try:
            frame.read(file)
        except ImageError:  # decoding will say so
            return

    read(chosen[0])  # imports what the format needs
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(read, chosen))
    return (time.perf_counter() - began) / len(chosen) * len(files)

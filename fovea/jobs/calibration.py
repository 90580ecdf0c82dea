"""Which samples a network is brought to int8 with: training samples for the ranges, validation for the score."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np

from fovea import inputs
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.source import DataSource, Reading
from fovea.data.splits import split_validation, take
from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.evaluation.parts import source_for, split_as_trained
from fovea.exporting.int8.file import Int8Request
from fovea.exporting.int8.samples import Samples
from fovea.exporting.int8.settings import Int8Settings
from fovea.model.bundle import Bundle

CALIBRATION = 256
"""Training samples that tell the ranges."""
VALIDATION = 2000
"""Samples that tell the score, at most."""
SET_APART = 0.2
"""Of a training part without validation, at most so much is set apart for the score."""


def int8_settings(*, max_drop: float, keep: str | Sequence[str], ranges: str) -> Int8Settings:
    """Return the settings of the command; UsageError for what is not allowed."""
    names = tuple(keep.split(",")) if isinstance(keep, str) else tuple(keep)
    return Int8Settings(max_drop=max_drop, keep=tuple(name.strip() for name in names), ranges=ranges)


def int8_request(
    bundle: Bundle,
    data: str | Path,
    settings: Int8Settings,
    *,
    allow_bad: bool,
    display: Display,
    **reading: Unpack[Reading],
) -> Int8Request:
    """Return what a target needs to write a network in int8; errors as `int8_samples`."""
    calibration, validation = int8_samples(bundle, data, allow_bad=allow_bad, display=display, **reading)
    return Int8Request(settings=settings, calibration=calibration, validation=validation, display=display)


def int8_samples(
    bundle: Bundle, data: str | Path, *, allow_bad: bool = False, display: Display, **reading: Unpack[Reading]
) -> tuple[Samples, Samples]:
    """Return samples of the training part for the ranges, and samples with labels for the score: never of the test.

    Raises:
        DataError: there is no training part, or it is of another kind or has other classes.
        UsageError: the network's task has no score.
    """
    if not bundle.target.measures:
        raise UsageError(f"int8 is judged by its score, and a network that predicts {bundle.target.noun} has none.")
    source = source_for(bundle, data, allow_bad=allow_bad, **reading)
    dataset = source.find(progress=display.fetched)
    kind = inputs.kind_of(bundle.preprocess)
    if dataset.input != bundle.preprocess.input:
        raise DataError(f"`{dataset.name}` holds {inputs.kind(dataset.input).nouns}; this network sees {kind.nouns}.")
    bundle.target.check_known(dataset.classes, data=dataset.name)
    divided, unseen = _divided(bundle, dataset)
    chosen = {"train": _drawn(divided.parts["train"], CALIBRATION), "val": _drawn(divided.parts["val"], VALIDATION)}
    decoded = _decoded(source, replace(divided, parts=chosen), bundle, display.counter("decoding"))
    where = "part val" if unseen else "part train, set apart"
    called = {"train": f"{kind.nouns} of {dataset.name}, part train", "val": f"{kind.nouns} of {dataset.name}, {where}"}
    if not unseen and bundle.card.trained_on.fingerprint == dataset.fingerprint:
        display.note("data: there is no validation part; the score is of images that the network was trained on")
    calibration, validation = (
        Samples(
            stored=np.asarray(part.decoded[:]),
            preprocess=bundle.preprocess,
            labels=bundle.target.matched(part.labels, decoded.classes),
            source=called[name],
        )
        for name, part in ((name, decoded.parts[name]) for name in ("train", "val"))
    )
    return calibration, validation


def _divided(bundle: Bundle, dataset: Dataset) -> tuple[Dataset, bool]:
    """Return the data with the parts `train` and `val`, and whether it had the latter."""
    dataset = split_as_trained(dataset, bundle.card)
    if "train" not in dataset.parts:
        raise DataError(
            f"int8 is calibrated on training images, and `{dataset.name}` has no part `train`, only "
            f"{', '.join(dataset.parts)}: give the data that the network was trained on."
        )
    if "val" in dataset.parts:
        return dataset, True
    fraction = min(SET_APART, VALIDATION / len(dataset.parts["train"]))
    divided = split_validation(dataset, fraction=fraction, seed=0)
    if "val" not in divided.parts:
        raise DataError(f"`{dataset.name}` has too few images to set some apart for the score; add a part `val`.")
    return divided, False


def _drawn(part: Part, most: int) -> Part:
    """Return at most so many samples of a part, drawn at random."""
    order = np.random.default_rng(0).permutation(len(part))
    return take(part, order[:most])


def _decoded(source: DataSource, dataset: Dataset, bundle: Bundle, progress: Callable[[int, int], None]) -> Dataset:
    return source.decode(dataset, bundle.preprocess, progress=progress)

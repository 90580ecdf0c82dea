"""Which samples a network is brought to int8 with: training samples for the ranges, validation for the score."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np

from fovea import inputs
from fovea.data.dataset import Part
from fovea.data.sources.source import Reading
from fovea.data.splits import take
from fovea.display import Display
from fovea.evaluation.divided import Purpose, divided_data
from fovea.exporting.int8.file import Int8Request
from fovea.exporting.int8.samples import Samples
from fovea.exporting.int8.settings import Int8Settings
from fovea.model.bundle import Bundle

CALIBRATION = 256
"""Training samples that tell the ranges."""
VALIDATION = 2000
"""Samples that tell the score, at most."""
PURPOSE = Purpose(
    judged="int8 is accepted by its score", trained="int8 needs training images for calibration", most=VALIDATION
)


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
    """Return samples of the training split for the ranges, and samples with labels for the score: never of the test.

    Raises:
        DataError: there is no training split, or it is of another kind or has other classes.
        UsageError: the network's task has no score.
    """
    source, dataset, apart, known = divided_data(bundle, data, PURPOSE, allow_bad=allow_bad, display=display, **reading)
    kind = inputs.kind_of(bundle.preprocess)
    chosen = {"train": _drawn(dataset.parts["train"], CALIBRATION), "val": _drawn(dataset.parts["val"], VALIDATION)}
    decoded = source.decode(replace(dataset, parts=chosen), bundle.preprocess, progress=display.counter("decoding"))
    where = "split train, held out" if apart else "split val"
    called = {
        "train": f"{kind.nouns} of {dataset.name}, split train",
        "val": f"{kind.nouns} of {dataset.name}, {where}",
    }
    if known:
        display.note(
            "data: there is no validation split, so the score is measured on images that the network was trained on"
        )
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


def _drawn(part: Part, most: int) -> Part:
    """Return at most so many samples of a part, drawn at random."""
    order = np.random.default_rng(0).permutation(len(part))
    return take(part, order[:most])

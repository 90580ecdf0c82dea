"""Data that a network is worked on with: a part that it learns or is calibrated from, and one that judges it."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Unpack

from fovea import inputs
from fovea.data.dataset import Dataset
from fovea.data.sources.source import DataSource, Reading
from fovea.data.splits import split_validation
from fovea.display import Display
from fovea.errors import DataError, UsageError
from fovea.evaluation.parts import source_for, split_as_trained
from fovea.model.predictor import Predictor

SET_APART = 0.2
"""Of a training split without validation, at most so much is held out for the score."""


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """What the data is for, in the words of messages."""

    judged: str
    """That there must be a score: `int8 is judged by its score`."""
    trained: str
    """That there must be a training split: `int8 is calibrated on training images`."""
    most: int
    """Samples that are held out for the score, at most."""


class Divided(NamedTuple):
    """Data with the parts `train` and `val`, not decoded yet."""

    source: DataSource
    dataset: Dataset
    apart: bool
    """Whether the validation split was held out from the training split here."""
    known: bool
    """Whether the network was trained on the validation split, as far as its card tells."""


def divided_data(
    predictor: Predictor,
    data: str | Path,
    purpose: Purpose,
    *,
    allow_bad: bool,
    display: Display,
    **reading: Unpack[Reading],
) -> Divided:
    """Return data divided as the network's training divided it; without a validation split one is held out.

    Raises:
        DataError: there is no training split, or it is of another kind or has other classes.
        UsageError: the network's task has no score.
    """
    target = predictor.target
    if not target.measures:
        raise UsageError(f"{purpose.judged}, and there is no score for {target.noun}.")
    source = source_for(predictor, data, allow_bad=allow_bad, **reading)
    dataset = source.find(progress=display.fetched)
    if dataset.input != predictor.preprocess.input:
        seen = inputs.kind_of(predictor.preprocess).nouns
        raise DataError(f"`{dataset.name}` contains {inputs.kind(dataset.input).nouns}, but this network takes {seen}.")
    target.check_known(dataset.classes, data=dataset.name)
    dataset = split_as_trained(dataset, predictor.card)
    if "train" not in dataset.parts:
        raise DataError(
            f"{purpose.trained}, and `{dataset.name}` has no split `train`, only {', '.join(dataset.parts)}; give "
            "the data that the network was trained on."
        )
    if "val" in dataset.parts:
        return Divided(source, dataset, apart=False, known=False)
    fraction = min(SET_APART, purpose.most / len(dataset.parts["train"]))
    divided = split_validation(dataset, fraction=fraction, seed=0)
    if "val" not in divided.parts:
        raise DataError(f"`{dataset.name}` has too few samples to hold some out for the score; add a split `val`.")
    known = predictor.card.trained_on.fingerprint == dataset.fingerprint
    return Divided(source, divided, apart=True, known=known)

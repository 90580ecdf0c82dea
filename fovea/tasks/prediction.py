"""What a network says of one image, for people and for machines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.notebook import Cells, Tabular
from fovea.texts import percent


class LabelScore(NamedTuple):
    """One class and the probability the network gives it."""

    label: str
    probability: float


@dataclass(frozen=True, repr=False)
class Prediction(Tabular):
    """What a network says of one image."""

    scores: tuple[LabelScore, ...] = ()
    """All classes, the answer first, then by probability; empty if the network predicts a number."""
    value: float | None = None
    """The number, where the network predicts one."""
    present: tuple[LabelScore, ...] | None = None
    """Where an image may have several labels: those that it has, the most probable first."""

    @property
    def label(self) -> str:
        """The answer: a class, the labels separated by commas (`none` where there are none), or the number as text."""
        if self.present is not None:
            return ", ".join(score.label for score in self.present) or "none"
        return self.scores[0].label if self.scores else f"{self.value:g}"

    @property
    def probability(self) -> float:
        """The probability of `label`; not a number where that is a number or several labels."""
        return self.scores[0].probability if self.scores and self.present is None else math.nan

    @property
    def text(self) -> str:
        """What a person reads: classes or labels with their probabilities, or the number."""
        shown = self.scores if self.present is None else self.present
        return "  ".join(f"{label} {percent(probability)}" for label, probability in shown) or self.label

    @property
    def ranked(self) -> Sequence[tuple[str, float | str]]:
        """Label and probability by rank, as in a table; a number stands as a label without probability."""
        if self.present is not None:
            return self.present
        return self.scores or [(self.label, "")]

    def drawn(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) uint8 with what lies on it; here nothing does."""
        return image

    @property
    def headline(self) -> str:
        """The answer, and how probable it is."""
        return self.label if math.isnan(self.probability) else f"{self.label}, {100 * self.probability:.1f} %"

    def cells(self) -> Cells:
        """Return labels and their probabilities, the most probable first; of a number that alone."""
        if self.value is not None:
            return Cells(columns=("value",), rows=[(self.value,)])
        return Cells.of([score._asdict() for score in self.scores], shares=("probability",))

    def attached(self, *, masks: str = "png") -> dict[str, Any]:
        """Return what a server sends beside `to_dict`, as JSON values; `masks` as `png` or `rle`, where there are."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return what applies as JSON values: `predictions` (of labels those present, and all `scores`), or `value`."""
        if self.value is not None:
            return {"value": self.value}
        if self.present is not None:
            named = {score.label: score.probability for score in self.scores}
            return {"predictions": [score._asdict() for score in self.present], "scores": named}
        return {"predictions": [score._asdict() for score in self.scores]}


@dataclass(frozen=True, eq=False, repr=False)
class PredictionOnImage(Prediction):
    """What a network says of places in one image; `scores` are those of what it found, which may be nothing."""

    @property
    def text(self) -> str:
        """What a person reads: what was found, in short."""
        return self.label

    @property
    def ranked(self) -> Sequence[tuple[str, float | str]]:
        """Name and score of all that was found."""
        return self.scores

    @property
    def headline(self) -> str:
        """What was found, in short."""
        return self.label

    def cells(self) -> Cells:
        """Return what was found, a row for each object, class or point."""
        found: list[dict[str, Any]] = next(
            (value for value in self.to_dict().values() if value and isinstance(value[0], dict)), []
        )
        return Cells.of(found, shares=("share",))

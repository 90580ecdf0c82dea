"""What a network says of one image, for people and for machines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class LabelScore(NamedTuple):
    """One class and the probability the network gives it."""

    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image."""

    scores: tuple[LabelScore, ...] = ()
    """All classes, the most probable first; empty where the network predicts a number."""
    value: float | None = None
    """The number, where the network predicts one."""

    @property
    def label(self) -> str:
        """The most probable class, or the number as text."""
        return self.scores[0].label if self.scores else f"{self.value:g}"

    @property
    def probability(self) -> float:
        """The probability of `label`; not a number where the network predicts a number."""
        return self.scores[0].probability if self.scores else math.nan

    @property
    def text(self) -> str:
        """What a person reads: classes with their probabilities, or the number."""
        return "  ".join(f"{label} {probability:.1%}" for label, probability in self.scores) or self.label

    @property
    def ranked(self) -> Sequence[tuple[str, float | str]]:
        """Label and probability by rank, as in a table; a number stands as a label without probability."""
        return self.scores or [(self.label, "")]

    def to_dict(self) -> dict[str, Any]:
        """Return what applies as JSON values: `predictions`, or the `value`."""
        if self.value is not None:
            return {"value": self.value}
        return {"predictions": [score._asdict() for score in self.scores]}

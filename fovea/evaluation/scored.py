"""The score of some of the images of a part: of a slice, or of disturbed ones."""

from dataclasses import dataclass
from typing import Any

from fovea.tasks.score import ACCURACY, Metric
from fovea.texts import percent

UNDEFINED = "-"


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The value of the metric by which networks of a kind of target are judged."""

    metric: Metric = ACCURACY
    score: float | None
    """None if it is not defined for these images."""

    @property
    def accuracy(self) -> float | None:
        """The score where it is the accuracy; None if another one is measured."""
        return self.score if self.metric == ACCURACY else None

    @property
    def text(self) -> str:
        """The score as it stands in a column of text."""
        return brief(self.metric, self.score)

    @property
    def rank(self) -> float:
        """A number to sort by: the worst score has the lowest, and those not defined come last."""
        if self.score is None:
            return float("inf")
        return self.score if self.metric.higher_is_better else -self.score

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: the score under the metric's name."""
        return {self.metric.name: self.score}


@dataclass(frozen=True, kw_only=True)
class ScoredWithin(Scored):
    """A score with where the true one lies."""

    interval: tuple[float, float] | None
    """With 95 % confidence, of an accuracy after Wilson; None if there is none."""

    @property
    def interval_text(self) -> str:
        """The interval as it stands in a column of text."""
        if self.interval is None:
            return UNDEFINED
        low, high = (brief(self.metric, end) for end in self.interval)
        wide = 7 if self.metric.share else 6
        return f"{low:>{wide}} to {high:>{wide}}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: the score under the metric's name, and `interval`."""
        return {**super().to_dict(), "interval": self.interval}


def brief(metric: Metric, value: float | None) -> str:
    """Return a value as it stands in a column of text.

    >>> brief(ACCURACY, 0.93742), brief(ACCURACY, None), brief(Metric("mae", "error"), 0.93742)
    ('93.7 %', '-', '0.9374')
    """
    if value is None:
        return UNDEFINED
    return percent(value) if metric.share else f"{value:.4g}"

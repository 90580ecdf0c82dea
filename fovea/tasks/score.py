"""Scores: what is measured, in which direction it is better, and how it is written."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fovea.metrics import difference_interval
from fovea.texts import percent


class Metric(NamedTuple):
    """A figure by which networks of one kind of target are judged."""

    name: str
    """Its key in JSON."""
    title: str
    """What a person reads."""
    higher_is_better: bool = True
    share: bool = False
    """Whether it is a share from 0 to 1, which people read in percent."""

    def reaches(self, value: float, least: float) -> bool:
        """Return whether `value` is as good as `least`, or better."""
        return value >= least if self.higher_is_better else value <= least

    @property
    def scale(self) -> int:
        """What a value is multiplied by to be read."""
        return 100 if self.share else 1

    @property
    def unit(self) -> str:
        """What stands behind a value that is read."""
        return " %" if self.share else ""

    @property
    def axis(self) -> str:
        """The title of a chart of it."""
        return f"{self.title.capitalize()}, %" if self.share else self.title.capitalize()

    def text(self, value: float) -> str:
        """Return a value as people read it, as `98.89 %` or `2.345`."""
        return percent(value, 2) if self.share else f"{value:.4g}"

    def lost(self, before: float, after: float) -> float:
        """Return what is lost from one value to another: points of a share, or percent by which an error grows.

        Negative where it has become better.

        >>> round(Metric("accuracy", "accuracy", share=True).lost(0.91, 0.9), 6)
        1.0
        >>> round(Metric("mae", "error", higher_is_better=False).lost(2.0, 2.1), 6)
        5.0
        """
        worse = before - after if self.higher_is_better else after - before
        return 100 * worse if self.share else 100 * worse / max(abs(before), sys.float_info.min)

    def difference(self, value: float) -> str:
        """Return a difference of two values as people read it, as `+1.2 points`."""
        return f"{self.scale * value:+.3g}{' points' if self.share else ''}"


ACCURACY = Metric("accuracy", "accuracy", share=True)
NLL = Metric("nll", "negative log-likelihood", higher_is_better=False)
CALIBRATION = Metric("ece", "calibration error", higher_is_better=False, share=True)


@dataclass(frozen=True)
class Score:
    """The result on one part: the mean loss, and the value of the metric that the training follows, if any."""

    loss: float
    value: float | None = None
    metric: Metric = ACCURACY

    def better_than(self, other: "Score | None") -> bool:
        """Return whether this is the better result: by the metric, then by the loss; never with a loss of NaN."""
        if math.isnan(self.loss) or other is None or math.isnan(other.loss):
            return not math.isnan(self.loss)
        return (self._cost, self.loss) < (other._cost, other.loss)

    @property
    def _cost(self) -> float:
        value = self.value or 0.0
        return -value if self.metric.higher_is_better else value

    def text(self, before: str) -> str:
        """Return the metric as people read it, `before` its title; nothing where there is none."""
        return "" if self.value is None else f"{before}{self.metric.title} {self.metric.text(self.value)}"

    def to_dict(self) -> dict[str, float | None]:
        """Return JSON values: `loss`, and the value under the metric's name."""
        return {"loss": self.loss, self.metric.name: self.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], metric: Metric) -> "Score":
        """Return what `to_dict` wrote."""
        return cls(values["loss"], values[metric.name], metric)


def stated_difference(
    result: Mapping[str, Any], other: Mapping[str, Any], *, metric: Metric
) -> tuple[float, float] | None:
    """Return where the difference of two results lies by the `interval` that each states; None if one has none."""
    if any(found.get("interval") is None or found.get(metric.name) is None for found in (result, other)):
        return None
    first, second = ((found[metric.name], *found["interval"]) for found in (result, other))
    return difference_interval(first, second)

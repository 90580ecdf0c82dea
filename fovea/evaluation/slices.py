"""The score of a network for each value of a column of a manifest: by camera, by hospital, by year."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fovea.evaluation.outcome import Outcome
from fovea.evaluation.scored import ScoredWithin
from fovea.texts import natural_key

SHOWN = 20
NARROWEST = 16
"""Characters of a column of intervals, as ` 18.71 to  18.71`."""


@dataclass(frozen=True, kw_only=True)
class Slice(ScoredWithin):
    """The images with one value in the column."""

    value: str
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: `value`, `images`, the score under the metric's name, and `interval`."""
        return {"value": self.value, "images": self.images, **super().to_dict()}


@dataclass(frozen=True, kw_only=True)
class Slices:
    """The values of a column in natural order."""

    column: str
    values: tuple[Slice, ...]

    def summary(self) -> list[str]:
        """Return lines for the terminal: the values with the worst score first."""
        worst = sorted(self.values, key=lambda entry: entry.rank)[:SHOWN]
        title = worst[0].metric.title
        wide = max(len(self.column), *(len(entry.value) for entry in worst))
        span = max(NARROWEST, *(len(entry.interval_text) for entry in worst))
        lines = [
            f"{entry.value:{wide}}  {entry.text:>{len(title)}}  {entry.interval_text:>{span}}  {entry.images:6}"
            for entry in worst
        ]
        return ["", f"{self.column:{wide}}  {title}  {'95 % interval':>{span - 1}}   images", *lines]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: `column` and `values`."""
        return {"column": self.column, "values": [entry.to_dict() for entry in self.values]}


def sliced(outcome: Outcome, column: str, value_of: Mapping[str, str]) -> Slices:
    """Return the score of `outcome` for each value that `value_of` gives the names of its images."""
    values = np.array([value_of[name] for name in outcome.names])
    found = []
    for value in sorted(set(values.tolist()), key=natural_key):
        chosen = np.flatnonzero(values == value)
        measured = outcome.target.measured(outcome.outputs[torch.from_numpy(chosen)], outcome.labels[chosen])
        found.append(
            Slice(
                value=value,
                images=len(chosen),
                metric=outcome.target.metric,
                score=measured.value,
                interval=measured.interval,
            )
        )
    return Slices(column=column, values=tuple(found))

"""The accuracy of a network for each value of a column of a manifest: by camera, by hospital, by year."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fovea.evaluation.outcome import Outcome
from fovea.metrics import wilson_interval
from fovea.texts import natural_key

SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The images with one value in the column."""

    value: str
    images: int
    accuracy: float
    interval: tuple[float, float]
    """Where the true accuracy lies with 95 % confidence (Wilson)."""


@dataclass(frozen=True, kw_only=True)
class Slices:
    """The values of a column in natural order."""

    column: str
    values: tuple[Slice, ...]

    def summary(self) -> list[str]:
        """Return lines for a person: the values with the lowest accuracy first."""
        worst = sorted(self.values, key=lambda entry: entry.accuracy)[:SHOWN]
        wide = max(len(self.column), *(len(entry.value) for entry in worst))
        lines = [
            f"{entry.value:{wide}}  {entry.accuracy:8.1%}  {entry.interval[0]:6.1%} to {entry.interval[1]:6.1%}"
            f"  {entry.images:6}"
            for entry in worst
        ]
        return ["", f"{self.column:{wide}}  accuracy    95 % interval   images", *lines]


def sliced(outcome: Outcome, column: str, value_of: Mapping[str, str]) -> Slices:
    """Return the accuracy of `outcome` for each value that `value_of` gives the names of its images."""
    values = np.array([value_of[name] for name in outcome.names])
    right = outcome.right
    found = []
    for value in sorted(set(values.tolist()), key=natural_key):
        chosen = right[values == value]
        interval = wilson_interval(int(chosen.sum()), len(chosen))
        found.append(Slice(value=value, images=len(chosen), accuracy=float(chosen.mean()), interval=interval))
    return Slices(column=column, values=tuple(found))

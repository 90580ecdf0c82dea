"""How a network is brought to int8."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fovea.errors import UsageError, unknown
from fovea.exporting.int8.calibration import METHODS

AUTO, NONE = "auto", "none"
PER_CHANNEL = "channel"


@dataclass(frozen=True, kw_only=True)
class Int8Settings:
    """How a network is brought to int8.

    Raises: UsageError for what is not known or not allowed.
    """

    ranges: str = AUTO
    """How the ranges of activations are chosen: one of `METHODS`, or by trying all."""
    max_drop: float = 0.5
    """Points of the task's score that may be lost on validation; of an error, percent by which it may grow."""
    keep: tuple[str, ...] = (AUTO,)
    """Layers that stay float: `auto` for those that measuring finds, `none`, or names."""
    scales: str = PER_CHANNEL
    """Of weights: one for each output channel."""
    search_s: float = 120.0
    """Seconds that looking for layers to keep may take, about."""

    def __post_init__(self) -> None:
        if self.ranges not in (AUTO, *METHODS):
            raise unknown("calibration", self.ranges, (AUTO, *METHODS))
        if not (math.isfinite(self.max_drop) and 0 <= self.max_drop <= 100):
            raise UsageError(f"`--max-drop` (={self.max_drop}) must be points from 0 to 100.")
        if self.scales != PER_CHANNEL:
            raise UsageError(
                f"`scales` (={self.scales}) must be `{PER_CHANNEL}`: one scale for all weights of a layer is not "
                "supported, because it costs MobileNetV2 9 of 10 correct predictions."
            )
        if not self.keep or (len(self.keep) > 1 and {AUTO, NONE} & set(self.keep)):
            raise UsageError(f"`--keep` must be {AUTO}, {NONE}, or names of layers.")

    @property
    def by_hand(self) -> Sequence[str]:
        """The names of layers that are kept by hand."""
        return () if self.keep[0] in (AUTO, NONE) else self.keep

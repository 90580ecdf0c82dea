"""Which range of activations a grid of 256 levels covers: what was seen of them, and the steps chosen by that.

Values are float32 tensors of any shape.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from fovea.compression.grids import LEVELS, SMALLEST_SCALE, power_of_two

DRAWN = 4096
"""Values that are kept of each batch."""
HALVINGS = 3
"""How often the range may be halved where that makes the errors smaller."""


class Steps(NamedTuple):
    """How activations are stored: as `scale * (stored - zero)`."""

    scale: float
    """A power of two."""
    zero: int
    """The level that means zero, 0..255."""

    @classmethod
    def over(cls, least: float, largest: float) -> "Steps":
        """Return the finest steps, a power of two, with which 256 levels cover `least` to `largest` and hold zero.

        >>> Steps.over(0.0, 4.0)
        Steps(scale=0.03125, zero=0)
        """
        least, largest = min(least, 0.0), max(largest, 0.0)
        scale = power_of_two(max((largest - least) / LEVELS, SMALLEST_SCALE))
        zero = round(-least / scale)
        if largest / scale > LEVELS - zero:  # rounding has moved the range past its end
            zero = max(0, zero - 1)
        return cls(scale, min(zero, LEVELS))

    def nearest(self, values: Tensor) -> Tensor:
        """Return the numbers of the grid that stand for values, in their shape and dtype."""
        steps = torch.round(values / self.scale).clamp(-self.zero, LEVELS - self.zero)
        return steps * self.scale


@dataclass
class Seen:
    """What was seen of a value."""

    least: float = 0.0
    largest: float = 0.0
    drawn: list[Tensor] = field(default_factory=list)

    def add(self, values: Tensor) -> None:
        """Look at one batch."""
        values = values.detach().float()
        self.least, self.largest = (
            min(self.least, values.min().item()),
            max(self.largest, values.max().item()),
        )
        flat = values.reshape(-1)
        # at random: even distances may meet the same pixel of every map
        generator = torch.Generator().manual_seed(len(self.drawn))
        places = torch.randint(len(flat), (DRAWN,), generator=generator).to(flat.device)
        self.drawn.append(flat[places])

    def steps(self, *, cut: tuple[float, float] | None = None, whole: bool = False) -> Steps:
        """Return the steps whose mean squared error is least; `whole` keeps the range that covers all.

        Where what follows cuts values to `cut`, so do the steps.
        """
        values = torch.cat(self.drawn).double()
        least, largest = self.least, self.largest
        if cut is not None:
            values = values.clamp(*cut)
            least, largest = max(least, cut[0]), min(largest, cut[1])
        ways = [Steps.over(least / 2**half, largest / 2**half) for half in range(1 if whole else HALVINGS)]
        errors = [(way.nearest(values) - values).square().mean().item() for way in ways]
        return ways[errors.index(min(errors))]

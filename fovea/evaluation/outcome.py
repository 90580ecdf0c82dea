"""What a network said of the samples of one part, beside the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fovea.inputs.views import PLAIN, Protocol
from fovea.tasks.figures import Figures, Mistake
from fovea.tasks.task import Labels, Rows, Task

WORST = 24
"""Mistakes that are searched for."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A network's outputs on one part, with the truth.

    Outputs are (N, K) float32, labels (N,).
    """

    data: str
    split: str
    protocol: Protocol = PLAIN
    """Which views of each image were averaged."""
    target: Task
    """What the outputs mean."""
    outputs: Tensor
    """(N, K) float32, as the network gives them."""
    labels: Labels
    """(N,) int64 indices into the network's classes, or float32 numbers in the unit of the labels."""
    names: tuple[str, ...]
    """(N,) what to call each image to a person."""
    picture: Callable[[int], NDArray[np.uint8]] | None = None
    """The pixels (H, W, C) of the image with that index; None leaves pictures out of a page."""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def figures(self) -> Figures:
        """What the outputs are worth."""
        return self.target.figures(self.outputs, self.labels)

    @cached_property
    def rows(self) -> Rows:
        """(N, classes) probabilities, or (N, 1) numbers in the unit of the labels."""
        return self.target.decode(self.outputs)

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """The worst answers, the worst first."""
        return self.target.mistakes(self.outputs, self.labels, most=WORST)

    @property
    def result(self) -> dict[str, object]:
        """What a card says of it, as JSON values."""
        return self.figures.result(self.split, images=len(self), flip=self.protocol.flip)

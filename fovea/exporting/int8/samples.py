"""Samples as a float core sees them, made batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.inputs.interface import Preprocessing, Stored


@dataclass(frozen=True)
class Samples:
    """Stored samples (N, ...) and how they become the input of a network."""

    stored: Stored
    preprocess: Preprocessing
    labels: NDArray[Any] | None = None
    """(N,) or (N, L) as the task of the network has them; None where nobody needs them."""

    def __len__(self) -> int:
        return len(self.stored)

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield inputs (n, *shape) float32, normalised, n being `size` but for the last."""
        for start in range(0, len(self), size):
            yield self.preprocess.normalise(np.asarray(self.stored[start : start + size]))

    def first(self, count: int) -> "Samples":
        """Return the first samples."""
        labels = None if self.labels is None else self.labels[:count]
        return Samples(self.stored[:count], self.preprocess, labels)

"""Samples as a float core, or one in int8, sees them, made batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fovea.exporting.int8.session import session
from fovea.inputs.interface import Preprocessing, Stored
from fovea.tasks.task import Labels

Progress = Callable[[int, int], None]

BATCH_VALUES = 2_000_000
"""Numbers of a batch of inputs; fewer samples where these are large."""
MOST_AT_A_TIME = 32


@dataclass(frozen=True)
class Samples:
    """Stored samples (N, ...) and how they become the input of a network."""

    stored: Stored
    preprocess: Preprocessing
    labels: Labels | None = None
    """(N,) or (N, L) as the task of the network has them; None if they are not needed."""
    source: str = "samples"
    """What they are and where from, in words: `images of cifar10, split val`."""

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def text(self) -> str:
        """How many they are, and where from."""
        return f"{len(self):,} {self.source}"

    @property
    def batch(self) -> int:
        """How many are taken at a time."""
        return max(1, min(MOST_AT_A_TIME, BATCH_VALUES // int(np.prod(self.preprocess.shape))))

    def parts(self) -> Iterator[Stored]:
        """Yield stored samples, some at a time."""
        for start in range(0, len(self), self.batch):
            yield np.asarray(self.stored[start : start + self.batch])

    def inputs(self) -> Iterator[NDArray[np.float32]]:
        """Yield inputs (n, *shape) float32, normalised, some at a time."""
        return (self.preprocess.normalise(part) for part in self.parts())

    def first(self, count: int) -> "Samples":
        """Return the first samples."""
        labels = None if self.labels is None else self.labels[:count]
        return Samples(self.stored[:count], self.preprocess, labels, self.source)


def takes_stored(model: onnx.ModelProto) -> bool:
    """Tell whether a core takes stored images, rather than normalised numbers."""
    return bool(model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8)


def outputs(model: onnx.ModelProto, samples: Samples, *, progress: Progress | None = None) -> NDArray[np.float32]:
    """Return what a core says of samples, (N, K) float32."""
    run = session(model)
    name = run.get_inputs()[0].name
    found: list[NDArray[Any]] = []
    done = 0
    for given in samples.parts() if takes_stored(model) else samples.inputs():
        found.append(run.run(None, {name: given})[0])
        done += len(given)
        if progress:
            progress(done, len(samples))
    return np.concatenate(found)

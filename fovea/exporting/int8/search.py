"""Which layers stay float: those whose rounding moves the logits most, as few as the allowed drop asks for."""

import time
from collections.abc import Callable, Collection, Sequence

import numpy as np
import onnx

from fovea.exporting.int8.samples import Progress, Samples, outputs
from fovea.exporting.int8.scoring import Logits, distance

RANKED_ON = 128
"""Samples by which layers are ranked."""

Write = Callable[[Collection[str]], onnx.ModelProto]
"""Layers that stay float -> the core in int8."""


def ranked(
    names: Sequence[str], write: Write, samples: Samples, before: Logits, *, seconds: float, progress: Progress | None
) -> list[str]:
    """Return the layers by how much nearer the logits come to `before` where one alone stays float, the best first.

    What is not reached in the time comes last, in the order of the graph.
    """
    few = samples.first(RANKED_ON)
    begun, found = time.monotonic(), {}
    for index, name in enumerate(names):
        if time.monotonic() - begun > seconds:
            break
        found[name] = distance(before[: len(few)], outputs(write([name]), few))
        if progress:
            progress(index + 1, len(names))
    return sorted(names, key=lambda name: found.get(name, np.inf))


def fewest(order: Sequence[str], suffices: Callable[[Sequence[str]], bool]) -> list[str] | None:
    """Return the shortest beginning of `order` that suffices, found by doubling and halving; None if all do not.

    It is taken that what suffices still does with more.
    """
    enough = 1
    while not suffices(order[:enough]):
        if enough >= len(order):
            return None
        enough = min(2 * enough, len(order))
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        if suffices(order[:middle]):
            enough = middle
        else:
            short = middle
    return list(order[:enough])

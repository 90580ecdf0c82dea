"""Which numbers the values of a graph take on calibration samples, and from that the range that uint8 shall cover."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fovea.errors import unknown
from fovea.exporting.int8.arithmetic import LEVELS
from fovea.exporting.int8.samples import Progress, Samples
from fovea.exporting.int8.session import session, with_outputs

BINS = 2048
COUNTED = 200_000
"""Of a larger value, evenly spread elements of each batch are counted; its least and largest are those of all."""
PERCENTILE = 99.99
"""Of the elements, the share that `percentile` keeps inside."""
SHARES = np.linspace(0.2, 1.0, 81)
"""Of the full range, what `mse` tries."""

Float32 = NDArray[np.float32]


@dataclass
class Observed:
    """What was seen of one value."""

    least: float = np.inf
    largest: float = -np.inf
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    """How many elements fell in each of the bins between `least` and `largest`."""
    sums: NDArray[np.float64] | None = None
    """The sum over samples and places, for each channel."""
    places: int = 0
    """How many elements each of these sums has."""

    @property
    def means(self) -> NDArray[np.float64] | None:
        """The mean of each channel, (channels,) float64."""
        return None if self.sums is None else self.sums / self.places

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middles of the bins, (BINS,) float64."""
        ends = np.linspace(self.least, self.largest, BINS + 1)
        return (ends[:-1] + ends[1:]) / 2


def observe(
    model: onnx.ModelProto, values: Collection[str], samples: Samples, *, progress: Progress | None = None
) -> dict[str, Observed]:
    """Return what is seen of the `values` of a float model on samples, which it sees twice."""
    found = {name: Observed() for name in sorted(values)}
    run = session(with_outputs(model, list(found)))
    done = 0
    for look in (_look_at_ends, _count):
        for batch in samples.inputs():
            for name, array in _values(run, list(found), batch).items():
                look(found[name], array)
            done += len(batch)
            if progress:
                progress(done, 2 * len(samples))
    return found


def _look_at_ends(seen: Observed, array: Float32) -> None:
    seen.least, seen.largest = min(seen.least, float(array.min())), max(seen.largest, float(array.max()))
    others = tuple(dim for dim in range(array.ndim) if dim != 1)
    sums = array.sum(axis=others, dtype=np.float64) if array.ndim > 1 else np.asarray([array.sum(dtype=np.float64)])
    seen.sums = sums if seen.sums is None else seen.sums + sums
    seen.places += array.size // max(1, len(sums))


def _count(seen: Observed, array: Float32) -> None:
    part = array.reshape(-1)[:: max(1, array.size // COUNTED)]
    if seen.largest <= seen.least:
        seen.counts[0] += part.size
        return
    scale = np.float32(BINS / (seen.largest - seen.least))
    index = ((part - np.float32(seen.least)) * scale).astype(np.int32)
    seen.counts += np.bincount(np.clip(index, 0, BINS - 1), minlength=BINS)


def min_max(seen: Observed) -> tuple[float, float]:
    """Return the range that holds all that was seen."""
    return seen.least, seen.largest


def percentile(seen: Observed) -> tuple[float, float]:
    """Return the range that leaves out one element in 10,000, half of them at each end that is not zero."""
    outside = (1 - PERCENTILE / 100) / (2 if seen.least < 0 < seen.largest else 1)
    share = np.cumsum(seen.counts) / max(1, seen.counts.sum())
    centres = seen.centres
    least = centres[np.searchsorted(share, outside)] if seen.least < 0 else seen.least
    largest = centres[min(BINS - 1, int(np.searchsorted(share, 1 - outside)))] if seen.largest > 0 else seen.largest
    return float(least), float(largest)


def mse(seen: Observed) -> tuple[float, float]:
    """Return the range, a share of the full one, whose mean squared error of rounding and cutting is least."""
    least, largest = min(seen.least, 0.0), max(seen.largest, 0.0)
    if largest == least:
        return least, largest
    step = SHARES * (largest - least) / LEVELS
    low, high = SHARES * least, SHARES * largest
    centres, counts = seen.centres[:, None], seen.counts[:, None]
    cut = np.maximum(low - centres, 0) ** 2 + np.maximum(centres - high, 0) ** 2
    inside = (centres >= low) & (centres <= high)
    errors = (counts * (cut + inside * step**2 / 12)).sum(0)
    best = int(errors.argmin())
    return float(low[best]), float(high[best])


METHODS: dict[str, Callable[[Observed], tuple[float, float]]] = {
    "minmax": min_max,
    "percentile": percentile,
    "mse": mse,
}
"""How a range is chosen."""


def method(name: str) -> Callable[[Observed], tuple[float, float]]:
    """Return the way to choose a range that is called `name`; UsageError for others."""
    if name not in METHODS:
        raise unknown("calibration", name, METHODS)
    return METHODS[name]


def _values(run: Any, names: Sequence[str], batch: Float32) -> dict[str, Float32]:
    """Return the values of a batch by name; the input is one of them."""
    own = run.get_inputs()[0].name
    asked = [name for name in names if name != own]
    arrays = dict(zip(asked, run.run(asked, {own: batch}), strict=True)) if asked else {}
    return {**arrays, **({own: batch} if own in names else {})}

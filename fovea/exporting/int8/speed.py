"""How fast a core in int8 is beside the same in float, on this machine: processor time of one thread, taken in turn."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from fovea.exporting.int8.samples import Samples, takes_stored
from fovea.exporting.int8.session import session

WARM, FEWEST, MOST = 3, 9, 60
"""Rounds before time counts, and how many count."""
ENOUGH_S = 3.0
"""After so many seconds the fewest rounds do."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Milliseconds for one sample on one thread, medians, and the median of the ratios of all rounds."""

    float_ms: float
    int8_ms: float
    ratio: float
    """Float by int8: above 1 int8 is faster."""
    quartiles: tuple[float, float]
    """Between which the middle half of these ratios lies."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "ratio": round(self.ratio, 3),
            "quartiles": [round(end, 3) for end in self.quartiles],
            "float_ms": round(self.float_ms, 3),
            "int8_ms": round(self.int8_ms, 3),
            "threads": 1,
            "batch": 1,
        }


def compared(before: onnx.ModelProto, after: onnx.ModelProto, samples: Samples) -> Speed:
    """Return how fast the core `after` is beside `before`, on the first of the samples."""
    runs = {name: _once(model, samples) for name, model in (("float", before), ("int8", after))}
    times = interleaved(runs)
    ratios = times["float"] / times["int8"]
    low, high = np.quantile(ratios, (0.25, 0.75))
    medians = {name: 1000 * float(np.median(each)) for name, each in times.items()}
    return Speed(
        float_ms=medians["float"],
        int8_ms=medians["int8"],
        ratio=float(np.median(ratios)),
        quartiles=(float(low), float(high)),
    )


def interleaved(runs: Mapping[str, Callable[[], object]]) -> dict[str, np.ndarray]:
    """Return the seconds of processor time of each call of each function, (calls,) float64, called in turn: A B A B."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    begun = time.perf_counter()
    for index in range(-WARM, MOST):
        for name, run in runs.items():
            begin = time.thread_time()
            run()
            if index >= 0:
                times[name].append(max(time.thread_time() - begin, 1e-9))
        if index + 1 >= FEWEST and time.perf_counter() - begun > ENOUGH_S:
            break
    return {name: np.asarray(seconds) for name, seconds in times.items()}


def _once(model: onnx.ModelProto, samples: Samples) -> Callable[[], object]:
    run = session(model, threads=1)
    one = samples.first(1)
    given = next(one.parts() if takes_stored(model) else one.inputs())
    feed = {run.get_inputs()[0].name: given}
    return lambda: run.run(None, feed)

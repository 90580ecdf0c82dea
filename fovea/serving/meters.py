"""Counters that all processes of a server share, in the text form that Prometheus reads.

They lie in a mapped file: a row per process, which only that process writes. What a process has counted stays when it
ends, and the one that takes its place goes on from there, so no count is lost and none falls.
"""

import mmap
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.drift import BINS, MEASURES

CODES = (200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 431, 499, 500, 503)
"""499 stands for a client that has disconnected."""
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
ALL = ""
"""Stands for requests that name no model that there is."""


class Family(NamedTuple):
    """One metric: its name without the prefix, its type, what it means, and the cells it takes per model."""

    name: str
    kind: str
    does: str
    cells: int = 1
    bounds: Sequence[float] = ()
    """Upper bounds of the buckets of a histogram; its last cell is the sum."""


FAMILIES = (
    Family("requests_total", "counter", "Requests by model and status.", len(CODES) + 1),
    Family(
        "request_duration_seconds",
        "histogram",
        "Seconds from the request header to the response.",
        len(SECONDS) + 2,
        SECONDS,
    ),
    Family("batch_size", "histogram", "Images computed in one batch.", len(IMAGES) + 2, IMAGES),
    Family("images_total", "counter", "Images with a response."),
    Family("refused_images_total", "counter", "Images that could not be decoded or predicted."),
    Family("shed_total", "counter", "Requests refused because the server was busy."),
    Family("expired_total", "counter", "Requests that timed out."),
    Family("queue_depth", "gauge", "Decoded images waiting for the network."),
    Family("in_flight_images", "gauge", "Images being read, decoded, waiting or computed."),
    Family("reloads_total", "counter", "Model files replaced while serving."),
    Family("refused_reloads_total", "counter", "New model files that could not be loaded."),
)
DRIFT = Family("drift", "gauge", "Population stability index against the validation split.", len(MEASURES) * BINS)
RESTARTS = Family("worker_restarts_total", "counter", "Processes that ended and were restarted.")
_OFFSETS = dict(
    zip(
        (family.name for family in (*FAMILIES, DRIFT)),
        np.cumsum([0, *(family.cells for family in (*FAMILIES, DRIFT))]).tolist(),
        strict=False,
    )
)
_PER_MODEL = sum(family.cells for family in (*FAMILIES, DRIFT))
_GAUGES = [family for family in FAMILIES if family.kind == "gauge"]


def size_bytes(models: int, slots: int) -> int:
    """Return how large the mapped file of a server is."""
    return 8 * (1 + slots * (models + 1) * _PER_MODEL)


class Meters:
    """The counters of one server, seen from one of its processes."""

    def __init__(self, descriptor: int, models: Sequence[str], *, slots: int, slot: int = 0) -> None:
        self._memory = mmap.mmap(descriptor, size_bytes(len(models), slots))
        cells = np.frombuffer(self._memory, np.float64)
        self._restarts = cells[:1]
        self._cells = cells[1:].reshape(slots, len(models) + 1, _PER_MODEL)
        self._own = self._cells[slot]
        self._index = {name: index for index, name in enumerate((*models, ALL))}
        self._lock = threading.Lock()

    def count(self, model: str, family: str, by: float = 1, *, cell: int = 0) -> None:
        """Add to a counter or gauge."""
        with self._lock:
            self._own[self._index[model], _OFFSETS[family] + cell] += by

    def set(self, model: str, family: str, value: float) -> None:
        """Set a gauge."""
        self._own[self._index[model], _OFFSETS[family]] = value

    def observe(self, model: str, family: str, value: float) -> None:
        """Add a value to a histogram."""
        bounds = _FAMILY[family].bounds
        bucket = next((index for index, bound in enumerate(bounds) if value <= bound), len(bounds))
        row, at = self._own[self._index[model]], _OFFSETS[family]
        with self._lock:
            row[at + bucket] += 1
            row[at + len(bounds) + 1] += value

    def answered(self, model: str, status: int, seconds: float) -> None:
        """Count a request that has its answer."""
        name = model if model in self._index else ALL
        self.count(name, "requests_total", cell=CODES.index(status) if status in CODES else len(CODES))
        if name != ALL:
            self.observe(name, "request_duration_seconds", seconds)

    def drift_counts(self, model: str) -> NDArray[np.float64]:
        """Return this process's counts (M, B) float64 for drift, of measures and bins, to be changed in place."""
        at = _OFFSETS[DRIFT.name]
        found: NDArray[np.float64] = self._own[self._index[model], at : at + DRIFT.cells].reshape(len(MEASURES), BINS)
        return found

    def all_drift_counts(self, model: str) -> NDArray[np.float64]:
        """Return the sum over the processes of `drift_counts`: (M, B) float64."""
        at = _OFFSETS[DRIFT.name]
        summed = self._cells[:, self._index[model], at : at + DRIFT.cells].sum(0)
        found: NDArray[np.float64] = summed.reshape(len(MEASURES), BINS)
        return found

    def total(self, model: str, family: str) -> float:
        """Return the sum over the processes of a counter or gauge."""
        return float(self._cells[:, self._index[model], _OFFSETS[family]].sum())

    def restarted(self, slot: int) -> None:
        """Count that the process of a slot has ended, and forget what it was in the middle of."""
        self._restarts[0] += 1
        for family in _GAUGES:
            self._cells[slot, :, _OFFSETS[family.name]] = 0

    def text(self, drift: dict[str, dict[str, float]]) -> str:
        """Return all metrics as Prometheus reads them; `drift` holds the index of each measure of each model."""
        lines = [line for family in FAMILIES for line in self._lines(family)]
        lines += _head(DRIFT)
        for model, measures in drift.items():
            lines += [
                f'fovea_{DRIFT.name}{{model="{model}",measure="{name}"}} {value:.6g}'
                for name, value in measures.items()
            ]
        lines += [*_head(RESTARTS), f"fovea_{RESTARTS.name} {self._restarts[0]:g}"]
        return "\n".join(lines) + "\n"

    def _lines(self, family: Family) -> Iterator[str]:
        yield from _head(family)
        for model, index in self._index.items():
            at = _OFFSETS[family.name]
            values = self._cells[:, index, at : at + family.cells].sum(0).tolist()
            if family.name == "requests_total":
                yield from _requests(model, values)
            elif model != ALL and family.kind == "histogram":
                yield from _histogram(family, model, values)
            elif model != ALL:
                yield f'fovea_{family.name}{{model="{model}"}} {values[0]:.15g}'


_FAMILY = {family.name: family for family in FAMILIES}


def _head(family: Family) -> list[str]:
    return [f"# HELP fovea_{family.name} {family.does}", f"# TYPE fovea_{family.name} {family.kind}"]


def _requests(model: str, values: Sequence[float]) -> Iterator[str]:
    for code, value in zip((*map(str, CODES), "other"), values, strict=True):
        if value:
            yield f'fovea_requests_total{{model="{model}",code="{code}"}} {value:.15g}'


def _histogram(family: Family, model: str, values: Sequence[float]) -> Iterator[str]:
    *counts, total = values
    reached = np.cumsum(counts).tolist()
    for bound, count in zip((*map(str, family.bounds), "+Inf"), reached, strict=True):
        yield f'fovea_{family.name}_bucket{{model="{model}",le="{bound}"}} {count:.15g}'
    yield f'fovea_{family.name}_sum{{model="{model}"}} {total:.15g}'
    yield f'fovea_{family.name}_count{{model="{model}"}} {reached[-1]:.15g}'

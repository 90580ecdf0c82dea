"""The last row of a chain that ends in another file: the same network in integers, run by onnxruntime."""

import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fovea.compression.pruning.clock import timer
from fovea.compression.table import BATCHES, OTHER, Row, Timing
from fovea.display import Display
from fovea.measurement.latency import passes_of
from fovea.runs.chain.material import Material
from fovea.runs.chain.measured import DIGITS, TIMED_S, outputs_on, rounded, timed, with_test
from fovea.runtime.exported import Exported, load


def row_of_file(step: str, path: Path, material: Material, *, rows: list[Row], display: Display) -> Row:
    """Return the row of an exported network, which has the parameters and multiply-adds of the row before it."""
    began = time.monotonic()
    predictor = load(path, threads=rows[-1].threads)
    outputs = outputs_on(predictor, material, "val", display)
    score = material.measured(outputs, material.labels("val"))
    value, size = float(score.value or 0.0), path.stat().st_size
    row = replace(
        rows[-1],
        step=step,
        score=value,
        interval=rounded(score.interval),
        drop=round(material.target.metric.lost(rows[0].score, value), DIGITS),
        file_bytes=size,
        tensor_bytes=size,
        latency={batch: _timing(predictor, material, batch) for batch in BATCHES},
        runs=OTHER,
        notes=(),
    )
    return replace(with_test(row, predictor, material, display), seconds=round(time.monotonic() - began, 1))


def timing_of_file(path: Path, material: Material, *, threads: int, batch: int) -> Timing:
    """Return how long passes of a batch through an exported network take."""
    return _timing(load(path, threads=threads), material, batch)


def _timing(predictor: Exported, material: Material, batch: int) -> Timing:
    """Return how long passes of a batch of stored samples take, preprocessing and decoding with them."""
    stored = material.dataset.parts["val"].decoded
    samples = np.stack([np.asarray(stored[index % len(stored)]) for index in range(batch)])

    now = timer()

    def once() -> float:
        begin = now()
        predictor.logits(samples, batch=batch)
        return now() - begin

    times = passes_of(once, seconds=TIMED_S)
    tenths = statistics.quantiles(times, n=10, method="inclusive")
    return timed(statistics.median(times), tenths[0], tenths[-1], passes=len(times))

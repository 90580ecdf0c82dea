"""One row of the table: what a network is worth, how large it is, and how fast."""

import time
from dataclasses import replace

import torch
from torch import Tensor

from fovea.compression.pruning.clock import timer
from fovea.compression.table import BATCHES, OWN, Row, Timing
from fovea.display import Display
from fovea.errors import FoveaError
from fovea.evaluation.parts import outcome_of
from fovea.layers import copied
from fovea.measurement.latency import time_forward
from fovea.measurement.network import measure_network
from fovea.model.bundle import Bundle
from fovea.model.predictor import Predictor
from fovea.runs.chain.material import Material

DIGITS = 6
"""Of intervals and losses, behind the point."""
TIMED_S = 1.0
"""Seconds that timing one batch size takes, about."""


def outputs_on(predictor: Predictor, material: Material, split: str, display: Display) -> Tensor:
    """Return a network's outputs on a split, (N, K) float32."""
    part = material.dataset.parts[split]
    return predictor.outputs(part.decoded, progress=display.counter(f"evaluating on {split}"))


def row_of(step: str, bundle: Bundle, outputs: Tensor, material: Material, *, first: Row | None) -> Row:
    """Return the row of a network whose outputs (N, K) float32 on validation are known; its file is not yet."""
    score = material.measured(outputs, material.labels("val"))
    value = float(score.value or 0.0)
    parameters = list(bundle.model.parameters())
    return Row(
        step=step,
        split="val",
        images=len(outputs),
        metric=material.target.metric.name,
        score=value,
        interval=rounded(score.interval),
        drop=0.0 if first is None else round(material.target.metric.lost(first.score, value), DIGITS),
        parameters=sum(parameter.numel() for parameter in parameters),
        nonzero=sum(int(torch.count_nonzero(parameter)) for parameter in parameters),
        macs=macs_of(bundle),
        file_bytes=0,
        tensor_bytes=0,
        latency={batch: timing_of(bundle, batch) for batch in BATCHES},
        runs=OWN,
        threads=torch.get_num_threads(),
        seconds=0.0,
    )


def macs_of(bundle: Bundle) -> int | None:
    """Return the multiply-adds of one input; None where not all are counted."""
    try:
        measured = measure_network(bundle.model, bundle.preprocess.shape)
    except FoveaError:  # a network that cannot be walked runs all the same
        return None
    return None if "macs" in measured.missing else measured.total.macs


def timing_of(bundle: Bundle, batch: int) -> Timing:
    """Return how long passes of a batch take; on one thread of the processor, in its time, as `timer` says."""
    found = time_forward(
        copied(bundle.model),
        bundle.preprocess.shape,
        macs=None,
        batch=batch,
        seconds=TIMED_S,
        now=timer() if bundle.device.type == "cpu" else time.perf_counter,
    )
    return timed(found.median_s, found.p10_s, found.p90_s, passes=found.passes)


def timed(median_s: float, p10_s: float, p90_s: float, *, passes: int) -> Timing:
    """Return times in four digits, which are more than they repeat in."""
    median_s, p10_s, p90_s = (float(f"{value:.4g}") for value in (median_s, p10_s, p90_s))
    return Timing(median_s=median_s, p10_s=p10_s, p90_s=p90_s, passes=passes)


def rounded(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return an interval in as many digits as a card should hold."""
    return None if interval is None else (round(interval[0], DIGITS), round(interval[1], DIGITS))


def with_test(row: Row, predictor: Predictor, material: Material, display: Display) -> Row:
    """Return the row with the score on the test split, where there is one."""
    if "test" not in material.dataset.parts:
        return row
    outputs = outputs_on(predictor, material, "test", display)
    score = material.measured(outputs, material.labels("test"))
    found = rounded(score.interval)
    interval = {"interval": list(found)} if found else {}
    return replace(row, test={"score": score.value, **interval, "images": len(outputs)})


def results_of(predictor: Predictor, material: Material, splits: tuple[str, ...]) -> tuple[dict[str, object], ...]:
    """Return what a card says of a network on parts."""
    parts = {name: part for name, part in material.dataset.parts.items() if name in splits}
    return tuple(
        outcome_of(predictor, replace(material.dataset, parts={name: part}), split=name).result
        for name, part in parts.items()
    )

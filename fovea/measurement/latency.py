"""How long a forward pass takes on this machine, with its spread, and the rate of multiply-adds it reaches."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from fovea.layers import channels_last
from fovea.measurement.result import article, sample_name

WARM_UP = 3
"""Passes before the first that counts: buffers are laid out, kernels chosen."""
LEAST, MOST = 10, 500
"""Passes that count."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Times of one forward pass."""

    batch: int
    """Inputs of the pass."""
    device: str
    threads: int
    """Of PyTorch, on the processor."""
    passes: int
    median_s: float
    p10_s: float
    """A tenth of the passes took at most this."""
    p90_s: float
    """Nine tenths took at most this."""
    macs_per_s: float | None
    """Multiply-adds of the batch by the median time; None if not all are counted."""
    sample: str = "image"
    """What one input is: `image`, `series`, `clip` or `input`."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        low, middle, high = (f"{1e3 * value:.3g}" for value in (self.p10_s, self.median_s, self.p90_s))
        where = f"{self.threads} thread{'s' if self.threads > 1 else ''}" if self.device == "cpu" else self.device
        each = article(self.sample) if self.batch == 1 else f"for {self.batch} inputs"
        rate = "unknown: not all multiply-adds are counted"
        if self.macs_per_s is not None:
            rate = f"{self.macs_per_s / 1e9:.3g} GMAC/s"
        return [
            f"Latency    {middle} ms {each}, from {low} (10 %) to {high} (90 %) in {self.passes} passes, {where}",
            f"Rate       {rate}",
        ]


def time_forward(
    model: nn.Module,
    input_shape: Sequence[int],
    *,
    macs: int | None,
    batch: int = 1,
    seconds: float = 2.0,
    now: Callable[[], float] = time.perf_counter,
    progress: Callable[[int, int], None] | None = None,
) -> Latency:
    """Return the times of forward passes of `batch` inputs of `input_shape`, (C, *sizes), of `macs` multiply-adds each.

    It runs, and is left, in evaluation mode, with its weights and images channels-last, as Fovea runs networks, for
    about `seconds` and at least ten passes. `now` tells the time in seconds.
    """
    weight = next(model.parameters(), torch.empty(0))
    channels_last(model.eval())
    x = torch.rand(batch, *input_shape, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    if x.ndim == 4:
        x = x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        times = passes_of(lambda: _timed(model, x, now), seconds=seconds, progress=progress)
    # tenths and the median: one pass that another program has held up moves neither
    tenths = statistics.quantiles(times, n=10, method="inclusive")
    return Latency(
        batch=batch,
        device=weight.device.type,
        threads=torch.get_num_threads(),
        passes=len(times),
        median_s=statistics.median(times),
        p10_s=tenths[0],
        p90_s=tenths[-1],
        macs_per_s=None if macs is None else batch * macs / statistics.median(times),
        sample=sample_name(tuple(input_shape)),
    )


def passes_of(
    once: Callable[[], float], *, seconds: float, progress: Callable[[int, int], None] | None = None
) -> list[float]:
    """Return the seconds of passes, each timed by `once`, for about `seconds`, after a few that do not count."""
    for _ in range(WARM_UP):
        last = once()
    # the last pass of the warm-up tells how many fit into `seconds`
    passes = max(LEAST, min(MOST, int(seconds / last)))
    times: list[float] = []
    for done in range(1, passes + 1):
        times.append(once())
        if progress is not None:
            progress(done, passes)
    return times


def _timed(model: nn.Module, x: torch.Tensor, now: Callable[[], float]) -> float:
    began = now()
    model(x)
    # the call returns when the work is queued, not when it is done
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    elif x.is_mps:
        torch.mps.synchronize()
    return now() - began

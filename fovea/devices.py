"""What a network runs on: its device, and how fast and how large the machine is."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fovea.budget import most_threads
from fovea.errors import UsageError

MEMINFO = Path("/proc/meminfo")


def device_named(name: str) -> torch.device:
    """Return the device called `name`, as `cpu` or `cuda:1`, or for `auto` the best one here: `cuda`, `mps` or `cpu`.

    Raises:
        UsageError: this machine does not have it.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    here = [kind for kind, found in there.items() if found]
    if name == "auto":
        return torch.device(here[0])
    if name.partition(":")[0] not in here:
        raise UsageError(f"`--device {name}` is not available; this machine has {', '.join(here)}.")
    return torch.device(name)


def check_threads(threads: object) -> None:
    """Raise UsageError unless `threads` is a number of threads that a computation may have."""
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= most_threads():
        raise UsageError(f"`--threads` (={threads}) must be a whole number from 1 to {most_threads()}.")


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Run the body with so many CPU threads in PyTorch; with as many as there are where it is None.

    Raises:
        UsageError: not a whole number from 1 to `fovea.budget.most_threads()`.
    """
    before = torch.get_num_threads()
    if threads is not None:
        check_threads(threads)
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def matmul_rate(side: int = 1024, *, seconds: float = 0.3) -> float:
    """Return the floating-point operations per second of a float32 matrix product, the best of a few."""
    a = torch.ones(side, side)
    best, end = math.inf, time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def memory_bytes() -> tuple[int, int] | None:
    """Return how much memory is available, and how much there is; None if the system does not say (not Linux)."""
    if not MEMINFO.exists():
        return None
    lines = MEMINFO.read_text().splitlines()
    kibibytes = {key: int(rest.split()[0]) for key, _, rest in (line.partition(":") for line in lines)}
    return 1024 * kibibytes["MemAvailable"], 1024 * kibibytes["MemTotal"]

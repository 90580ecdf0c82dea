"""What the measurements share: arguments, the state of the machine, its ceiling, and contestants that run in turn."""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from fovea.devices import using_threads
from fovea.runs.process import as_found
from fovea.training.engine import Trainer
from fovea.training.tuning import available_threads

MATRIX = 2048
"""Side of the square matrices whose product is the ceiling."""

Contestant = Callable[[], float]
Figures = dict[str, list[float]]


def arguments(about: str | None, *, quick: str = "") -> argparse.ArgumentParser:
    """Return a parser that shows what a script is `about`; with `--quick` where `quick` says what that does."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if quick:
        parser.add_argument("--quick", action="store_true", help=f"{quick}: does it run at all?")
    return parser


def begun(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the arguments given, and print the machine."""
    given = parser.parse_args()
    print(description(), flush=True)
    return given


def run_fovea(*command: str) -> Any:
    """Return what `fovea COMMAND --json` prints, run in a process of its own."""
    whole = [sys.executable, "-m", "fovea", *command, "--json"]
    return json.loads(subprocess.run(whole, check=True, stdout=subprocess.PIPE, text=True).stdout)


def on_test(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the result of `fovea train` says of the test part."""
    return next(entry for entry in result["results"] if entry["split"] == "test")


def description() -> str:
    """Return the processor, how much of it is free, and the versions, in one line."""
    cores, load = available_threads(), os.getloadavg()[0]
    return (
        f"{processor()}, {cores} cores, load {load:.1f}, Python {platform.python_version()}, torch {torch.__version__}"
    )


def processor() -> str:
    """Return the processor's name with the vector instructions that matter here."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    units = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{fields.get('model name', platform.machine())} ({' '.join(units)})"


def matmul_rate(precision: str, *, seconds: float = 0.5) -> float:
    """Return the floating-point operations per second of square matrix products on all cores: the ceiling."""
    matrix = torch.randn(MATRIX, MATRIX).to(getattr(torch, precision))
    times: list[float] = []
    with using_threads(available_threads()):
        matrix @ matrix
        while sum(times) < seconds or len(times) < 3:
            began = time.perf_counter()
            matrix @ matrix
            times.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / median(times)


def epochs(trainer: Trainer) -> Iterator[Tensor]:
    """Yield the indices of one training step after the other, without end."""
    while True:
        yield from trainer.batches()
        trainer.clock.epoch, trainer.clock.step = trainer.clock.epoch + 1, 0


def training(trainer: Trainer, *, steps: int, warm_up: int = 2) -> Contestant:
    """Return a contestant: the images/s of `Trainer.train_step`, with the threads and allocator of a training."""
    batches = epochs(trainer)
    trainer.model.train()

    def step() -> int:
        indices = next(batches)
        trainer.train_step(indices)
        return len(indices)

    def run() -> float:
        with as_found(), using_threads(trainer.recipe.threads):
            return rate(step, steps=steps, warm_up=warm_up)

    return run


def rate(step: Callable[[], int], *, steps: int, warm_up: int = 2) -> float:
    """Return the images/s of `step`, which returns how many it took, after `warm_up` uncounted ones."""
    for _ in range(warm_up):
        step()
    began = time.perf_counter()
    images = sum(step() for _ in range(steps))
    return images / (time.perf_counter() - began)


@contextmanager
def own_process(make: Callable[..., Contestant], *args: Any) -> Iterator[Contestant]:
    """Yield the contestant `make(*args)` in a process of its own, which no setting of fovea's reaches."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, make, args))
    process.start()
    there.close()

    def run() -> float:
        here.send(True)
        figure: float = here.recv()
        return figure

    try:
        yield run
    finally:
        here.close()
        process.join()


def _serve(pipe: Connection, make: Callable[..., Contestant], args: tuple[Any, ...]) -> None:
    run = make(*args)
    try:
        while pipe.recv():
            pipe.send(run())
    except EOFError:
        pipe.close()


def in_turn(contestants: Mapping[str, Contestant], *, rounds: int) -> Figures:
    """Return the figures of each: they run A B A B, so that other load on the machine meets all of them."""
    figures: Figures = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            figures[name].append(run())
    return figures


def ratio(figures: Sequence[float], of: Sequence[float]) -> float:
    """Return the median over the rounds of one contestant's figure divided by another's in the same round."""
    return median(a / b for a, b in zip(figures, of, strict=True))


def print_figures(figures: Figures, *, unit: str, scale: float = 1.0) -> None:
    """Print the median and the spread of each contestant's figures divided by `scale`."""
    for name, values in figures.items():
        low, middle, high = min(values) / scale, median(values) / scale, max(values) / scale
        print(f"  {name:34} {middle:10,.1f} {unit}  ({low:,.1f} to {high:,.1f}, {len(values)} runs)")


def print_verdict(what: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """Print a result beside its target."""
    target = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
    reached = value >= at_least if at_least is not None else at_most is not None and value <= at_most
    print(f"{what}: {value:.3g}, target {target}: {'reached' if reached else 'MISSED'}", flush=True)

"""What this machine does best: thread count and precision by timing a few steps, and a learning rate by a sweep."""

import dataclasses
import itertools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fovea.devices import using_threads
from fovea.errors import TrainingError, UsageError
from fovea.layers import copied
from fovea.training.engine import Trainer
from fovea.training.inference import Progress, autocast
from fovea.training.losses import Loss
from fovea.training.optim import make_optimisers
from fovea.training.recipe import Recipe

MOST_STEPS = 1000
"""So many steps of one setting are timed at most."""
ROUNDS = 2
"""Settings are timed in turn, so many times: what else the machine does meets all of them."""
HOPELESS = 5.0
"""A setting whose first step takes so many times the best step is timed no further: bfloat16 where it is emulated."""


@dataclass(frozen=True)
class Setting:
    """One way to run a step, and how long a step took, in seconds."""

    threads: int
    precision: str
    step_s: float


def time_settings(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    loss: Loss,
    recipe: Recipe,
    seconds: float = 2.0,
    progress: Progress | None = None,
) -> list[Setting]:
    """Return the timed settings that `recipe` leaves open, fastest first; `model` itself is not changed.

    `images` (N, C, H, W) float32 normalised and `labels` (N,) are on the device. A step is one of a training: forward,
    backward, optimiser. Each setting runs for its share of `seconds`, at least twice; its median step counts, so that
    other load on the machine counts too. One that is hopeless in its warm-up stops there.
    """
    threads = [recipe.threads] if recipe.threads else thread_counts(available_threads())
    if images.device.type != "cpu" and not recipe.threads:
        threads = [torch.get_num_threads()]
    precisions = [recipe.precision] if recipe.precision != "auto" else ["float32", "bfloat16"]
    if images.device.type == "mps" and recipe.precision == "auto":
        precisions = ["float32"]
    candidates = [(count, precision) for count in threads for precision in precisions]
    trial = copied(model).train()
    optimisers = _standing_still(make_optimisers(trial, recipe))
    share = seconds / len(candidates) / ROUNDS
    times: dict[tuple[int, str], list[float]] = {candidate: [] for candidate in candidates}
    hopeless: set[tuple[int, str]] = set()
    turns = [candidate for _ in range(ROUNDS) for candidate in candidates]
    for turn, (count, precision) in enumerate(turns):
        if progress:
            progress(turn, len(turns))
        if (count, precision) in hopeless:
            continue
        best_s = min((statistics.median(taken) for taken in times.values() if taken), default=math.inf)
        with using_threads(count):
            step = partial(_step, trial, optimisers, images, labels, loss, precision)
            taken, slow = _times(step, share, limit_s=HOPELESS * best_s)
        times[count, precision] += taken
        if slow:
            hopeless.add((count, precision))
    if progress:
        progress(len(turns), len(turns))
    timed = [Setting(*candidate, statistics.median(taken)) for candidate, taken in times.items()]
    return sorted(timed, key=lambda setting: setting.step_s)


def _standing_still(optimisers: list[Optimizer]) -> list[Optimizer]:
    """Return the optimisers at a rate of 0: a step takes the time it takes, and the loss stays finite."""
    for group in (group for optimiser in optimisers for group in optimiser.param_groups):
        group["lr"] = 0.0
    return optimisers


def thread_counts(available: int) -> list[int]:
    """Return the numbers of threads worth a trial: 1, 2, 4, ... and all that are `available`."""
    return [*(1 << power for power in range((available - 1).bit_length())), available]


def available_threads() -> int:
    """Return how many processors this process may use: its share where `torchrun` has started several here."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, there // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _step(
    model: nn.Module, optimisers: list[Optimizer], images: Tensor, labels: Tensor, loss: Loss, precision: str
) -> None:
    with autocast(images.device, precision):
        outputs = model(images)
    loss(outputs, labels).backward()  # type: ignore[no-untyped-call]
    for optimiser in optimisers:
        optimiser.step()
    model.zero_grad()
    if images.device.type == "cuda":
        torch.cuda.synchronize()


def _times(step: Callable[[], None], seconds: float, *, limit_s: float) -> tuple[list[float], bool]:
    """Return how long steps took in so many seconds after a warm-up, and whether that was hopeless, which ends them."""
    began = time.perf_counter()
    step()
    if (first := time.perf_counter() - began) > limit_s:
        return [first], True
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while not times or (time.perf_counter() < ends and len(times) < MOST_STEPS):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return times, False


@dataclass(frozen=True)
class Sweep:
    """Losses over rising learning rates, smoothed, and the rate to start from."""

    rates: list[float]
    losses: list[float]
    suggested: float
    picture: str = ""
    """The file that shows the losses; empty where there is none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)

    def summary(self) -> list[str]:
        """Return lines for a person."""
        lines = [f"Suggested learning rate: {self.suggested:.2g} (use it with --lr {self.suggested:.2g})"]
        return [*lines, f"Picture: {self.picture}"] if self.picture else lines


def sweep_rates(
    trainer: Trainer,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    progress: Callable[[int, int], None],
) -> Sweep:
    """Train on rising learning rates until the loss explodes (Smith 2015, arXiv:1506.01186, section 3.3).

    The network of `trainer` is used up. The suggested rate is a tenth of the one with the lowest smoothed loss.

    Raises:
        TrainingError: the loss never fell.
        UsageError: the network learns without gradients.
    """
    rates: list[float] = []
    losses: list[float] = []
    trainer.model.train()
    batches = itertools.chain.from_iterable(_epochs(trainer))
    for step, indices in enumerate(itertools.islice(batches, steps)):
        rates.append(lowest * (highest / lowest) ** (step / (steps - 1)))
        trainer.schedule = lambda _, rate=rates[-1]: rate / trainer.recipe.lr  # type: ignore[misc]
        before = trainer.clock.loss_sum
        try:
            trainer.train_step(indices)
        except TrainingError:
            rates.pop()
            break
        if not trainer.descends:
            name = type(trainer.model).__name__
            raise UsageError(f"`{name}` learns without gradients, so it has no learning rate; leave out --find-lr.")
        loss = trainer.clock.loss_sum - before
        losses.append(loss if not losses else 0.8 * losses[-1] + 0.2 * loss)
        progress(step + 1, steps)
        if losses[-1] > 4 * min(losses):
            break
    if not losses or min(losses) >= losses[0]:
        raise TrainingError(
            "The loss did not fall at any learning rate; check the labels, or try another --set optimiser."
        )
    return Sweep(rates[: len(losses)], losses, rates[losses.index(min(losses))] / 10)


def _epochs(trainer: Trainer) -> Iterator[Iterator[Tensor]]:
    while True:
        yield trainer.batches()
        trainer.clock.epoch, trainer.clock.step = trainer.clock.epoch + 1, 0

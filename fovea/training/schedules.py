"""Learning-rate schedules: plain functions from progress in [0, 1] to a factor of the base rate."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """From 1 down to 0 in a straight line."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2016, arXiv:1608.03983, without restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def step(progress: float) -> float:
    """1, then 1/10 from one half on, 1/100 from three quarters on (He et al. 2015, section 4.2)."""
    return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01


def one_cycle(progress: float) -> float:
    """Cosine rise from 1/25 to 1 over the first 30 %, cosine fall to 0 after (Smith 2018, arXiv:1803.09820)."""
    rise = 0.3
    if progress < rise:
        return 1.0 - (1.0 - 1 / 25) * cosine(progress / rise)
    return cosine((progress - rise) / (1.0 - rise))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "step": step,
    "linear": linear,
    "cosine": cosine,
    "one-cycle": one_cycle,
}


def warmed_up(schedule: Schedule, *, warmup: float) -> Schedule:
    """Return `schedule` multiplied by a straight rise from 0 to 1 over the first `warmup` (a share of the progress)."""
    if warmup == 0:
        return schedule
    return lambda progress: min(1.0, progress / warmup) * schedule(progress)


@dataclass
class Plateau:
    """Divide the rate by ten whenever the validation loss has not improved for `patience` epochs; stateful."""

    patience: int = 3
    factor: float = 1.0
    best: float = math.inf
    epochs_without_gain: int = 0

    def observe(self, loss: float) -> None:
        """Take one epoch's validation loss into account."""
        if loss < self.best * (1 - 1e-4):
            self.best, self.epochs_without_gain = loss, 0
            return
        self.epochs_without_gain += 1
        if self.epochs_without_gain > self.patience:
            self.factor, self.epochs_without_gain = self.factor * 0.1, 0

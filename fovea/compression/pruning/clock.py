"""How long layers and networks take on this machine: what decides which widths are worth having.

Times are seconds of one pass over `batch` inputs, the least of several: what else runs on the machine only adds.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

import torch
from torch import nn

from fovea.layers import Convolution, TransposedConvolution, channels_last, copied

LEAST, MOST = 5, 200
"""Passes that count."""
LONG, FEWEST = 10, 2
"""Of passes that take so many times the seconds allowed so few are enough: what disturbs them is a small share."""


PLACES = 1 << 16
"""Of one pass through a layer: on larger maps fewer inputs tell as well what an input takes."""


@dataclass(frozen=True)
class Form:
    """What the time of a convolution or dense layer depends on. A dense layer has no kernel and no sizes."""

    c_in: int
    c_out: int
    groups: int = 1
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    """Of its input: (H, W) of images."""
    transposed: bool = False

    def layer(self) -> nn.Module:
        """Return such a layer with weights as they come."""
        if not self.kernel:
            return nn.Linear(self.c_in, self.c_out)
        kinds: tuple[type[nn.Module], ...] = get_args(TransposedConvolution if self.transposed else Convolution)
        geometry = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return kinds[len(self.kernel) - 1](self.c_in, self.c_out, self.kernel, groups=self.groups, **geometry)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input."""
        return (self.c_in, *self.sizes)

    def timed_at(self, batch: int) -> int:
        """Return how many inputs are timed at once, to tell of a pass of `batch`."""
        return min(batch, max(1, PLACES // math.prod(self.sizes)))


class Clock(Protocol):
    """Times layers and networks as they will run when they are used."""

    batch: int
    """Inputs of one pass."""

    def layer(self, form: Form, /) -> float:
        """Return the seconds of one pass through a layer; the same form is timed once."""
        ...

    def network(self, model: nn.Module, input_shape: Sequence[int], /) -> float:
        """Return the seconds of one pass through a network in evaluation mode, which is left as it was."""
        ...


@dataclass
class EagerClock:
    """Times as PyTorch runs layers on the processor, channels-last, with its present number of threads."""

    batch: int = 16
    seconds: float = 0.05
    """Of passes through one layer; a network gets twenty times as many."""
    _known: dict[Form, float] = field(default_factory=dict)

    def layer(self, form: Form) -> float:
        """Return the seconds of one pass through a layer."""
        if form not in self._known:
            batch = form.timed_at(self.batch)
            each = self._timed(form.layer(), form.input_shape, self.seconds, batch=batch) / batch
            self._known[form] = each * self.batch
        return self._known[form]

    def network(self, model: nn.Module, input_shape: Sequence[int]) -> float:
        """Return the seconds of one pass through a network."""
        return self._timed(copied(model).cpu(), input_shape, 20 * self.seconds, batch=self.batch)

    def _timed(self, model: nn.Module, input_shape: Sequence[int], seconds: float, *, batch: int) -> float:
        channels_last(model.eval())
        x = torch.zeros(batch, *input_shape)
        if x.ndim == 4:
            x = x.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            return least_time(lambda: model(x), seconds=seconds)


def least_time(run: Callable[[], object], *, seconds: float) -> float:
    """Return the seconds of the fastest call of `run`, of those that fit into `seconds` after a first one.

    There are five at least, of long ones two.
    """
    now = timer()
    run()
    times: list[float] = []
    while len(times) < (FEWEST if sum(times) > LONG * seconds else LEAST) or (
        sum(times) < seconds and len(times) < MOST
    ):
        began = now()
        run()
        times.append(now() - began)
    return min(times)


def timer() -> Callable[[], float]:
    """Return what tells the time in seconds: with one thread that of the processor, else that of the clock.

    Beside other programs a long pass is always interrupted, and a short one hardly ever: by the clock a network that is
    twice as large may seem to take ten times as long.
    """
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter

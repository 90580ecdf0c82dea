"""What a step of a chain gets, and what it gives back.

A step takes a network in evaluation mode and may change it in place. It leaves plain parameters and buffers behind:
the next step begins with what `fovea.load` reads from the model file of this one, so nothing else lives on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from fovea.compression.pruning.clock import Clock
from fovea.compression.refit import Refit


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a step has made."""

    model: nn.Module
    """The network, in any mode; without parametrisations, hooks and masks."""
    changes: Sequence[Mapping[str, Any]] = ()
    """New entries of the card's `changes`, JSON values, which turn the network before the step into this one."""
    notes: Sequence[str] = ()
    """What a person should know, one line each: what was chosen and why, which layers were left alone and why."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step may use: the data, training on it, the score, and what the user asked for."""

    input_shape: tuple[int, ...]
    """Of one input, without the batch: (C, H, W) of images."""
    refit: Refit
    """Trains a network: `work.refit(model, epochs=3)`."""
    batches: Callable[[int], Iterator[tuple[Tensor, Tensor]]]
    """Of so many samples of the training split, drawn by the seed: inputs (N, *input_shape) float32 as the network is
    evaluated on them, and labels (N,) on its scale."""
    score: Callable[[nn.Module], float]
    """The task's score on the validation split, the more the better (errors are negative)."""
    clock: Clock | None = None
    """Times layers as the network will run; None if only counting is wanted."""
    seed: int = 0
    teacher: Callable[[Tensor], Tensor] | None = None
    """Inputs -> outputs (N, K) of the network, or the mean of several, that is to be imitated."""
    members: Sequence[nn.Module] = ()
    """Further networks of the same form, for a soup."""
    say: Callable[[str], None] = lambda line: None
    """Shows a line to the person who waits."""
    progress: Callable[[int, int], None] = lambda done, total: None
    """Shows how far the step is, where it does not train."""


class Step(Protocol):
    """One way to make a network smaller, faster or better."""

    def __call__(self, model: nn.Module, work: Work, /) -> Done:
        """Return what became of `model`.

        Raises: UsageError if it cannot apply, with the layer and why.
        """
        ...

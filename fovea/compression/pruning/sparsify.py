"""Single weights to zero, a growing share of them while the network trains.

Zhu and Gupta 2017, "To prune, or not to prune", arXiv:1710.01878. The smallest weights go; those that grow again in
training may come back as long as the share still rises.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fovea.errors import UsageError

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Whose weights may go; their biases, and norms, stay."""


@dataclass(frozen=True, kw_only=True)
class CubicSchedule:
    """Which share of the weights is zero at each moment of a training: equation 1."""

    amount: float
    """The share at the end, from 0 to below 1."""
    begin: float = 0.0
    """Until this share of the training nothing goes."""
    end: float = 0.75
    """From this share of the training on, nothing more goes: what is left learns to do without."""

    def __post_init__(self) -> None:
        """Check the shares."""
        if not 0 <= self.amount < 1:
            raise UsageError(
                f"`amount` (={self.amount}) must be at least 0 and below 1: the fraction of weights to remove."
            )
        if not 0 <= self.begin < self.end <= 1:
            raise UsageError(f"`begin` (={self.begin}) and `end` (={self.end}) must increase within 0 to 1.")

    def at(self, progress: float) -> float:
        """Return the share that is zero when `progress`, from 0 to 1, of the training is done.

        s(t) = amount (1 - (1 - t)^3) with t from 0 at `begin` to 1 at `end`: fast while many weights matter little.

        >>> [CubicSchedule(amount=0.8, end=1.0).at(progress) for progress in (0.0, 0.5, 1.0)]
        [0.0, 0.7, 0.8]
        """
        t = min(1.0, max(0.0, (progress - self.begin) / (self.end - self.begin)))
        return float(self.amount * (1 - (1 - t) ** 3))


class Mask(nn.Module):
    """A parametrisation: the weight with zeros where `mask`, bool of its shape, is False.

    Of any shape and dtype; no gradient reaches what is masked.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight."""
        return torch.where(self.mask, weight, 0)  # a product would leave zeros of both signs


class Sparsifier:
    """The masks of a network in training; hand it to the training as what is called `after_step`, then `finish`.

    The training has so many `steps`, in which what goes is chosen `updates` times at most. With `per_layer` every layer
    loses the same share, else the smallest weights of the network go, each by the root mean square of its layer's.

    Raises:
        UsageError: the network has no convolution and no dense layer.
    """

    def __init__(
        self,
        model: nn.Module,
        schedule: CubicSchedule,
        *,
        steps: int,
        updates: int = 100,
        per_layer: bool = True,
    ) -> None:
        self.layers = dict(weighted(model))
        if not self.layers:
            raise UsageError("`sparsify` found no convolution or dense layer in this network.")
        self.schedule, self.steps, self.per_layer = schedule, max(1, steps), per_layer
        self.every = max(1, self.steps // updates)
        self.done = 0
        self.reached = 0.0
        """The share that is masked now."""
        for layer in self.layers.values():
            mask = torch.ones_like(layer.get_parameter("weight"), dtype=torch.bool)
            parametrize.register_parametrization(layer, "weight", Mask(mask))
        self._choose(schedule.at(0.0))

    def __call__(self, model: nn.Module) -> None:
        """Count a step of the training, and choose anew what goes where it is time."""
        self.done += 1
        share = self.schedule.at(self.done / self.steps)
        # at the last step before the share stands still, too
        if share > self.reached and (self.done % self.every == 0 or share == self.schedule.amount):
            self._choose(share)

    def finish(self) -> None:
        """Choose at the last share where the training was shorter than foreseen, and leave plain weights with zeros."""
        if self.reached < self.schedule.amount:
            self._choose(self.schedule.amount)
        remove_masks(self.layers)

    @torch.no_grad()
    def _choose(self, share: float) -> None:
        self.reached = share
        magnitudes = {name: original(layer).abs() for name, layer in self.layers.items()}
        if self.per_layer:
            masks = {name: _largest(values, 1 - share) for name, values in magnitudes.items()}
        else:
            scaled = {name: values / (values.square().mean().sqrt() + 1e-12) for name, values in magnitudes.items()}
            kept = _largest(torch.cat([values.flatten() for values in scaled.values()]), 1 - share)
            parts = torch.split(kept, [values.numel() for values in scaled.values()])
            masks = {name: part.view_as(values) for (name, values), part in zip(scaled.items(), parts, strict=True)}
        for name, layer in self.layers.items():
            mask_of(layer).mask.copy_(masks[name])


def weighted(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the convolutions and dense layers of a network with their paths."""
    yield from ((path, module) for path, module in model.named_modules() if isinstance(module, LAYERS))


def original(layer: nn.Module) -> Tensor:
    """Return the weight of a masked layer as the optimiser sees it, of any shape and dtype."""
    found: Tensor = layer.get_parameter("parametrizations.weight.original")
    return found


def mask_of(layer: nn.Module) -> Mask:
    """Return the mask of a masked layer."""
    found = layer.get_submodule("parametrizations.weight.0")
    if not isinstance(found, Mask):
        raise UsageError(f"The weight of a `{type(layer).__name__}` has another kind of parametrisation.")
    return found


def remove_masks(layers: Mapping[str, nn.Module]) -> None:
    """Make masked weights plain ones again, with their zeros."""
    for layer in layers.values():
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        # the weight has become the last of its parameters; checkpoints and optimisers go by their order
        layer._parameters["bias"] = layer._parameters.pop("bias")


@contextmanager
def zeros_held(model: nn.Module, *, least: float = 0.1) -> Iterator[None]:
    """Keep the zeros of a sparse network through a training: of layers of whose weights a share of `least` are zero."""
    held = {}
    for path, layer in weighted(model):
        mask = layer.get_parameter("weight").detach() != 0
        if 1 - mask.float().mean() >= least:
            parametrize.register_parametrization(layer, "weight", Mask(mask))
            held[path] = layer
    try:
        yield
    finally:
        remove_masks(held)


def sparsity(model: nn.Module) -> float:
    """Return the share of zeros among the weights of convolutions and dense layers."""
    weights = [cast(Tensor, layer.weight).detach() for _, layer in weighted(model)]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(1, sum(weight.numel() for weight in weights))


def _largest(values: Tensor, share: float) -> Tensor:
    """Return where the largest `share` of the values stand, exactly so many; of equal ones the first."""
    flat = values.flatten()
    kept = torch.zeros(flat.numel(), dtype=torch.bool, device=flat.device)
    kept[flat.argsort(descending=True, stable=True)[: round(share * flat.numel())]] = True
    return kept.view_as(values)

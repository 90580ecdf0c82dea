"""Incremental network quantisation: Zhou, Yao, Guo, Xu and Chen 2017, arXiv:1702.03044.

Weights become powers of two, or zero, group by group: the largest first. After each group the others are trained
further, so that they make up for what it lost. The network keeps its form: only its weights are others.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fovea.compression.pruning.sparsify import remove_masks
from fovea.compression.share import WHY, half_lost
from fovea.compression.step import Done, Work
from fovea.errors import UsageError

PORTIONS = (0.5, 0.75, 0.875, 1.0)
"""Of each layer's weights, how many are quantised after each round (section 3, for AlexNet 0.3, 0.6, 0.8, 1)."""
FEWEST_BITS, MOST_BITS = 2, 8
PATTERN = 0.01
"""Share of zeros in a weight from which on they stay zero."""


def exponents(weights: Tensor, bits: int) -> tuple[int, int]:
    """Return n1 and n2, of the largest and the smallest power that weights, of any shape and dtype, may become.

    n1 = floor(log2(4 max|W| / 3)), n2 = n1 + 1 - 2^(bits - 1) / 2 (equations 2 and 3).
    """
    most = math.floor(math.log2(4 * max(weights.abs().max().item(), 2.0**-60) / 3))
    return most, most + 1 - 2 ** (bits - 1) // 2


def to_powers(weights: Tensor, bits: int, *, ends: tuple[int, int] | None = None) -> Tensor:
    """Return weights of any shape and floating dtype, each the nearest of 0 and +-2^n2 .. +-2^n1 as equation 4 says.

    What lies from 3/4 to 3/2 of a power becomes it; what is below 1/2 of the smallest becomes zero. `ends` are those of
    `exponents`, of these weights where they are left out.
    """
    most, least = ends or exponents(weights, bits)
    sizes = weights.abs()
    # below the smallest power's own half, the neighbour is zero: alpha = 0, beta = 2^n2 in equation 4
    power = torch.floor(torch.log2((sizes * 4 / 3).clamp_min(2.0**-126))).clamp(least, most)
    found = torch.where(sizes < 2.0 ** (least - 1), 0.0, torch.exp2(power))
    return torch.sign(weights) * found.to(weights.dtype)


class Held(nn.Module):
    """A parametrisation that holds some weights at fixed values: `values` where `held`, else the parameter."""

    held: Tensor
    values: Tensor

    def __init__(self, held: Tensor, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("held", held)
        self.register_buffer("values", values)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights in use, in the shape of the parameter."""
        return torch.where(self.held, self.values, weight)


def largest(weights: Tensor, share: float) -> Tensor:
    """Return where the `share` of largest sizes is: bool in the shape of the weights."""
    count = round(share * weights.numel())
    order = weights.abs().flatten().argsort(descending=True, stable=True)
    found = torch.zeros(weights.numel(), dtype=torch.bool, device=weights.device)
    found[order[:count]] = True
    return found.reshape(weights.shape)


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers whose `weight` has an output and an input axis."""
    for name, layer in model.named_modules():
        weight = getattr(layer, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim > 1:
            yield name, layer


def inq(model: nn.Module, work: Work, *, bits: int = 5, epochs: float = 4.0) -> Done:
    """Bring all weights of convolutions and dense layers to powers of two of so many `bits`, one of them for zero.

    `epochs` are divided among the rounds of `PORTIONS`; biases and norms stay float, and are trained throughout.

    Raises: UsageError for bits that are not possible, or where the network has no such layer.
    """
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise UsageError(f"`bits` (={bits}) of powers of two must be from {FEWEST_BITS} to {MOST_BITS}.")
    layers = dict(_weights(model))
    if not layers:
        raise UsageError("This network has no convolution or dense layer whose weights could be powers of two.")
    ends = {name: exponents(layer.weight.detach(), bits) for name, layer in layers.items()}  # type: ignore[operator]
    far = [name for name, layer in layers.items() if _vanishes(layer.weight.detach(), bits)]  # type: ignore[operator]
    for name in far:
        del layers[name]
    zeros = {name: _pattern(layer.weight.detach()) for name, layer in layers.items()}  # type: ignore[operator]
    held: dict[str, Tensor] = dict(zeros)
    for share in PORTIONS:
        _hold(layers, held, zeros, share=share, quantise=lambda name, weight: to_powers(weight, bits, ends=ends[name]))
        if share < 1:
            work.refit(model, epochs=epochs / (len(PORTIONS) - 1), teacher=work.teacher)
        remove_masks(layers)
    values = 2 ** (bits - 1) + 1
    notes = [f"weights of {len(layers)} layers are zero or powers of two: {values} values each"]
    notes += [f"`{name}` keeps its own values: the scales of its channels differ too much, {WHY}" for name in far]
    return Done(model=model.eval(), notes=notes)


def _vanishes(weight: Tensor, bits: int) -> bool:
    """Return whether half of the channels would be all zeros, since a few others are so much larger."""
    return half_lost(weight, to_powers(weight, bits), share=1.0)


def _pattern(weight: Tensor) -> Tensor:
    """Return which weights are zero by a pattern, where a share of `PATTERN` or more are; else none."""
    zeros = weight == 0
    return zeros if zeros.float().mean() >= PATTERN else torch.zeros_like(zeros)


def _hold(
    layers: Mapping[str, nn.Module],
    held: dict[str, Tensor],
    zeros: Mapping[str, Tensor],
    *,
    share: float,
    quantise: Callable[[str, Tensor], Tensor],
) -> None:
    """Fix the largest of the weights that are still free, so that `share` of all but the `zeros` are held."""
    for name, layer in layers.items():
        weight, before, free = layer.weight.detach().clone(), held[name], ~zeros[name]  # type: ignore[operator]
        # what is held already stays so: it counts as largest
        sizes = torch.where(before, torch.inf, weight.abs())
        found = zeros[name].clone()
        found[free] = largest(sizes[free], share)
        held[name] = found
        values = torch.where(before, weight, quantise(name, weight))
        parametrize.register_parametrization(layer, "weight", Held(found, values))

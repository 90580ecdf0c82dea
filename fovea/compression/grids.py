"""Layers that compute on a grid: activations uint8 with one power of two as scale, weights int8 per output channel.

A number is `scale * (stored - zero)`. That the scales of activations are powers of two (Jain et al. 2019,
arXiv:1903.08066) makes the arithmetic the same everywhere: dividing by one is exact, so a run time may round a sum of
products once, `round(sum * (input scale * weight scale / output scale))`, or in two moves as here, and gets the same
number; sums of such numbers, and maxima, are exact too. Scales of weights are any numbers.

A layer rounds, and hands gradients on as if it had not where nothing was cut (straight through: Bengio et al. 2013,
arXiv:1308.3432). In evaluation it adds whole numbers, exactly.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.compression.layers_by_name import like
from fovea.errors import UsageError

LEVELS = 255
"""Steps between the least and the largest uint8."""
WEIGHT_LIMIT = 127
"""Weights are stored from -127 to 127."""
BIAS_LIMIT = 2**30
"""Biases stay below this, so that a sum of products still fits beside them in int32."""
SMALLEST_SCALE = 1e-30
"""Of a channel whose weights are all zero."""
EXACT = 2**24
"""float32 holds whole numbers up to here."""


def straight_round(x: Tensor) -> Tensor:
    """Return finite `x`, any shape and floating dtype, rounded half to even, with the gradient of the identity."""
    if not torch.is_grad_enabled():
        return torch.round(x)
    # both differences are exact, so that the sum is the whole number itself
    return x + (torch.round(x) - x).detach()


class ActivationGrid(nn.Module):
    """Numbers of any shape, float32, to steps of 256 levels: `stored - zero`, whole numbers in the same dtype.

    A step is `scale`, a power of two, `stored` from 0 to 255. Gradients pass where nothing is cut.
    """

    scale: Tensor
    zero: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero", torch.zeros(()))

    def settle(self, scale: float, zero: int) -> None:
        """Set the scale, a power of two, and the level that means zero, 0..255."""
        self.scale.fill_(scale)
        self.zero.fill_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """Return the steps that are nearest: whole numbers from -255 to 255."""
        return straight_round(torch.clamp(x / self.scale, -self.zero, LEVELS - self.zero))

    def nearest(self, x: Tensor) -> Tensor:
        """Return the nearest numbers of the grid."""
        return cast(Tensor, self(x)) * self.scale


class _GridLayer(nn.Module):
    """What convolutions and dense layers on a grid share; `weight` and `bias` are parameters as ever."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    weight_scale: Tensor

    def _begin(self, *, gives: bool) -> None:
        self.reads = ActivationGrid()
        self.gives = ActivationGrid() if gives else None
        self.register_buffer("weight_scale", torch.ones(self.weight.shape[0]))
        # of wide layers, sums of products may need more digits than float32 has
        self.wide = self.weight[0].numel() * WEIGHT_LIMIT * LEVELS >= EXACT

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    @property
    def unit(self) -> Tensor:
        """What one step of a sum of products means: (c_out,) float32, input scale times weight scale."""
        return self.reads.scale * self.weight_scale

    def along(self, values: Tensor) -> Tensor:
        """Return (c_out,) values in a shape that broadcasts along the channels of the weight."""
        return values.reshape(-1, *(1,) * (self.weight.ndim - 1))

    def scaled_to_fit(self) -> Tensor:
        """Return the smallest weight scales (c_out,) with which weights and bias fit."""
        with torch.no_grad():
            scale = self.weight.flatten(1).abs().amax(1) / WEIGHT_LIMIT
            if self.bias is not None:
                scale = torch.maximum(scale, self.bias.abs() / (BIAS_LIMIT * self.reads.scale))
            return scale.clamp_min(SMALLEST_SCALE)

    def weight_steps(self) -> Tensor:
        """Return the weights in steps of their scales: whole numbers from -127 to 127, float32, the weight's shape."""
        return straight_round((self.weight / self.along(self.weight_scale)).clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT))

    def bias_steps(self) -> Tensor:
        """Return the bias (c_out,) in steps of `unit`: whole numbers, float64; zeros where there is none."""
        if self.bias is None:
            return torch.zeros(self.weight.shape[0], dtype=torch.float64, device=self.weight.device)
        return torch.round(self.bias.double() / self.unit.double())

    def rest(self) -> None:
        """Put weights and bias on their grid, in place, and fix its scales."""
        with torch.no_grad():
            self.weight_scale.copy_(self.scaled_to_fit())
            self.weight.copy_(self.weight_steps() * self.along(self.weight_scale))
            if self.bias is not None:
                self.bias.copy_(self.bias_steps() * self.unit)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, on its grid where it has one."""
        y = self._trained(x) if self.training else self._exact(x)
        return y if self.gives is None else self.gives.nearest(y)

    def _trained(self, x: Tensor) -> Tensor:
        self.weight_scale.copy_(self.scaled_to_fit())
        return self._product(self.reads.nearest(x), self.weight_steps() * self.along(self.weight_scale), self.bias)

    def _exact(self, x: Tensor) -> Tensor:
        """Return the sum of whole numbers, rounded once to float32, times its unit: what integer kernels compute."""
        dtype = torch.float64 if self.wide else torch.float32
        sums = self._product(self.reads(x).to(dtype), self.weight_steps().to(dtype), None)
        sums = sums.double() + self._per_channel(self.bias_steps(), sums)
        return sums.float() * self._per_channel(self.unit, sums)

    def _per_channel(self, values: Tensor, y: Tensor) -> Tensor:
        """Return (c_out,) values in a shape that broadcasts along the channels of the output `y`."""
        return self.along(values).squeeze(-1) if isinstance(self, nn.Conv1d | nn.Conv2d | nn.Conv3d) else values


class GridConv1d(_GridLayer, nn.Conv1d):  # type: ignore[misc]  # as PyTorch's own, parameters
    """A convolution on a grid: (N, c_in, L) -> (N, c_out, L') float32."""

    def __init__(self, *shape: Any, gives: bool = False, **more: Any) -> None:
        super().__init__(*shape, **more)
        self._begin(gives=gives)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return cast(Tensor, self._conv_forward(x, weight, bias))


class GridConv2d(_GridLayer, nn.Conv2d):  # type: ignore[misc]
    """A convolution on a grid: (N, c_in, H, W) -> (N, c_out, H', W') float32."""

    def __init__(self, *shape: Any, gives: bool = False, **more: Any) -> None:
        super().__init__(*shape, **more)
        self._begin(gives=gives)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return cast(Tensor, self._conv_forward(x, weight, bias))


class GridLinear(_GridLayer, nn.Linear):  # type: ignore[misc]
    """A dense layer on a grid: (N, ..., c_in) -> (N, ..., c_out) float32."""

    def __init__(self, *shape: Any, gives: bool = False, **more: Any) -> None:
        super().__init__(*shape, **more)
        self._begin(gives=gives)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)


GridLayer = GridConv1d | GridConv2d | GridLinear
KINDS: dict[type[nn.Module], type[GridConv1d | GridConv2d | GridLinear]] = {
    nn.Conv1d: GridConv1d,
    nn.Conv2d: GridConv2d,
    nn.Linear: GridLinear,
}
"""The layers that have a form on a grid."""


def on_grid(layer: nn.Conv1d | nn.Conv2d | nn.Linear, *, gives: bool) -> GridLayer:
    """Return a layer's form on a grid, with the same parameters; its scales are still to be set."""
    found: GridLayer = like(KINDS[type(layer)], layer, gives=gives)
    return found


class ExactMean(nn.Module):
    """The mean of each map: (N, C, H, W) -> (N, C, 1, 1) float32.

    A sum, which is exact of numbers on a grid, and one product.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the means."""
        H, W = x.shape[-2:]
        return x.sum((-2, -1), keepdim=True) * (1 / (H * W))


class Affine(nn.Module):
    """`weight * x + bias` with one weight and bias for each channel: (N, C, ...) -> (N, C, ...) float32.

    What a batch norm is in evaluation; of its two operations every run time makes the same numbers.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers moved."""
        shape = (-1, *(1,) * (x.ndim - 2))
        return x * self.weight.reshape(shape) + self.bias.reshape(shape)


def affine_of(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Affine:
    """Return what a batch norm computes in evaluation.

    Raises: UsageError if it has no running statistics, and so computes with those of each batch.
    """
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise UsageError("A batch norm without running statistics cannot be quantised: it has no fixed scale.")
    with torch.device("meta"):
        found = Affine(norm.num_features)
    scale = 1 / torch.sqrt(variance.double() + norm.eps)
    if norm.affine:
        scale = scale * norm.weight.detach().double()
    shift = -mean.double() * scale
    if norm.affine:
        shift = shift + norm.bias.detach().double()
    found.weight, found.bias = nn.Parameter(scale.float()), nn.Parameter(shift.float())
    return found


def power_of_two(scale: float) -> float:
    """Return the smallest power of two that is at least `scale` > 0.

    >>> power_of_two(0.02)
    0.03125
    """
    return 2.0 ** math.ceil(math.log2(scale))

"""Layers with binary weights, and with binary inputs too.

BinaryConnect: Courbariaux, Bengio and David 2015, arXiv:1511.00363. XNOR-Net and its binary-weight network: Rastegari,
Ordonez, Redmon and Farhadi 2016, arXiv:1603.05279. A parameter `weight` holds real numbers in training; `rest` replaces
them by what they stand for, so that a saved layer has two values for each output channel.

The gradient of a sign is that of the identity where its input lies within -1 to 1, and 0 elsewhere (straight through).
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.errors import UsageError

MEAN, FIXED = "mean", "fixed"
SCALES = (MEAN, FIXED)
"""Of binary weights: the mean of their sizes for each output channel (XNOR-Net), or one number of the layer's shape
(BinaryConnect: Glorot and Bengio's, which the authors' code takes for the learning rate)."""


class _Sign(torch.autograd.Function):
    """-1 below zero, else +1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return cast(Tensor, gradients[0] * (x.abs() <= 1))


def sign(x: Tensor) -> Tensor:
    """Return +1 where `x`, any shape and floating dtype, is zero or more, else -1."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def straight_sign(x: Tensor) -> Tensor:
    """Return the sign of `x`, any shape and floating dtype, with the gradient 1 within -1 to 1 and 0 elsewhere."""
    return cast(Tensor, _Sign.apply(x))  # type: ignore[no-untyped-call]


def drawn_sign(x: Tensor) -> Tensor:
    """Return +1 with the probability (x + 1) / 2 cut to 0..1, else -1 (BinaryConnect, equation 2); gradients as above.

    `x` is of any shape and floating dtype.
    """
    drawn = torch.where(torch.rand_like(x) < (x + 1) / 2, 1.0, -1.0).to(x.dtype)
    return drawn.detach() + (straight_sign(x) - sign(x))


class _BinaryLayer(nn.Module):
    """What binary convolutions and dense layers share."""

    weight: nn.Parameter
    scale: Tensor

    def _begin(self, *, scale: str, stochastic: bool) -> None:
        if scale not in SCALES:
            raise UsageError(f"`scale` (={scale}) of binary weights must be one of {', '.join(SCALES)}.")
        self.scaled_by, self.stochastic = scale, stochastic
        self.register_buffer("scale", torch.ones(self.weight.shape[0]))

    @property
    def limit(self) -> float:
        """The number of the layer's shape: sqrt(1.5 / (fan-in + fan-out))."""
        receptive = self.weight[0, 0].numel()
        return float((1.5 / (receptive * (self.weight.shape[0] + self.weight.shape[1]))) ** 0.5)

    def along(self, values: Tensor) -> Tensor:
        """Return (c_out,) values in a shape that broadcasts along the channels of the weight."""
        return values.reshape(-1, *(1,) * (self.weight.ndim - 1))

    def binary_weight(self) -> Tensor:
        """Return the binary weights times their scale, in the weight's shape, as training sees them."""
        if self.scaled_by == FIXED:
            relative = self.weight / self.limit
            chosen = drawn_sign(relative) if self.stochastic else straight_sign(relative)
            return chosen * self.limit
        scale = self.weight.abs().flatten(1).mean(1)
        chosen = drawn_sign(self.weight) if self.stochastic else straight_sign(self.weight)
        return chosen * self.along(scale)

    def clip(self) -> None:
        """Bring real weights back to where the sign's gradient is not 0 (BinaryConnect, section 2.4), in place."""
        ends = self.limit if self.scaled_by == FIXED else 1.0
        with torch.no_grad():
            self.weight.clamp_(-ends, ends)

    def rest(self) -> None:
        """Replace real weights by the binary ones, in place, and note their scales."""
        with torch.no_grad():
            sizes = self.weight.abs().flatten(1).mean(1)
            self.scale.copy_(torch.full_like(sizes, self.limit) if self.scaled_by == FIXED else sizes)
            self.weight.copy_(sign(self.weight) * self.along(self.scale))

    def _used_weight(self) -> Tensor:
        return self.binary_weight() if self.training else sign(self.weight) * self.along(self.scale)


class BinaryConv2d(_BinaryLayer, nn.Conv2d):  # type: ignore[misc]  # as PyTorch's own, a parameter
    """A convolution with binary weights: (N, c_in, H, W) -> (N, c_out, H', W') float32."""

    def __init__(self, *shape: Any, scale: str = MEAN, stochastic: bool = False, **more: Any) -> None:
        super().__init__(*shape, **more)
        self._begin(scale=scale, stochastic=stochastic)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of `x`."""
        return cast(Tensor, self._conv_forward(x, self._used_weight(), self.bias))


class BinaryLinear(_BinaryLayer, nn.Linear):  # type: ignore[misc]
    """A dense layer with binary weights: (N, ..., c_in) -> (N, ..., c_out) float32."""

    def __init__(self, *shape: Any, scale: str = MEAN, stochastic: bool = False, **more: Any) -> None:
        super().__init__(*shape, **more)
        self._begin(scale=scale, stochastic=stochastic)

    def forward(self, x: Tensor) -> Tensor:
        """Return the products with `x`."""
        return F.linear(x, self._used_weight(), self.bias)


class XnorConv2d(BinaryConv2d):
    """Batch norm, sign, binary convolution, in this order: (N, c_in, H, W) -> (N, c_out, H', W') float32.

    I * W = (sign(I) * sign(W)) K alpha (equation 11): K, of one channel, is the mean size of the inputs that each place
    sees, alpha the scale of each output channel. Padding is zero: it is not a sign, and adds nothing.
    """

    def __init__(self, *shape: Any, **more: Any) -> None:
        super().__init__(*shape, scale=MEAN, **more)
        self.norm = nn.BatchNorm2d(self.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled binary convolution of `x`, its bias added."""
        x = self.norm(x)
        signs = straight_sign(x) if torch.is_grad_enabled() else sign(x)
        y: Tensor = self._conv_forward(signs, self._used_weight(), None)
        y = y * self.input_scales(x)
        return y if self.bias is None else y + self.bias.reshape(-1, 1, 1)

    def input_scales(self, x: Tensor) -> Tensor:
        """Return K (N, 1, H', W') of the inputs `x` (N, c_in, H, W)."""
        sizes = x.abs().mean(1, keepdim=True)
        h, w = self.kernel_size
        box = torch.full((1, 1, h, w), 1 / (h * w), dtype=x.dtype, device=x.device)
        return F.conv2d(sizes, box, None, self.stride, self.padding, self.dilation)


class XnorLinear(BinaryLinear):
    """Batch norm, sign, binary product: (N, c_in) -> (N, c_out) float32, scaled by the mean size of each input row."""

    def __init__(self, *shape: Any, **more: Any) -> None:
        super().__init__(*shape, scale=MEAN, **more)
        self.norm = nn.BatchNorm1d(self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled binary products with `x`, the bias added."""
        x = self.norm(x)
        y = F.linear(straight_sign(x) if torch.is_grad_enabled() else sign(x), self._used_weight())
        y = y * x.abs().mean(1, keepdim=True)
        return y if self.bias is None else y + self.bias


BinaryLayer = BinaryConv2d | BinaryLinear

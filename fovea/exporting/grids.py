"""Layers on a grid as ONNX writes them: pairs of `QuantizeLinear` and `DequantizeLinear` with the layer's own scales.

Run times put integer kernels in place of what stands between the pairs. With powers of two as scales of activations
these give the network's own numbers, to the bit.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.compression.grids import ActivationGrid, GridConv1d, GridConv2d, GridLayer, GridLinear
from fovea.exporting.settings import OPSET


def written(layer: nn.Module) -> nn.Module | None:
    """Return the form of a layer on a grid that the exporter can follow, of the same results; None for other layers."""
    if isinstance(layer, GridLayer):
        return _PairedLayer(layer)
    return None


def grid_of(model: nn.Module) -> dict[str, Any]:
    """Return what is to be said of a network with layers on a grid, as JSON values; nothing of others."""
    layers = [layer for layer in model.modules() if isinstance(layer, GridLayer)]
    grid = {"layers": len(layers), "activations": "uint8", "weights": "int8"}
    return {"precision": "int8", "grid": grid} if layers else {}


class _Paired(nn.Module):
    """(N, ...) float32 to the same on its grid, by a pair."""

    scale: Tensor
    zero: Tensor

    def __init__(self, grid: ActivationGrid) -> None:
        super().__init__()
        self.register_buffer("scale", grid.scale.detach().clone())
        self.register_buffer("zero", grid.zero.detach().to(torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        stored = torch.onnx.ops.symbolic(
            "QuantizeLinear", (x, self.scale, self.zero), dtype=torch.uint8, shape=x.shape, version=OPSET
        )
        return _meant(stored, self.scale, self.zero)


def _meant(stored: Tensor, scale: Tensor, zero: Tensor, **axis: Any) -> Tensor:
    return torch.onnx.ops.symbolic(
        "DequantizeLinear", (stored, scale, zero), axis, dtype=torch.float32, shape=stored.shape, version=OPSET
    )


class _PairedLayer(nn.Module):
    """A convolution or dense layer on a grid: stored weights int8, stored bias int32, pairs before and behind."""

    def __init__(self, layer: GridConv1d | GridConv2d | GridLinear) -> None:
        super().__init__()
        self.reads = _Paired(layer.reads)
        self.gives = None if layer.gives is None else _Paired(layer.gives)
        self.weight = _Stored(layer.weight_steps().to(torch.int8), layer.weight_scale)
        self.bias = _Stored(layer.bias_steps().to(torch.int32), layer.unit)
        self.product = layer._product

    def forward(self, x: Tensor) -> Tensor:
        x, weight, bias = self.reads(x), self.weight(), self.bias()
        if x.ndim > 2 and weight.ndim == 2:
            y = F.linear(x.flatten(0, -2), weight, bias).reshape(*x.shape[:-1], -1)
        else:
            y = self.product(x, weight, bias)
        return y if self.gives is None else cast(Tensor, self.gives(y))


class _Stored(nn.Module):
    """Weights, or a bias, stored in steps of one scale for each output channel."""

    stored: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, stored: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("stored", stored.detach().contiguous())
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("zero", torch.zeros(len(scale), dtype=stored.dtype))

    def forward(self) -> Tensor:
        return _meant(self.stored, self.scale, self.zero, axis=0)

"""Networks as the exporter can follow them: copies in the plain layout, with pools that ONNX has operators for.

Maps are (N, C, H, W) float32.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.exporting.grids import written


def traceable(model: nn.Module) -> nn.Module:
    """Return a copy of a network that computes the same, on the CPU, for the exporter.

    Of weights that lie channels-last it would copy the layout, as gathers and transpositions; pools to a number of bins
    that does not divide the map it does not know.
    """
    plain: nn.Module = copy.deepcopy(model).cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for parent in list(plain.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size in (1, (1, 1)):
                setattr(parent, name, GlobalMean())
            elif isinstance(child, nn.AdaptiveMaxPool2d) and not child.return_indices:
                setattr(parent, name, BinMaxima(child.output_size))
            elif (form := written(child)) is not None:
                setattr(parent, name, form)
    return plain


class GlobalMean(nn.Module):
    """What `AdaptiveAvgPool2d(1)` computes: (N, C, H, W) -> (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of each map."""
        return x.mean((-2, -1), keepdim=True)


class BinMaxima(nn.Module):
    """What `AdaptiveMaxPool2d` computes: (N, C, H, W) -> (N, C, h, w)."""

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.bins = output_size if isinstance(output_size, tuple) else (output_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest value of each bin; where bins divide the map, they are the windows of a pool."""
        (H, W), (h, w) = x.shape[-2:], self.bins
        h, w = h or H, w or W
        if isinstance(H, int) and isinstance(W, int) and H % h == 0 and W % w == 0:
            return F.max_pool2d(x, (H // h, W // w))
        if (h, w) == (1, 1):
            return x.amax((-2, -1), keepdim=True)
        rows = torch.stack([x[..., first:end, :].amax(-2) for first, end in _edges(H, h)], -2)
        return torch.stack([rows[..., first:end].amax(-1) for first, end in _edges(W, w)], -1)


def _edges(length: int, bins: int) -> list[tuple[int, int]]:
    """Return where each bin of an adaptive pool begins and ends: they overlap where `bins` does not divide `length`.

    >>> _edges(7, 3)
    [(0, 3), (2, 5), (4, 7)]
    """
    return [(length * index // bins, -(-length * (index + 1) // bins)) for index in range(bins)]

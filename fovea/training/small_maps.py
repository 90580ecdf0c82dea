"""A faster gradient for the weights of 3x3 convolutions over small maps, in bfloat16 on processors with AMX.

oneDNN adds every image's gradient to all weights, one image at a time. Where maps are small and weights many, that is
mostly reading and writing the sums. Three matrix products over all images at once, one for each row of the filters,
take a quarter of the time over maps of 3x3 with 256 channels (2026-11-30, Intel Xeon, one core).
Maps are (N, C, H, W), channels-last in memory, bfloat16.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fovea.training.recipe import Recipe

LARGEST_MAP = 7 * 7
LEAST_WEIGHTS = 3 * 3 * 128 * 128
"""Maps of more pixels and convolutions of fewer weights are left to oneDNN, which is faster there."""


def weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of a 3x3 convolution's weights (K, C, 3, 3), for `gradient` (N, K, H, W) of its outputs.

    All are of one float dtype. The convolution is of stride 1, with a border of zeros. A row of zeros below each image
    is the border between it and the next, so that all images are one column of rows, and a row of the filters a shift
    of it by one row.
    """
    N, C, H, W = x.shape
    K = gradient.shape[1]
    bordered = x.new_zeros(N, H + 1, W + 2, C)
    bordered[:, :H, 1:-1] = x.permute(0, 2, 3, 1)
    image, row, column, _ = bordered.stride()
    triples = bordered.as_strided((N, H + 1, W, 3 * C), (image, row, column, 1)).reshape(-1, 3 * C)
    spread = gradient.new_zeros(N, H + 1, W, K)
    spread[:, :H] = gradient.permute(0, 2, 3, 1)
    transposed = spread.view(-1, K).t().contiguous()
    length, rows = len(triples), []
    for shift in (-W, 0, W):
        first, last = max(0, -shift), min(length, length - shift)
        rows.append(transposed[:, first:last] @ triples[first + shift : last + shift])
    return torch.stack(rows, 1).view(K, 3, 3, C).permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.conv2d(x, weight, padding=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        x, weight = ctx.saved_tensors
        shape = ((1, 1), (1, 1), (1, 1), False, (0, 0), 1)
        asked = (ctx.needs_input_grad[0], False, False)
        to_x = torch.ops.aten.convolution_backward(gradient, x, weight, None, *shape, asked)[0] if asked[0] else None
        return to_x, weight_gradient(gradient, x)


class SmallMaps(TorchFunctionMode):
    """Lets the convolutions that it suits go this way, in its body."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, or what stands for it here."""
        if func is torch.conv2d and not kwargs and suits(*args):
            x, weight = args[:2]
            return _Convolution.apply(x.bfloat16(), weight.bfloat16())  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


def suits(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] | str = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> bool:
    """Return whether this way is the faster one for a convolution of maps `x` (N, C, H, W) of any float dtype."""
    plain = bias is None and groups == 1 and (*stride, *padding, *dilation) == (1, 1, 1, 1, 1, 1)
    small = x.ndim == 4 and x.shape[2] * x.shape[3] <= LARGEST_MAP and weight.shape[2:] == (3, 3)
    return plain and small and weight.requires_grad and weight.numel() >= LEAST_WEIGHTS and torch.is_grad_enabled()


def pays(model: nn.Module, recipe: Recipe, device: torch.device) -> bool:
    """Return whether a network trained so may have such convolutions, on a processor on which this way is faster."""
    here = device.type == "cpu" and recipe.precision == "bfloat16" and not recipe.compile
    if not here or not torch.cpu._is_amx_tile_supported():
        return False
    return any(isinstance(m, nn.Conv2d) and m.weight.numel() >= LEAST_WEIGHTS for m in model.modules())


def context(chosen: bool) -> AbstractContextManager[object]:
    """Return `SmallMaps` where it is `chosen`, else a context that changes nothing."""
    return SmallMaps() if chosen else nullcontext()

"""Functions of PyTorch that are made of several, written out, so that each part goes by its own rule.

Tensors are (N, C, ...) float unless said. `hold` gets the divisor of a normalisation: `Tensor.detach` makes it a
constant, so that nothing goes back through it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fovea.errors import UsageError

Hold = Callable[[Tensor], Tensor]


def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, hold: Hold
) -> Tensor:
    """Return x / (k + alpha mean of x^2 over `size` channels)^beta, (N, C, ...) float; Krizhevsky 2012, section 3.3."""
    before = [0, 0] * (x.ndim - 2)
    squares = torch.nn.functional.pad(x.square(), [*before, size // 2, (size - 1) // 2])
    mean = torch.stack([squares.narrow(1, i, x.shape[1]) for i in range(size)]).mean(0)
    return x * hold(alpha * mean + k) ** -beta


def layer_norm(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    hold: Hold,
) -> Tensor:
    """Return x (..., *normalized_shape) float, standardised over these dimensions, times `weight` plus `bias`."""
    y = _standardised(x, [*range(-len(normalized_shape), 0)], eps, hold)
    return _affine(y, weight, bias)


def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    hold: Hold,
) -> Tensor:
    """Return x (N, C, ...) float, standardised over the places and channels of each group."""
    grouped = x.reshape(len(x), num_groups, -1)
    y = _standardised(grouped, [2], eps, hold).reshape(x.shape)
    per_channel = [None if one is None else one.reshape(-1, *[1] * (x.ndim - 2)) for one in (weight, bias)]
    return _affine(y, *per_channel)


def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    hold: Hold,
) -> Tensor:
    """Return x (N, C, ...) float, standardised over the places of each channel, by its own statistics."""
    return group_norm(x, x.shape[1], weight, bias, eps, hold=hold)


def scale_and_shift(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Return what batch norm in evaluation mode multiplies x (N, C, ...) float by, and adds: (C, 1, ...) both.

    Raises:
        UsageError: it takes the statistics of the batch.
    """
    if training or running_mean is None or running_var is None:
        raise UsageError("Batch norm uses the statistics of the batch; call the network's `eval()` first.")
    with torch.no_grad():
        scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) - running_mean * scale
    shape = (-1, *[1] * (x.ndim - 2))
    return scale.to(x.dtype).view(shape), shift.to(x.dtype).view(shape)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return softmax(scale Q K^T) V for tensors (..., L, E) float; without masks and dropout."""
    if attn_mask is not None or dropout_p or is_causal or enable_gqa:
        raise UsageError(
            "Attention with a mask, dropout or grouped heads has no rule; `gradcam` works for any network."
        )
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    return (factor * query @ key.transpose(-2, -1)).softmax(-1) @ value


def _standardised(x: Tensor, dims: list[int], eps: float, hold: Hold) -> Tensor:
    centred = x - x.mean(dims, keepdim=True)
    return centred * hold(centred.square().mean(dims, keepdim=True) + eps) ** -0.5


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = x if weight is None else x * weight
    return scaled if bias is None else scaled + bias


def normalisations(hold: Hold) -> dict[str, Callable[..., Any]]:
    """Return the functions by name that divide a tensor (N, C, ...) float by what is computed from it."""
    functions = (local_response_norm, layer_norm, group_norm, instance_norm)
    return {function.__name__: partial(function, hold=hold) for function in functions}

"""Values that no tensor of a network may have, when it is read or written."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fovea.errors import listed


def spoilt(model: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """Return the faults of tensors of `model`, by name, of any shape and dtype: `NaN instead of numbers, in ...`.

    Empty where they are fine. A buffer may be infinite, as a mask is; a parameter may not.
    """
    learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    real = {name: tensor for name, tensor in tensors.items() if tensor.dtype.is_floating_point or tensor.is_complex()}
    # a sum is finite where all its terms are, and mostly only there: the terms are looked at where it is not
    suspects = {name: tensor for name, tensor in real.items() if not tensor.sum(dtype=_wide(tensor)).isfinite()}
    if lost := [name for name, tensor in suspects.items() if tensor.isnan().any()]:
        return f"NaN instead of numbers, in {listed(lost)}"
    if lost := [name for name, tensor in suspects.items() if name in learned and tensor.isinf().any()]:
        return f"infinite values instead of numbers, in {listed(lost)}"
    return ""


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.complex128 if tensor.is_complex() else torch.float64

"""Quantised layers: their weights are packed in objects of PyTorch's that are not parameters and no tensors."""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from fovea.measurement.rules import Given, Shape

NAMESPACE = "quantized::"


def packed_macs(name: str, given: Given, out: Shape) -> int | None:
    """Return the multiply-adds of a quantised dense layer or convolution; None for other operations."""
    kind = name.removeprefix(NAMESPACE)
    if kind == name or not kind.startswith(("linear", "conv")):
        return None
    weight = next((t for value in given.values() for t in packed(value) if t.ndim > 1), None)
    if weight is None:
        return None
    # (c_out, c_in / groups, *kernel) for each output; transposed (c_in, c_out / groups, *kernel) for each input
    positions = next(iter(given.values())) if kind.startswith("conv_transpose") else out
    return int(prod((*positions, *weight.shape[1:])))


def packed(value: Any) -> Iterator[Tensor]:
    """Yield the tensors, of any shape and dtype, quantised ones too, in an object that holds packed weights."""
    if not isinstance(value, torch.ScriptObject):
        return
    try:
        held = value.unpack() if hasattr(value, "unpack") else value.__getstate__()
    except RuntimeError:  # one that cannot be unpacked, as of a recurrent layer's state
        return
    leaves = tree_leaves(held)
    # a recurrent layer's object repeats the biases that stand in those it is made of
    inner = [tensor for leaf in leaves for tensor in packed(leaf)]
    yield from inner or (leaf for leaf in leaves if isinstance(leaf, Tensor))


def packed_counts(model: nn.Module) -> Mapping[str, dict[str, int]]:
    """Return, by the path of the layer, how many weights are packed in it, and their bytes: none of them learns."""
    counts: dict[str, dict[str, int]] = {}
    for path, module in model.named_modules():
        tensors = [tensor for value in vars(module).values() for tensor in packed(value)]
        if tensors:
            # the module that packs is a child, with a name of PyTorch's own, of the layer
            layer = ".".join(takewhile(lambda part: not part.startswith("_"), path.split(".")))
            row = counts.setdefault(layer, {"frozen": 0, "parameter_bytes": 0})
            row["frozen"] += sum(tensor.numel() for tensor in tensors)
            row["parameter_bytes"] += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return counts

"""What the rules for a unit's arithmetic share: numbers out of tensors, and regions of them.

Tensors are of any shape and dtype. A region is, for each dimension, the first position and the one after the last.
Numbers come out as float64.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fovea.explanation.units.tape import Call, Value

Index = tuple[int, ...]
Region = tuple[tuple[int, int], ...]
Reads = list[tuple[Value, Region]]
"""Values of the pass, and which region of each."""


def numbers(tensor: Tensor) -> NDArray[np.float64]:
    """Return the numbers of a tensor of any shape and dtype, float64."""
    found: NDArray[np.float64] = tensor.detach().to("cpu", torch.float64).numpy()
    return found


def read(tensor: Tensor, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the numbers (n,) float64 at some places (n, dimensions) of a tensor."""
    return numbers(tensor[tuple(torch.from_numpy(places).unbind(1))])


def source(call: Call, tensor: Tensor) -> Value | None:
    """Return which value of the pass an argument of a call is; None for a weight."""
    return call.sources.get(id(tensor))


def whole(tensor: Tensor) -> Region:
    """Return the region that is all of a tensor of any shape."""
    return tuple((0, size) for size in tensor.shape)


def clipped(region: Region, shape: Sequence[int]) -> Region:
    """Return the part of a region that lies in a tensor of this shape; empty as (a, a)."""
    cut = [(min(max(low, 0), size), min(max(high, 0), size)) for (low, high), size in zip(region, shape, strict=True)]
    return tuple((low, max(low, high)) for low, high in cut)


def hull(a: Region, b: Region) -> Region:
    """Return the smallest region that holds two."""
    return tuple((min(x[0], y[0]), max(x[1], y[1])) for x, y in zip(a, b, strict=True))


def of(call: Call, pairs: Sequence[tuple[Tensor, Region]]) -> Reads:
    """Return those regions that lie in values of the pass."""
    return [(found, region) for tensor, region in pairs if (found := source(call, tensor)) is not None]


def along(index: Index, dim: int, count: int) -> NDArray[np.int64]:
    """Return the places (count, dimensions) of all units that differ from `index` along one dimension alone."""
    places = np.tile(np.array(index, np.int64), (count, 1))
    places[:, dim] = np.arange(count)
    return places

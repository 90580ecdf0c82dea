"""Units that are another's number in another place, and units that are a function of a few numbers.

Tensors are of any shape and dtype.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map_only

from fovea.explanation.units.arithmetic import Arithmetic
from fovea.explanation.units.reading import Index, Reads, Region, numbers, of, source, whole
from fovea.explanation.units.tape import Call, Value
from fovea.hooks import tensors_in

MOVES = (
    *("cat", "stack", "constant_pad_nd", "clone", "_unsafe_view", "_to_copy", "repeat", "roll", "flip", "copy"),
    *("reflection_pad", "replication_pad", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "index_select"),
    *(
        "gather",
        "native_channel_shuffle",
        "lift_fresh",
        "detach",
        "alias",
        "contiguous",
        "split",
        "unbind",
        "slice",
        "select",
    ),
)
"""Begin the names of operations that move numbers and change none; those that PyTorch tags as views do so, too."""


def is_move(call: Call) -> bool:
    """Say whether a call only puts numbers elsewhere."""
    if call.name == "as_strided":  # its places are those of the memory
        return False
    return bool(call.tags & {"view", "inplace_view"}) or call.name.startswith(MOVES) or call.name == "index"


def moved(call: Call, index: Index, output: int = 0) -> Arithmetic:
    """Return the number as it was read, and from where."""
    origins, tensors = _origins(call, output)
    at = int(origins[index])
    value, place = float(call.given.get("value") or 0.0), tuple[int, ...]()
    where: Value | None = None
    network = float(call.outputs[output][index])
    if at >= 0:
        number, flat = divmod(at, _SPAN)
        tensor = tensors[number]
        place = tuple(map(int, np.unravel_index(flat, tensor.shape))) if tensor.ndim else ()
        value, where = float(tensor[place]), source(call, tensor)
    return Arithmetic(
        title=call.title,
        formula="padding" if at < 0 else "the same number, moved from another position",
        value=value,
        network=network,
        values=np.array([value]),
        sources=[where],
        indices=[place],
    )


def moved_reads(call: Call, region: Region, output: int = 0) -> Reads:
    """Return the smallest regions of the inputs that hold what a region was read from."""
    origins, tensors = _origins(call, output)
    found = origins[tuple(slice(low, high) for low, high in region)].ravel()
    found = found[found >= 0]
    pairs = []
    for number, tensor in enumerate(tensors):
        flat = found[found // _SPAN == number] % _SPAN
        if len(flat):
            places = np.array(np.unravel_index(flat, tensor.shape)).reshape(tensor.ndim, -1)
            spans = zip(places.min(axis=1).tolist(), places.max(axis=1).tolist(), strict=True)
            pairs.append((tensor, tuple((low, high + 1) for low, high in spans)))
    return of(call, pairs)


_SPAN = 1 << 40
"""More than the numbers of any tensor: where one tensor's places end and the next one's begin."""


@lru_cache(maxsize=64)
def _origins(call: Call, output: int) -> tuple[NDArray[np.int64], list[Tensor]]:
    """Return, for each number of an output, where it came from: which tensor, and the place in it; -1 for padding.

    The operation itself runs on the places, in float64, which holds them exactly.
    """
    tensors = [t for t in tensors_in((call.args, dict(call.kwargs))) if t.dtype.is_floating_point and source(call, t)]
    named = {id(tensor): number for number, tensor in enumerate(tensors)}

    def places(tensor: Tensor) -> Tensor:
        if id(tensor) not in named:
            return tensor
        first = named[id(tensor)] * _SPAN + 1
        return torch.arange(first, first + tensor.numel(), dtype=torch.float64).view(tensor.shape)

    args, kwargs = tree_map_only(Tensor, places, (call.args, dict(call.kwargs)))
    kwargs.pop("dtype", None)
    if call.name == "constant_pad_nd":
        args = (*args[:2], 0.0)
    made = tensors_in(call.run(*args, **kwargs))[output]
    return made.contiguous().numpy().astype(np.int64) - 1, tensors


def pointwise(call: Call, index: Index) -> Arithmetic:
    """Return a function of the numbers that stand at the unit's place in each input: the operation itself on them."""
    shape = call.outputs[0].shape
    values: list[float] = []
    sources: list[Value | None] = []
    indices: list[Index] = []
    constants: dict[str, float] = {}

    def own(tensor: Tensor) -> Tensor:
        spread = tensor.detach().expand(shape)
        number = spread[index].to(torch.float64) if tensor.dtype.is_floating_point else spread[index]
        found = source(call, tensor)
        if found is None:
            constants[f"weight {len(constants) + 1}" if constants else "weight"] = float(number)
        else:
            values.append(float(number))
            sources.append(found)
            indices.append(_place_in(tensor, index))
        return number.clone()

    args, kwargs = tree_map_only(Tensor, own, (call.args, dict(call.kwargs)))
    made = tensors_in(call.run(*args, **kwargs))[0]
    constants |= _settings(call)
    return Arithmetic(
        title=call.title,
        formula=FORMULAS.get(call.title, f"{call.title}(value)"),
        value=float(made),
        network=float(call.outputs[0][index]),
        values=np.array(values),
        sources=sources,
        indices=indices,
        constants=constants,
    )


FORMULAS = {
    "relu": "the value, or 0 if it is negative",
    "add": "the sum of the values",
    "mul": "the product of the values",
    "sub": "the difference of the values",
    "div": "the quotient of the values",
    "hardtanh": "the value, cut at both ends",
    "clamp": "the value, cut at the ends",
    "sigmoid": "1 / (1 + exp(-value))",
    "silu": "value / (1 + exp(-value))",
    "hardswish": "value x min(max(value + 3, 0), 6) / 6",
    "hardsigmoid": "min(max(value + 3, 0), 6) / 6",
    "gelu": "value x the fraction of a normal distribution below it",
    "leaky_relu": "the value, or a fraction of it if it is negative",
}


def _settings(call: Call) -> dict[str, float]:
    """Return the numbers among the arguments, by name."""
    return {
        name: float(value)
        for name, value in call.given.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _place_in(tensor: Tensor, index: Index) -> Index:
    """Return the place in a tensor that is spread to the unit's shape by broadcasting."""
    own = index[len(index) - tensor.ndim :]
    return tuple(0 if size == 1 else at for at, size in zip(own, tensor.shape, strict=True))


def pointwise_reads(call: Call, region: Region) -> Reads:
    """Return the same region of each input, one position wide where it is broadcast."""
    pairs = []
    for tensor in tensors_in((call.args, dict(call.kwargs))):
        own = region[len(region) - tensor.ndim :]
        pairs.append(
            (tensor, tuple((0, 1) if size == 1 else span for size, span in zip(tensor.shape, own, strict=True)))
        )
    return of(call, pairs)


def interpolated(call: Call, index: Index) -> Arithmetic:
    """Return a weighted sum whose weights are the gradient: of an operation that is linear, as resizing is."""
    x = next(tensor for tensor in tensors_in(call.args) if source(call, tensor) is not None)
    with torch.enable_grad():
        inputs = x.detach().to(torch.float64).requires_grad_()
        args, kwargs = tree_map_only(Tensor, lambda t: inputs if t is x else t, (call.args, dict(call.kwargs)))
        (weights,) = torch.autograd.grad(tensors_in(call.run(*args, **kwargs))[0][index], inputs)
    places = np.argwhere(weights.numpy() != 0)
    values = numbers(x)[tuple(places.T)]
    own = weights.numpy()[tuple(places.T)]
    return Arithmetic(
        title=call.title,
        formula="the sum of values times weights",
        value=float(values @ own),
        network=float(call.outputs[0][index]),
        values=values,
        weights=own,
        sources=[source(call, x)],
        places=places,
    )


def everything_reads(call: Call, region: Region) -> Reads:
    """Return all of every input: what is right where no more is known."""
    tensors: list[Any] = tensors_in((call.args, dict(call.kwargs)))
    return of(call, [(tensor, whole(tensor)) for tensor in tensors])

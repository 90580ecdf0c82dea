"""Which places of which layers are one channel: channels followed through every operation of a pass.

Every place of a layer, as a filter or a column of weights, has a number. Beside each tensor of the pass stands a tensor
of its shape that says for every element at which place its channel was made; 0 is nothing, as zeros that are appended.
What moves data moves these numbers, by the same operation. What adds, multiplies or compares maps ties the numbers at
the same places; what mixes channels fixes them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from fovea.compression.recording import Call, Recording, Step
from fovea.compression.resizing import Resizing, Side, channel_axis, resizing_of
from fovea.hooks import tensors_in

COPIES = {"clone", "_to_copy", "detach", "alias", "lift_fresh", "lift_fresh_copy", "contiguous"}
ELEMENTWISE = {"hardswish", "log_sigmoid_forward", "_prelu_kernel", "rsub"}
"""Operations that PyTorch does not tag as what takes each element on its own, and that do."""
MOVES = {"cat", "stack", "constant_pad_nd", "flip", "roll", "repeat", "view", "_unsafe_view"}
"""Operations beside the other views that only move what they get."""
PARTS = {"slice", "select", "split", "split_with_sizes", "unbind"}
"""Views that may leave out channels."""
BY_CHANNEL = ("avg_pool", "max_pool", "adaptive_avg_pool", "adaptive_max_pool", "upsample", "reflection", "replication")
"""Begin, after a `_` perhaps, the names of operations that take each channel alone; a digit is their axes."""
REDUCTIONS = {"mean", "sum", "amax", "amin", "max", "min", "var", "std", "linalg_vector_norm", "any", "all", "prod"}
ALONG = {"_softmax", "_log_softmax", "cumsum", "cumprod", "native_layer_norm", "native_group_norm"}
"""Operations whose output has the shape of the input, and that mix along some axes."""
MAKERS = ("empty", "zeros", "ones", "full", "arange", "scalar_tensor", "new_", "rand", "bernoulli", "eye")
"""Begin the names of operations whose outputs hold nothing of their inputs."""


@dataclass(eq=False)
class Block:
    """The numbers of one side of a layer, or of the elements of a tensor on its own: `start` and the following."""

    layer: str
    side: Side
    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """The number behind the last."""
        return self.start + math.prod(self.shape)


@dataclass(eq=False)
class Followed:
    """What is known of the channels after a pass."""

    blocks: list[Block]
    labels: NDArray[np.int64]
    """Of each number the channel it belongs to."""
    reasons: Mapping[int, str]
    """Why a channel is fixed."""
    parts: Mapping[tuple[str, Side], int]
    """Into how many equal parts a convolution in groups divides a side."""
    divisions: Sequence[tuple[str, NDArray[np.int64]]]
    """What divides channels into equal parts, and those: (parts, channels of each)."""

    def of(self, block: Block) -> NDArray[np.int64]:
        """Return the channels of a block's places, int64 in its shape."""
        return self.labels[block.start : block.stop].reshape(block.shape)


def followed(recording: Recording, kinds: Mapping[str, Resizing] | None = None) -> Followed:
    """Return which places are one channel in this pass.

    `kinds` are those of layers by path, where they are known: a depthwise convolution that has one channel left looks
    like any other.
    """
    follower = _Follower(recording, kinds or {})
    follower.run()
    return follower.result()


class _Follower:
    """What is known so far."""

    def __init__(self, recording: Recording, kinds: Mapping[str, Resizing]) -> None:
        self.recording, self.kinds = recording, kinds
        self.numbers = dict[int, Tensor]()
        """By the identity of a tensor the numbers beside it, int32, in its shape."""
        self.blocks = dict[tuple[str, Side], Block]()
        self.parts = dict[tuple[str, Side], int]()
        self.divisions: list[tuple[str, Tensor]] = []
        self.ties: list[NDArray[np.int64]] = []
        self.fixes: list[tuple[NDArray[np.int64], str]] = []
        self.count = 1
        model = recording.model
        named = [*model.named_parameters(), *model.named_buffers()]
        self.alone = {id(tensor): name for name, tensor in named}

    def run(self) -> None:
        """Follow the pass from the input to the outputs."""
        x = self.recording.x
        self._mark(x, self._block("", "out", (x.shape[1],)), axis=1)
        self._fix(self.numbers[id(x)], "they are the network's input")
        layers = self._layers()
        at = 0
        while at < len(self.recording.steps):
            if (call := layers.get(at)) is not None:
                self._layer(call)
                at = call.stop
            else:
                self._step(self.recording.steps[at])
                at += 1
        for tensor in self.recording.outputs:
            if id(tensor) in self.numbers:
                self._fix(self.numbers[id(tensor)], "they are the network's output")

    def result(self) -> Followed:
        """Return what is known."""
        from scipy.sparse import coo_array  # a tenth of a second, which loading a model file shall not take
        from scipy.sparse.csgraph import connected_components

        pairs = np.concatenate([np.zeros((2, 0), np.int64), *self.ties], axis=1)
        graph = coo_array((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])), shape=(self.count, self.count))
        labels = connected_components(graph, directed=False)[1].astype(np.int64)
        reasons = dict[int, str]()
        for numbers, reason in self.fixes:
            for label in np.unique(labels[numbers]):
                reasons.setdefault(int(label), reason)
        divisions = [(what, labels[numbers.numpy()]) for what, numbers in self.divisions]
        return Followed(list(self.blocks.values()), labels, reasons, self.parts, divisions)

    def _layers(self) -> dict[int, Call]:
        """Return the calls of layers with channels by the step that they begin at, none within another."""
        found = dict[int, Call]()
        for call in self.recording.calls:
            if call.stop > call.start and self._kind(call) is not None:
                found.setdefault(call.start, call)  # those outside come first
        return found

    def _kind(self, call: Call) -> Resizing | None:
        return self.kinds.get(call.path) or resizing_of(call.module)

    # -- numbers

    def _block(self, layer: str, side: Side, shape: tuple[int, ...]) -> Tensor:
        """Return the numbers of a block, made where there are none yet, int32 in its shape."""
        if (layer, side) not in self.blocks:
            self.blocks[layer, side] = Block(layer, side, self.count, shape)
            self.count = self.blocks[layer, side].stop
        block = self.blocks[layer, side]
        return torch.arange(block.start, block.stop, dtype=torch.int32).reshape(block.shape)

    def _mark(self, tensor: Tensor, vector: Tensor, *, axis: int) -> None:
        """Set the numbers of a tensor: those of `vector` along an axis."""
        shape = [1] * tensor.ndim
        shape[axis] = -1
        self.numbers[id(tensor)] = vector.reshape(shape).expand(tensor.shape)

    def _fix(self, numbers: Tensor, reason: str) -> None:
        found = _distinct(_core(numbers).numpy())
        self.fixes.append((found[found > 0].astype(np.int64), reason))

    def _tie(self, a: Tensor, b: Tensor) -> None:
        """Make the channels at the same places of two tensors of one shape the same."""
        pairs = np.stack([a.flatten().numpy(), b.flatten().numpy()]).astype(np.int64)
        pairs = pairs[:, (pairs > 0).all(0)]
        if pairs.shape[1] > 1:
            joined = _distinct(pairs[0] * self.count + pairs[1])
            pairs = np.stack([joined // self.count, joined % self.count])
        self.ties.append(pairs)

    # -- layers

    def _layer(self, call: Call) -> None:
        x, layer = call.inputs[0], call.module
        axis = channel_axis(layer, x.ndim)
        resizing = cast(Resizing, self._kind(call))
        vector = None
        if (numbers := self.numbers.get(id(x))) is not None:
            vector = _along(numbers, axis)
            if vector is None:
                self._fix(numbers, f"{_named(call.path, layer)} reads several channels as one")
        sides = resizing.sides(layer)
        made = {side: self._block(call.path, side, (size,)) for side, size in sides.items()}
        if vector is not None and (read := next((side for side in sides if side in ("in", "each")), None)):
            self._tie(made[read], vector[: sides[read]])
        if "in" in sides and (parts := getattr(layer, "groups", 1)) > 1:
            self.parts |= {(call.path, "in"): parts, (call.path, "out"): parts}
            self.divisions += [(f"`{call.path}`", made[side].reshape(parts, -1)) for side in ("in", "out")]
        read_here = torch.zeros(x.shape[axis], dtype=torch.int32) if vector is None else vector
        for output, along in zip(call.outputs, resizing.made(layer, made, read_here), strict=False):
            self._mark(output, along, axis=axis)

    # -- operations

    def _step(self, step: Step) -> None:
        name = step.name
        if name.startswith(MAKERS) or name.endswith("_like") or not any(map(self._tracked, step.reads)):
            return
        base = name.rstrip("_")
        if base in COPIES:
            self._set(step, [self._of(step.reads[0])])
        elif (step.operation.is_view and base != "as_strided") or base in MOVES:
            self._moved(step, base)
        elif torch.Tag.pointwise in step.operation.tags or base in ELEMENTWISE:
            self._pointwise(step)
        elif name.lstrip("_").startswith(BY_CHANNEL):
            self._by_channel(step)
        elif base in REDUCTIONS:
            self._reduced(step)
        elif base in ALONG:
            self._along(step)
        else:
            self._unknown(step)

    def _tracked(self, tensor: Tensor) -> bool:
        return id(tensor) in self.numbers or id(tensor) in self.alone

    def _of(self, tensor: Tensor) -> Tensor:
        """Return the numbers beside a tensor; nothing beside a constant."""
        if id(tensor) not in self.numbers:
            if id(tensor) not in self.alone:
                return torch.zeros((), dtype=torch.int32).expand(tensor.shape)
            self.numbers[id(tensor)] = self._block(self.alone[id(tensor)], "each", tuple(tensor.shape))
        return self.numbers[id(tensor)]

    def _set(self, step: Step, numbers: Sequence[Tensor]) -> None:
        for tensor, found in zip(step.made, numbers, strict=False):
            if step.name.endswith("_") and step.reads[0] is tensor and _is_part(tensor):
                if not torch.equal(found, self._of(tensor)):
                    self._fix(found, self._reason(step))
            self.numbers[id(tensor)] = found

    def _moved(self, step: Step, base: str) -> None:
        if base in PARTS:
            x, dim = step.reads[0], _argument(step, "dim", 0)
            if _varies(self._of(x), dim) and not (base == "slice" and step.made[0].shape == x.shape):
                self._fix(self._of(x), f"{self._where(step)} takes some of the channels with `{base}`")
        args, kwargs = tree_map_only(Tensor, self._of, (step.args, dict(step.kwargs)))
        if base in ("view", "_unsafe_view"):
            self._divided(step, args[0])
            self._set(step, [args[0].reshape(step.made[0].shape)])
            return
        if base == "constant_pad_nd":
            self._set(step, [_padded(args[0], args[1])])
            return
        self._set(step, tensors_in(step.operation(*args, **kwargs)))

    def _divided(self, step: Step, numbers: Tensor) -> None:
        """Note where a view makes two axes of that of the channels."""
        one, two = tuple(numbers.shape), tuple(step.made[0].shape)
        axis = next((k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), len(one))
        if axis < len(one) and math.prod(two[axis : axis + 2]) == one[axis] and _varies(numbers, axis):
            if (vector := _along(numbers, axis)) is not None:
                self.divisions.append((self._where(step), vector.reshape(two[axis], -1)))

    def _pointwise(self, step: Step) -> None:
        shape = step.made[0].shape
        found: Tensor | None = None
        for tensor in step.reads:
            if not self._tracked(tensor):
                continue
            other = self._of(tensor).expand(shape)
            found = other if found is None else self._joined(found, other, step)
        self._set(step, [cast(Tensor, found)])

    def _joined(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        """Return the numbers of what two tensors, spread to one shape, become together."""
        for one, other in ((a, b), (b, a)):
            # one value for several channels: it is none of them
            if any(one.stride(k) == 0 and _varies(other, k) for k in range(one.ndim)) and bool((one > 0).any()):
                self._fix(one, f"{self._where(step)} uses it for several channels, with `{_readable(step)}`")
                return other
        for k in range(a.ndim):
            if not (_varies(a, k) or _varies(b, k)):
                a, b = a.narrow(k, 0, 1), b.narrow(k, 0, 1)
        self._tie(a, b)
        return torch.where(a > 0, a, b).expand(step.made[0].shape)

    def _by_channel(self, step: Step) -> None:
        axes = int(next((letter for letter in step.name if letter.isdigit()), "2"))
        numbers = self._of(step.reads[0])
        for k in range(numbers.ndim - axes, numbers.ndim):
            if _varies(numbers, k):
                return self._unknown(step)
            numbers = numbers.narrow(k, 0, 1)
        return self._set(step, [numbers.expand(step.made[0].shape)])

    def _reduced(self, step: Step) -> None:
        numbers = self._of(step.reads[0])
        dims = _argument(step, "dim", None)
        axes = range(numbers.ndim) if dims in (None, []) else [dims] if isinstance(dims, int) else dims
        if any(_varies(numbers, k) for k in axes):
            return self._unknown(step)
        for k in axes:
            numbers = numbers.narrow(k, 0, 1)
        return self._set(step, [numbers.reshape(step.made[0].shape)])

    def _along(self, step: Step) -> None:
        numbers = self._of(step.reads[0])
        if step.name == "native_layer_norm":
            axes = range(numbers.ndim - len(_argument(step, "normalized_shape", ())), numbers.ndim)
        else:
            axis = 1 if step.name == "native_group_norm" else _argument(step, "dim", -1)
            axes = range(axis, axis + 1)
        if any(_varies(numbers, k) for k in axes):
            self._fix(numbers, self._reason(step))
        self._set(step, [numbers])

    def _unknown(self, step: Step) -> None:
        reason = self._reason(step)
        for tensor in step.reads:
            if id(tensor) in self.numbers:
                self._fix(self.numbers[id(tensor)], reason)
        number = torch.tensor(self.count, dtype=torch.int32)
        self.count += 1
        self._fix(number.reshape(1), reason)
        # clone: it stands for several channels, not for one that is spread
        self._set(step, [number.expand(tensor.shape).clone() for tensor in step.made])

    def _where(self, step: Step) -> str:
        return _named(step.path, self.recording.model.get_submodule(step.path))

    def _reason(self, step: Step) -> str:
        return f"{self._where(step)} mixes them with `{_readable(step)}`"


def _named(path: str, module: nn.Module) -> str:
    return f"`{path}` ({type(module).__name__})" if path else "the network's own code"


def _readable(step: Step) -> str:
    return step.name.strip("_").removeprefix("native_")


def _argument(step: Step, name: str, default: Any) -> Any:
    """Return an argument of an operation by its name."""
    names = [argument.name for argument in step.operation._schema.arguments]
    given = {**dict(zip(names, step.args, strict=False)), **step.kwargs}
    return given.get(name, default)


def _varies(numbers: Tensor, axis: int) -> bool:
    """Tell whether there are several channels along an axis."""
    if numbers.shape[axis] < 2 or numbers.stride(axis) == 0:
        return False
    return bool((numbers != numbers.narrow(axis, 0, 1)).any())


def _core(numbers: Tensor) -> Tensor:
    """Return the numbers without the axes along which they were spread."""
    for k in range(numbers.ndim):
        if numbers.stride(k) == 0 and numbers.shape[k]:
            numbers = numbers.narrow(k, 0, 1)
    return numbers


def _along(numbers: Tensor, axis: int) -> Tensor | None:
    """Return the numbers along an axis, (places,); None if they differ along another."""
    for k in range(numbers.ndim):
        if k != axis:
            if _varies(numbers, k):
                return None
            numbers = numbers.narrow(k, 0, 1)
    return numbers.flatten()


def _padded(numbers: Tensor, pad: Sequence[int]) -> Tensor:
    """Return the numbers of what is padded: around a map zeros of each channel, before and behind channels nothing."""
    for k, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = numbers.ndim - 1 - k
        if axis > 1 and not _varies(numbers, axis):
            shape = [size + (before + after) * (a == axis) for a, size in enumerate(numbers.shape)]
            numbers = numbers.narrow(axis, 0, 1).expand(shape)
        else:
            numbers = nn.functional.pad(numbers, (*(0, 0) * k, before, after))
    return numbers


def _is_part(tensor: Tensor) -> bool:
    """Tell whether a tensor lies in the memory of a larger one."""
    return tensor.untyped_storage().nbytes() != tensor.numel() * tensor.itemsize


def _distinct(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return what `numpy.unique` does, which is ten times slower where many are alike."""
    ordered: NDArray[Any] = np.sort(numbers, axis=None)
    distinct: NDArray[Any] = ordered[np.diff(ordered, prepend=ordered[:1] - 1) != 0]
    return distinct

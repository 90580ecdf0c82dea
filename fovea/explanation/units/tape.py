"""One forward pass of one sample, kept: every operation with its values, in the order in which they ran.

Whatever a network does, functional calls, operators and methods too, ends in operations of PyTorch's dispatcher, where
it is seen. Tensors are of any shape and dtype. The values are those that the network computed: an operation that works
in place gets a copy of what was there before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from fovea.errors import UsageError
from fovea.hooks import tensors_in, watch
from fovea.measurement.walk import described, readable


class Value(NamedTuple):
    """A tensor that the pass made: the number of the call, and which of its outputs."""

    call: int
    output: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One operation as it ran, or the input of the network (`name` is `input`)."""

    number: int
    name: str
    """As PyTorch's dispatcher calls it."""
    path: str
    """The module in which it ran, as in `named_modules`."""
    title: str
    """The name that people know it by: `conv2d`, `relu`, `linear`."""
    run: Callable[..., Any]
    """The operation itself, of `args` and `kwargs`."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    given: Mapping[str, Any]
    """The same by the names of the arguments, those left out not among them."""
    sources: Mapping[int, Value]
    """For each tensor among them, by `id`, which value of the pass it is; weights are none."""
    outputs: tuple[Tensor, ...]
    tags: frozenset[str]


@dataclass(frozen=True, eq=False)
class Tape:
    """The calls of a pass; the first is the input."""

    calls: Sequence[Call]
    output: Value
    """What the network answers; of several outputs the first."""

    def tensor(self, value: Value) -> Tensor:
        """Return the tensor of a value, of any shape and dtype."""
        return self.calls[value.call].outputs[value.output]

    @cached_property
    def bytes(self) -> int:
        """Return how much memory the values take; those that share it count once."""
        storages = [tensor.untyped_storage() for call in self.calls for tensor in call.outputs]
        return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def record(model: nn.Module, x: Tensor) -> Tape:
    """Return the pass of the input (1, C, ...) float through a network, as it is when it is tested.

    All maps stay in memory until the tape goes: some two to four times as many bytes as the network's activations.

    Raises:
        UsageError: more than one sample.
    """
    if len(x) != 1:
        raise UsageError(f"Give one sample at a time; there are {len(x)}.")
    training = model.training
    model.eval()
    recorder = _Recorder(x)
    try:
        with torch.no_grad(), watch(model, enter=recorder.enter, leave=recorder.leave), recorder:
            answer = tensors_in(model(x))[0]
    finally:
        model.train(training)
    return Tape(recorder.calls, recorder.value_of(answer))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What has run so far; while active, more."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        nothing: dict[str, Any] = {
            "run": lambda: None,
            "args": (),
            "kwargs": {},
            "given": {},
            "sources": {},
            "tags": frozenset(),
        }
        self.calls = [Call(number=0, name="input", path="", title="input", outputs=(x,), **nothing)]
        self._made = {_place(x): Value(0)}
        self._running: list[str] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the compiler, whose import takes seconds, has no part in it

    def value_of(self, tensor: Tensor) -> Value:
        """Return which value of the pass a tensor of any shape and dtype is."""
        return self._made[_place(tensor)]

    def enter(self, path: str, module: nn.Module, inputs: list[Tensor]) -> None:
        self._running.append(path)

    def leave(self, path: str, module: nn.Module, outputs: list[Tensor]) -> None:
        self._running.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        operation = described(func)
        changed = [dict(zip(operation.arguments, args, strict=False)).get(name) for name in operation.changed]
        before = {id(tensor): self._copied(tensor) for tensor in changed if isinstance(tensor, Tensor)}
        sources = {
            id(before.get(id(t), t)): self._made[_place(t)]
            for t in tensors_in((args, kwargs))
            if _place(t) in self._made
        }
        kept = tree_map_only(Tensor, lambda tensor: before.get(id(tensor), tensor), (args, kwargs))
        result = func(*args, **kwargs)  # the mode is off in here
        outputs = tuple(tensors_in(result))
        if sources and outputs and not operation.name.startswith("new_") and not operation.name.endswith("_like"):
            given = {**dict(zip(operation.arguments, kept[0], strict=False)), **kept[1]}
            shapes = tree_map_only(Tensor, lambda tensor: tuple(tensor.shape), given)
            call = Call(
                number=len(self.calls),
                name=operation.name,
                path=self._running[-1] if self._running else "",
                title=readable(operation.name, shapes),
                run=func,
                args=kept[0],
                kwargs=kept[1],
                given=given,
                sources=sources,
                outputs=outputs,
                tags=operation.tags,
            )
            self.calls.append(call)
            for place, tensor in enumerate(outputs):
                self._made[_place(tensor)] = Value(call.number, place)
        return result

    def _copied(self, tensor: Tensor) -> Tensor:
        """Return a copy of what an operation is about to change; the call that made it has the copy from now on."""
        copy = tensor.clone()
        made = self._made.get(_place(tensor))
        if made is not None:
            call = self.calls[made.call]
            outputs = tuple(copy if place == made.output else each for place, each in enumerate(call.outputs))
            self.calls[made.call] = replace(call, outputs=outputs)
        return copy


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Return where a tensor lies in memory, and how: two of them that are alike are one value."""
    return (
        tensor.untyped_storage()._cdata,
        tensor.storage_offset(),
        tuple(tensor.shape),
        tuple(tensor.stride()),
        tensor.dtype,
    )

"""One forward pass that is watched: each operation as PyTorch dispatches it, each module as it is entered and left.

On the `meta` device tensors have shapes and no values, so that a walk costs neither memory nor arithmetic. Every
functional call, operator and method ends in an operation of PyTorch's dispatcher, where it is seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

from fovea.errors import ShapeError
from fovea.hooks import watch
from fovea.measurement.axes import Lost, Place, State, Steps
from fovea.measurement.fitting import leftover, steps_to, strides
from fovea.measurement.flow import Call, flow, is_view
from fovea.measurement.ledger import Draft, Ledger, memory
from fovea.measurement.quantised import packed_macs
from fovea.measurement.receptive import pixels
from fovea.measurement.result import Leftover, Shape
from fovea.measurement.rules import MACS, base, broken, may_multiply, windows

META = torch.device("meta")
VALUES = {"data_dependent_output", "dynamic_output_shape"}
"""Tags of operations that give numbers, or a shape, that depend on values."""
FIRST_OUTPUT = ("max_pool", "adaptive_max_pool", "native_", "cudnn_", "miopen_", "_scaled_dot_product")
"""Begin the names of operations whose further outputs are for the backward pass only."""


class Operation(NamedTuple):
    """What is the same in every call of one operation."""

    name: str
    arguments: tuple[str, ...]
    tags: frozenset[str]
    changed: tuple[str, ...]
    """Those of its arguments that it writes into."""


@dataclass(eq=False, kw_only=True)
class Frame:
    """A module that is running, or has run; `path` without the number of the call."""

    path: str
    name: str
    """Its path with the number of the call, from the second on."""
    module: nn.Module
    inputs: Sequence[Shape]
    sources: Sequence[Draft]
    first: int
    """Index of its first row."""
    stop: int = 0
    outputs: Sequence[Shape] = ()
    state: State = None

    @property
    def type(self) -> str:
        """The name of the module's class."""
        # a module with weight norm has a class made for it; what it was before says more
        return str(type_before_parametrizations(self.module).__name__)


@contextmanager
def _one_by_one() -> Iterator[None]:
    """Let attention run as the operations that it is made of, each of which is counted, not as one."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


class Walk(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What has been seen so far; while active, it sees more."""

    def __init__(self, *, virtual: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.virtual = virtual
        self.ledger = Ledger()
        self.drafts: list[Draft] = []
        self.running: list[Frame] = []
        self.groups: list[Frame] = []
        self.operation: tuple[str, Mapping[str, Any]] | None = None
        """What is running, with the shapes of its arguments."""
        self.decides = False
        """Whether what is running gives numbers, or a shape, that depend on the values of the input."""
        self.strided: dict[int, set[Steps]] = {}
        """For each axis of the input, how its size becomes that of the output of each layer with a stride."""
        self._meta: dict[int, tuple[Tensor, Tensor]] = {}
        self._calls: dict[str, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the compiler, whose import takes seconds, has no part in a walk

    def run(self, model: nn.Module, x: Tensor, *, fields: bool = True) -> None:
        """Pass the input (N, C, *sizes), float, through the network; what units see is followed only with `fields`."""
        places = (Place(axis=pixels(size), dim=dim + 2 if size > 1 else None) for dim, size in enumerate(x.shape[2:]))
        self.ledger.remember(x)
        self.ledger.write(x, tuple(places) if fields else None, in_place=False)
        self._add(Draft(path="input", type="Input", state=self.ledger.state(x)), made=[x], handed=[x])
        saved = torch.autograd.graph.saved_tensors_hooks(self.ledger.keep, lambda tensor: tensor)
        # autograd saves, and so tells what training keeps, only where gradients are on
        with watch(model, enter=self._enter, leave=self._leave), torch.enable_grad(), saved, _one_by_one(), self:
            model(x)

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operation, and note what it did."""
        operation = described(func)
        args = tuple(_each(self.without_values, value) for value in args)
        kwargs = {key: _each(self.without_values, value) for key, value in (kwargs or {}).items()}
        if self.virtual and "device" in operation.arguments:
            kwargs["device"] = META  # tensors that the network makes itself have no values either
        given = {**dict(zip(operation.arguments, args, strict=False)), **kwargs}
        shapes = {key: _each(_shape, value) for key, value in given.items()}
        self.operation = operation.name, shapes  # stays where the operation fails: the error names the rule it breaks
        if self.virtual and (rule := broken(operation.name, shapes)):
            raise ShapeError(rule)  # without values PyTorch does not check all
        shortcut = SHORTCUTS.get(operation.name) if self.virtual else None
        # before it runs: some operations give a tensor another shape in place
        ins = _tensors(given.values())
        if "inplace_view" in operation.tags:
            ins = [tensor.detach() for tensor in ins]
        states = [(tensor, state) for tensor in ins if (state := self.ledger.state(tensor)) is not None]
        self.decides = bool(states and operation.tags & VALUES)
        result = shortcut(given) if shortcut else None
        if result is None:
            result = func(*args, **kwargs)  # the mode is off in here: this does not come back
        self.operation = None
        outs = _tensors([result])
        seen = [(tensor, state) for tensor, state in states if not isinstance(state, Lost)]
        lost = [state for _, state in states if isinstance(state, Lost)]
        tags = operation.tags if _keeps_memory(ins, outs) else operation.tags - {"inplace_view"}
        call = Call(name=operation.name, tags=tags, given=given, shapes=shapes, inputs=ins, seen=seen, outputs=outs)
        # one input that is not followed is enough: every output may depend on it
        self._note(call, [lost[0]] * len(outs) if lost else flow(call))
        if states and operation.changed:
            self._note_changed(operation, given, outs)
        return result

    def _note_changed(self, operation: Operation, given: Mapping[str, Any], outs: Sequence[Tensor]) -> None:
        """Note that what an operation has changed without handing it on is no longer followed."""
        handed = set(map(memory, outs))
        for tensor in _tensors(given.get(name) for name in operation.changed):
            # moving averages, which are not read in the pass that changes them
            if memory(tensor) not in handed and "batch_norm" not in operation.name:
                self.ledger.lose(tensor, Lost(f"`{operation.name}` changes tensors in place"))

    def without_values(self, value: Any) -> Any:
        """Return, in a virtual walk, the same tensor of the `meta` device for each tensor that has values."""
        if not self.virtual or not isinstance(value, Tensor) or value.is_meta:
            return value
        if id(value) not in self._meta:
            # with the tensor itself, so that no other gets its id while the walk lasts
            self._meta[id(value)] = (value, value.detach().to("meta"))
        return self._meta[id(value)][1]

    def _note(self, call: Call, states: Sequence[State]) -> None:
        ledger = self.ledger
        for tensor in call.inputs:
            ledger.remember(tensor)
        made = [tensor for tensor in call.outputs if ledger.is_new(tensor)]  # before they are remembered
        for tensor, state in zip(call.outputs, states, strict=True):
            ledger.remember(tensor)
            # into a tensor that is there: in place, or by `out=`
            ledger.write(tensor, state, in_place=bool(call.tags & {"inplace", "out"}) and not is_view(call))
        if is_view(call):
            return
        if not call.inputs or call.name.endswith("_like"):  # torch.zeros, empty_like: memory that waits for its row
            ledger.blank.update(map(memory, made))
        else:
            draft = self._draft(call)
            for tensor in call.inputs:
                ledger.reader.setdefault(memory(tensor), draft)
            first_only = call.name.startswith(FIRST_OUTPUT)
            self._add(draft, made=made, handed=call.outputs[:1] if first_only else call.outputs)

    def _draft(self, call: Call) -> Draft:
        """Return the row of one operation."""
        type_ = readable(call.name, call.shapes)
        name = base(call.name)
        shape = tuple(call.outputs[0].shape) if call.outputs else ()
        macs = MACS[name](call.shapes, shape) if name in MACS else packed_macs(name, call.shapes, shape)
        inside = f"{self.running[-1].path}." if self.running and self.running[-1].path else ""
        return Draft(
            path=self._numbered(f"{inside}{type_}()"),
            type=type_,
            inputs=[tuple(tensor.shape) for tensor in call.inputs if memory(tensor) in self.ledger.latest],
            macs=macs or 0,
            uncounted=(name,) if macs is None and may_multiply(name) else (),
            branches=[[place.axis for place in state] for _, state in call.seen] if len(call.seen) > 1 else [],
            leftovers=list(self._leftovers(call)),
            sources=self.ledger.givers(call.inputs),
        )

    def _leftovers(self, call: Call) -> Iterator[Leftover]:
        """Yield where its windows do not divide their input, and note every stride."""
        slidings = windows(call.name, call.shapes)
        if not slidings or not call.seen:
            return
        tensor, places = call.seen[0]
        for axis, place, sliding in strides(slidings, places, tuple(tensor.shape)):
            self.strided.setdefault(axis, set()).add(steps_to(place, sliding) or ())
            found = leftover(axis, place.axis.count, sliding)
            if found is not None:
                yield found

    def _add(self, draft: Draft, *, made: Sequence[Tensor], handed: Sequence[Tensor]) -> None:
        """Append a row that allocated the tensors `made` and hands on the tensors `handed`."""
        # by memory, as several outputs may be views of one; and what is saved but not handed on is no activation
        new = {memory(tensor) for tensor in made}
        draft.activation_bytes = sum(
            {memory(t): t.untyped_storage().nbytes() for t in handed if memory(t) in new}.values()
        )
        draft.outputs = [tuple(tensor.shape) for tensor in handed]
        draft.state = self.ledger.state(handed[0]) if handed else None
        self.ledger.make(draft, made)
        self.ledger.hand_on(draft, handed)
        self.drafts.append(draft)

    def _numbered(self, path: str) -> str:
        """Return the path with the number of this call, from the second on."""
        self._calls[path] = self._calls.get(path, 0) + 1
        return path if self._calls[path] == 1 else f"{path}#{self._calls[path]}"

    def _enter(self, path: str, module: nn.Module, inputs: list[Tensor]) -> None:
        frame = Frame(
            path=path,
            name=self._numbered(path),
            module=module,
            inputs=[tuple(tensor.shape) for tensor in inputs],
            sources=self.ledger.givers(map(self.without_values, inputs)),
            first=len(self.drafts),
        )
        self.running.append(frame)
        self.groups.append(frame)

    def _leave(self, path: str, module: nn.Module, outputs: list[Tensor]) -> None:
        frame = self.running.pop()
        frame.outputs = [tuple(tensor.shape) for tensor in outputs]
        frame.state = self.ledger.state(outputs[0]) if outputs else None
        if _is_one_row(frame, self.drafts[frame.first :]):
            if frame.path:  # the group of the whole network stays, even if it is one layer
                self.groups.remove(frame)
            self._merge(frame, outputs)
        frame.stop = len(self.drafts)

    def _merge(self, frame: Frame, outputs: Sequence[Tensor]) -> None:
        """Make one row of what a module without children has done."""
        parts = self.drafts[frame.first :]
        del self.drafts[frame.first :]
        # an output that the module got from outside, as from nn.Identity, is not made by it
        makers = [self.ledger.maker.get(memory(tensor)) for tensor in outputs]
        row = Draft(
            path=frame.name,
            type=frame.type,
            inputs=frame.inputs,
            macs=sum(part.macs for part in parts),
            uncounted=[name for part in parts for name in part.uncounted],
            kept_bytes=sum(part.kept_bytes for part in parts),
            branches=next((part.branches for part in reversed(parts) if part.branches), ()),
            leftovers=[item for part in parts for item in part.leftovers],
            sources=frame.sources,
        )
        self._add(row, made=[t for t, maker in zip(outputs, makers, strict=True) if maker in parts], handed=outputs)
        for part in parts:
            part.part_of = row


def _is_one_row(frame: Frame, drafts: Sequence[Draft]) -> bool:
    """Say whether a module is shown as a whole: it has no children, and is PyTorch's own or does little itself."""
    home = type(frame.module).__module__
    # a quantised layer packs its weights in a child, which does not run
    if home.startswith("torch.ao.nn.quantized."):
        return len(drafts) == 1
    if any(True for _ in frame.module.children()):
        return False
    if home.startswith("torch.nn."):
        return True
    return bool(frame.path) and sum(draft.macs > 0 for draft in drafts) <= 1


@cache
def described(func: OpOverload) -> Operation:
    """Return what is the same in every call of `func`."""
    tags = {tag.name for tag in func.tags} | ({"view"} if func.is_view else set())
    schema = func._schema
    changed = tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write)
    arguments = tuple(argument.name for argument in schema.arguments)
    return Operation(schema.name.removeprefix("aten::"), arguments, frozenset(tags), changed)


def _keeps_memory(ins: Sequence[Tensor], outs: Sequence[Tensor]) -> bool:
    """Say whether what comes out lies in the memory of what went in, no more and no less of it."""
    return bool(ins and outs) and all(
        memory(out) == memory(ins[0]) and out.untyped_storage().nbytes() == ins[0].untyped_storage().nbytes()
        for out in outs
    )


def readable(name: str, shapes: Mapping[str, Any]) -> str:
    """Return an operation's name as users of PyTorch write it.

    >>> readable("convolution", {"weight": (8, 3, 3, 3)}), readable("relu_", {}), readable("native_batch_norm", {})
    ('conv2d', 'relu', 'batch_norm')
    """
    if name == "convolution":
        transposed = "_transpose" if shapes.get("transposed") else ""
        return f"conv{transposed}{len(shapes['weight']) - 2}d"
    if name in NAMES:
        return NAMES[name]
    return name.strip("_").removeprefix("native_").removesuffix("_with_indices")


NAMES = {"addmm": "linear", "mm": "matmul", "bmm": "matmul", "baddbmm": "matmul", "mv": "matmul"} | {
    **dict.fromkeys(("addbmm", "addmv", "dot", "vdot", "_addmm_activation"), "matmul"),
    "constant_pad_nd": "pad",
    "_local_scalar_dense": "item",
    "linalg_vector_norm": "norm",
}


def _batch_norm(given: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a batch norm makes, without values."""
    x = given["input"]
    return _like(x), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])  # with mean and 1 / deviation, for backward


def _activation(given: Mapping[str, Any]) -> Tensor:
    return _like(given["self"])


def _convolution(given: Mapping[str, Any]) -> Tensor | None:
    """Return what a convolution makes, without values; None if it is transposed, or not in the default layout."""
    x: Tensor = given["input"]
    weight: Tensor = given["weight"]
    slidings = windows("convolution", {**given, "weight": weight.shape})
    if slidings is None or not (x.is_contiguous() and weight.is_contiguous()):
        return None
    sizes = [(n + w.add) // w.stride for n, w in zip(x.shape[2:], slidings, strict=True)]
    return x.new_empty((x.shape[0], weight.shape[0], *sizes))


def _sum(given: Mapping[str, Any]) -> Tensor | None:
    """Return the sum of two tensors of one kind, without values; None for others."""
    a: Tensor = given["self"]
    b = given["other"]
    alike = isinstance(b, Tensor) and (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride())
    return _like(a) if alike else None


def _like(x: Tensor) -> Tensor:
    """Return `torch.empty_like(x)`, which takes long."""
    return x.new_empty(x.shape) if x.is_contiguous() else torch.empty_like(x)


SHORTCUTS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "native_batch_norm": _batch_norm,
    **dict.fromkeys(("relu", "gelu", "tanh", "hardtanh"), _activation),
    "convolution": _convolution,
    "add": _sum,
    "add_": lambda given: None if isinstance(given["other"], Tensor) else given["self"],
}
"""For what PyTorch decomposes in Python, which takes longer and may import its compiler, more than a second."""


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """Return the value, or the list of them, changed."""
    return [change(item) for item in value] if isinstance(value, list | tuple) else change(value)


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else value


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among these arguments, each one or a list."""
    flat = chain.from_iterable(value if isinstance(value, list | tuple) else (value,) for value in values)
    return [value for value in flat if isinstance(value, Tensor)]

"""One forward pass, written down: each operation as PyTorch dispatches it, and each call of a module.

It runs on a copy without values, on the device `meta`, in evaluation mode, for one input. Every tensor of the pass is
kept, so that a tensor is known by its identity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from fovea.errors import ShapeError, UsageError, first_line
from fovea.hooks import tensors_in, watch
from fovea.measurement.network import without_values
from fovea.measurement.rules import broken
from fovea.measurement.walk import SHORTCUTS

META = torch.device("meta")


@dataclass(frozen=True, eq=False)
class Step:
    """One operation."""

    operation: OpOverload
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: Any
    path: str
    """The innermost module that was running."""

    @property
    def reads(self) -> list[Tensor]:
        """The tensors, of any shape and dtype, that it was given."""
        return tensors_in((self.args, dict(self.kwargs)))

    @property
    def made(self) -> list[Tensor]:
        """The tensors, of any shape and dtype, that it returned."""
        return tensors_in(self.outputs)

    @property
    def name(self) -> str:
        """As `relu` or `add_`."""
        return self.operation._schema.name.removeprefix("aten::")


@dataclass(eq=False)
class Call:
    """One run of a module: the steps from `start` to before `stop`."""

    path: str
    module: nn.Module
    inputs: list[Tensor]
    start: int
    outputs: list[Tensor] = field(default_factory=list)
    stop: int = 0


@dataclass(eq=False)
class Recording:
    """What happened in the pass, in order."""

    model: nn.Module
    """The copy without values that ran; its modules have the paths of the original's."""
    x: Tensor
    """Its input, (1, C, *sizes)."""
    steps: list[Step] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    """Of modules, as they were entered."""
    outputs: list[Tensor] = field(default_factory=list)

    def calls_of(self, path: str) -> list[Call]:
        """Return the runs of one module."""
        return [call for call in self.calls if call.path == path]


class _Recorder(TorchDispatchMode):
    """While active, appends to a recording."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = recording
        self.running: list[Call] = []
        self.virtual: dict[int, tuple[Tensor, Tensor]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the compiler, whose import takes seconds, has no part in this

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        args, given = self._virtual(args), self._virtual(dict(kwargs or {}))
        if any(argument.name == "device" for argument in func._schema.arguments):
            given["device"] = META
        named = {**dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)), **given}
        name = func._schema.name.removeprefix("aten::")
        shapes = {key: tuple(value.shape) if isinstance(value, Tensor) else value for key, value in named.items()}
        if rule := broken(name, shapes):
            raise ShapeError(rule)  # without values PyTorch does not check all
        shortcut = SHORTCUTS.get(name)
        outputs = shortcut(named) if shortcut else None
        if outputs is None:
            outputs = func(*args, **given)
        path = self.running[-1].path if self.running else ""
        self.recording.steps.append(Step(func, args, given, outputs, path))
        return outputs

    def enter(self, path: str, module: nn.Module, inputs: list[Tensor]) -> None:
        call = Call(path, module, inputs, len(self.recording.steps))
        self.recording.calls.append(call)
        self.running.append(call)

    def leave(self, path: str, module: nn.Module, outputs: list[Tensor]) -> None:
        call = self.running.pop()
        call.outputs, call.stop = outputs, len(self.recording.steps)

    def _virtual(self, value: Any) -> Any:
        """Return the value with tensors that have values, as constants of the code, replaced by ones without."""
        if isinstance(value, Tensor) and not value.is_meta:
            # kept with the tensor itself, so that no other gets its id
            return self.virtual.setdefault(id(value), (value, value.detach().to(META)))[1]
        if isinstance(value, list | tuple):
            return type(value)(map(self._virtual, value))
        return {key: self._virtual(item) for key, item in value.items()} if isinstance(value, dict) else value


def recorded(model: nn.Module, input_shape: Sequence[int], *, heads: bool = False) -> Recording:
    """Return the pass of one input of `input_shape`, (C, *sizes), through `model`, which is left as it is.

    With `heads` modules that hold others believe that they are trained, and so ask the heads that only training has.

    Raises:
        UsageError: the network does not run without values, or not on this shape.
    """
    twin = without_values(model)
    modes = {module: module.training for module in twin.modules()}
    dtype = next((tensor.dtype for tensor in twin.parameters() if tensor.dtype.is_floating_point), torch.float32)
    recording = Recording(twin, torch.empty(1, *input_shape, dtype=dtype, device=META))
    recorder = _Recorder(recording)
    try:
        # hooks first: they are removed even where the pass fails
        with watch(twin, enter=recorder.enter, leave=recorder.leave), torch.no_grad(), recorder:
            for module in twin.modules():
                module.training = heads and any(module.children())
            recording.outputs = tensors_in(twin(recording.x))
    except Exception as error:  # a network may raise anything
        at = f" in `{recorder.running[-1].path}`" if recorder.running and recorder.running[-1].path else ""
        raise UsageError(f"The network cannot be traced on the `meta` device{at}: {first_line(error)}") from error
    finally:
        for module, training in modes.items():
            module.training = training
    return recording

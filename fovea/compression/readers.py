"""Who reads what layers give: found by running a network once and following each output through its operations."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fovea.hooks import watch

MOVING = frozenset(
    {
        *("view", "_unsafe_view", "reshape", "permute", "transpose", "t", "squeeze", "unsqueeze", "expand"),
        *("clone", "alias", "detach", "slice", "select", "split", "split_with_sizes", "unbind", "_to_copy"),
        *("max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_pool3d_with_indices", "_reshape_alias"),
    }
)
"""Operations that move or choose values: what reads their results reads the values."""
RELU = ("relu", "relu_")
CLAMPS = ("hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_min_")

Cut = tuple[float, float]


@dataclass
class Reading:
    """What reads the output of a layer."""

    cuts: set[Cut] = field(default_factory=set)
    """The ends that activations cut it to: (0, inf) of a ReLU."""
    others: set[str] = field(default_factory=set)
    """Names of all other operations."""

    @property
    def cut(self) -> Cut | None:
        """The widest ends that all its readers cut it to, None if one does not cut at zero or below."""
        if self.others or not self.cuts or any(not least <= 0 <= largest for least, largest in self.cuts):
            return None
        return min(least for least, _ in self.cuts), max(largest for _, largest in self.cuts)


class _Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes for every tensor that stems from a layer's output by moving alone what reads it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[str, Reading] = {}
        self.stems: dict[int, tuple[str, Tensor]] = {}  # the tensors are kept, so that no other gets their id

    def begin(self, name: str, output: Tensor) -> None:
        self.found.setdefault(name, Reading())
        self.stems[id(output)] = (name, output)

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [self.stems[id(leaf)] for leaf in tree_leaves((args, kwargs)) if id(leaf) in self.stems]
        operation = func.overloadpacket.__name__
        for name, tensor in read:
            cut = _cut(operation, args, kwargs or {})
            if operation in MOVING:
                for leaf in tree_leaves(result):
                    if isinstance(leaf, Tensor) and leaf.dtype.is_floating_point:
                        self.stems[id(leaf)] = (name, leaf)
            elif cut is not None:
                self.found[name].cuts.add(cut)
                if operation.endswith("_"):
                    del self.stems[id(tensor)]
            else:
                self.found[name].others.add(operation)
        return result


def _cut(operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Cut | None:
    """Return the ends of an operation that only cuts."""
    if operation in RELU:
        return 0.0, float("inf")
    if operation not in CLAMPS:
        return None
    default = (-1.0, 1.0) if operation.startswith("hardtanh") else (None, None)
    given = dict(enumerate(args[1:3]))
    least = given.get(0, kwargs.get("min", default[0]))
    largest = given.get(1, kwargs.get("max", default[1]))
    if isinstance(least, Tensor) or isinstance(largest, Tensor):
        return None
    return float("-inf") if least is None else float(least), float("inf") if largest is None else float(largest)


def readings(model: nn.Module, x: Tensor, names: Collection[str]) -> dict[str, Reading]:
    """Return what reads the outputs of the layers `names`, in the order in which they run on `x` (N, ...) float32.

    A layer that does not run is left out; one whose output nothing reads gives the network's result.
    """
    following, wanted = _Following(), set(names)

    def leave(path: str, _: nn.Module, tensors: list[Tensor]) -> None:
        if path in wanted and tensors:
            following.begin(path, tensors[0])

    with torch.no_grad(), watch(model, enter=lambda *_: None, leave=leave), following:
        model(x)
    return following.found

"""What is known of the tensors of a walk: who made them, who handed them on last, and what their units see.

Tensors may have any shape and dtype: what is noted is where they lie and how many bytes that takes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fovea.measurement.axes import Lost, State
from fovea.measurement.receptive import Axis
from fovea.measurement.result import Leftover, Shape

View = tuple[int, Shape, Shape]
"""Offset, shape and strides."""
UNSEEN = Lost("a tensor changes its shape without an operation")
STALE = Lost("a tensor is changed in place while other tensors share its memory")


@dataclass(eq=False, kw_only=True)
class Draft:
    """A row in the making."""

    path: str
    type: str
    inputs: Sequence[Shape] = ()
    outputs: Sequence[Shape] = ()
    macs: int = 0
    uncounted: Sequence[str] = ()
    """Its operations that may multiply and that no rule counts."""
    activation_bytes: int = 0
    kept_bytes: int = 0
    state: State = None
    branches: Sequence[Sequence[Axis]] = ()
    leftovers: Sequence[Leftover] = ()
    sources: "Sequence[Draft]" = ()
    part_of: "Draft | None" = None
    """The row of the module that this operation has become a part of."""

    @property
    def row(self) -> "Draft":
        """The row that this ends up in."""
        return self if self.part_of is None else self.part_of.row


@dataclass(kw_only=True)
class Ledger:
    """Memory by memory. Tensors are separated by where they lie in it: autograd wraps the same one anew."""

    maker: dict[int, Draft] = field(default_factory=dict)
    """The row that allocated it; none for parameters and constants."""
    latest: dict[int, Draft] = field(default_factory=dict)
    """The row that handed it on last: as it is, viewed, or changed in place."""
    reader: dict[int, Draft] = field(default_factory=dict)
    """The first row that read it."""
    states: dict[int, dict[View, State]] = field(default_factory=dict)
    """Of each view of it that was made."""
    torn: dict[int, Lost] = field(default_factory=dict)
    blank: set[int] = field(default_factory=set)
    """Allocated, but not by a row: whoever writes into it first has made it."""
    kept: set[int] = field(default_factory=set)
    _alive: dict[int, torch.UntypedStorage] = field(default_factory=dict)

    def is_new(self, tensor: Tensor) -> bool:
        """Say whether its memory has not been seen before, or only as a blank."""
        return memory(tensor) not in self._alive or memory(tensor) in self.blank

    def remember(self, tensor: Tensor) -> None:
        """Keep its memory alive, so that no other gets the same address."""
        # the storage, not the tensor: a reference to the tensor would keep its graph as well
        self._alive.setdefault(memory(tensor), tensor.untyped_storage())

    def state(self, tensor: Tensor) -> State:
        """Return what the tensor's units see."""
        if lost := self.torn.get(memory(tensor)):
            return lost
        views = self.states.get(memory(tensor), {})
        if _view(tensor) in views:
            return views[_view(tensor)]
        # not as it was written, and by no operation that was seen
        return UNSEEN if any(state is not None for state in views.values()) else None

    def write(self, tensor: Tensor, state: State, *, in_place: bool) -> None:
        """Note what the tensor's units see; if it is a part of a larger one, that one is no longer followed."""
        views = self.states.setdefault(memory(tensor), {})
        changed = in_place and state is not None and views.get(_view(tensor)) != state
        if changed and len(views) > 1:
            views.update(dict.fromkeys(views, STALE))
        views[_view(tensor)] = state
        # what other views of the same memory see has changed too, and cannot be told from this part
        if changed and tensor.nbytes < tensor.untyped_storage().nbytes():
            self.torn[memory(tensor)] = Lost("a tensor is written piece by piece")

    def lose(self, tensor: Tensor, reason: Lost) -> None:
        """Note that what the units of a tensor, and of all that share its memory, see is no longer known."""
        self.torn[memory(tensor)] = reason

    def make(self, draft: Draft, tensors: Iterable[Tensor]) -> None:
        """Note that `draft` allocated these tensors."""
        for tensor in tensors:
            self.maker[memory(tensor)] = draft
            self.blank.discard(memory(tensor))

    def hand_on(self, draft: Draft, tensors: Iterable[Tensor]) -> None:
        """Note that whoever reads these tensors now has them from `draft`."""
        self.latest.update((memory(tensor), draft) for tensor in tensors)

    def givers(self, tensors: Iterable[Tensor]) -> list[Draft]:
        """Return the rows that these tensors come from, each once."""
        found = (self.latest.get(memory(tensor)) for tensor in tensors)
        # `row`, as what an operation made may since have become the output of its module
        return list(dict.fromkeys(draft.row for draft in found if draft is not None))

    def keep(self, tensor: Tensor) -> Tensor:
        """Count the memory of a tensor that autograd saves, once, for the row that allocated it."""
        # what no row has made, weights and constants, is there anyway
        key = memory(tensor)
        if key in self.maker and key not in self.kept:
            self.kept.add(key)
            self.maker[key].row.kept_bytes += tensor.untyped_storage().nbytes()
        return tensor


def memory(tensor: Tensor) -> int:
    """Return what tells the memory of one tensor from that of another while both live."""
    return int(tensor.untyped_storage()._cdata)  # `data_ptr` is 0 for all tensors of the device `meta`


def _view(tensor: Tensor) -> View:
    return int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride()

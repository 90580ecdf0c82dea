"""Residual blocks that go as a whole: what follows them reads their input in their place.

Veit, Wilber and Belongie 2016, arXiv:1605.06431: taken away one by one, most blocks of a trained residual network are
hardly missed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from fovea.compression.change import Change, kind, layer_named, replaced
from fovea.compression.recording import Call, Recording, recorded
from fovea.errors import UsageError

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""One of these at least is spared where a block goes."""


@kind("blocks")
@dataclass(frozen=True)
class Gone(Change):
    """Blocks that were removed, each with all that is in it."""

    blocks: tuple[str, ...]
    """Their paths."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds."""
        blocks = values.get("blocks")
        if values.keys() != {"blocks"} or not isinstance(blocks, list | tuple) or not blocks:
            raise UsageError("A change `blocks` has `blocks`, a list of paths, and no other field.")
        if not all(isinstance(block, str) for block in blocks) or len(set(blocks)) < len(blocks):
            raise UsageError("A change `blocks` must name different blocks.")
        return cls(tuple(blocks))

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"blocks": list(self.blocks)}

    def apply(self, model: nn.Module) -> None:
        """Put nn.Identity in the place of each block."""
        for block in self.blocks:
            layer_named(model, block)
            replaced(model, block, nn.Identity())


def residual_blocks(model: nn.Module, input_shape: Sequence[int]) -> tuple[str, ...]:
    """Return the paths of modules that add something to their input and keep its shape, innermost ones, in order.

    Raises:
        UsageError: the network cannot be followed without values.
    """
    recording = recorded(model, input_shape)
    paths = [call.path for call in recording.calls if _adds_to_its_input(recording, call)]
    # a stage whose first block hands on its input adds to it as well
    inner = [path for path in paths if not any(other.startswith(f"{path}.") for other in paths)]
    return tuple(path for path in inner if path and len(recording.calls_of(path)) == 1)


def _adds_to_its_input(recording: Recording, call: Call) -> bool:
    if len(call.inputs) != 1 or len(call.outputs) != 1 or call.inputs[0].shape != call.outputs[0].shape:
        return False
    if not any(isinstance(module, LAYERS) for module in call.module.modules()):
        return False
    given = call.inputs[0]
    return any(
        step.name.rstrip("_") == "add" and any(tensor is given for tensor in step.reads)
        for step in recording.steps[call.start : call.stop]
    )

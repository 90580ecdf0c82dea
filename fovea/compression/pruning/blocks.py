"""Which residual blocks of a network may go as a whole: what follows them can read their input in their place.

Veit, Wilber and Belongie 2016, arXiv:1605.06431: taken away one by one, most blocks of a trained residual network are
hardly missed.
"""

from collections.abc import Sequence

from torch import nn

from fovea.compression.pruning.sparsify import LAYERS
from fovea.compression.recording import Call, Recording, recorded


def residual_blocks(model: nn.Module, input_shape: Sequence[int]) -> tuple[str, ...]:
    """Return the paths of modules that add something to their input and keep its shape, innermost ones, in order.

    Raises:
        UsageError: the network cannot be followed without values.
    """
    recording = recorded(model, input_shape)
    found = [call for call in recording.calls if _adds_to_its_input(recording, call)]
    paths = [call.path for call in found]
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

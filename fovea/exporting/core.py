"""A network as an ONNX graph from normalised float32 to logits: the float core of every exported file.

Input `input` float32 (N, C, H, W) of images, output `logits` float32 (N, K).
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fovea.errors import FoveaError, UsageError, first_line
from fovea.exporting.library import check_installed, without_its_warnings
from fovea.exporting.settings import OPSET
from fovea.exporting.tracing import traceable
from fovea.training.losses import main_head

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT, LOGITS = "input", "logits"
BATCH = "N"
"""The name of the first dimension of every input and output."""
SIDES = ("H", "W")
"""The names of those that `dynamic_size` leaves open."""
TRACED = 2
"""Inputs that a network is traced with: of one, the exporter would make a constant."""


class _MainHead(nn.Module):
    """A network without its auxiliary heads."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return main_head(self.model(x))


def float_core(model: nn.Module, shape: Sequence[int], *, dynamic_size: bool = False) -> "ModelProto":
    """Return the graph of a network in evaluation mode for inputs of `shape`, channels first, without the batch.

    With `dynamic_size` the sides H and W of images stay open.

    Raises:
        UsageError: the network cannot be written as such a graph.
        MissingDependencyError: the extra `export` is not installed.
    """
    model = traceable(model)
    example = torch.zeros(TRACED, *shape)
    open_axes = {0: BATCH, **({2: SIDES[0], 3: SIDES[1]} if dynamic_size else {})}
    try:
        core = graph_of(_MainHead(model), example, inputs=open_axes, name=INPUT, outputs=[LOGITS])
    except FoveaError:
        raise
    except Exception as error:  # the exporter may raise anything of a network that it cannot follow
        raise UsageError(f"This network cannot be written as an ONNX graph: {_reason(error)}") from error
    sizes = core.graph.input[0].type.tensor_type.shape.dim
    fixed = [name for axis, name in open_axes.items() if sizes[axis].dim_value]
    if BATCH in fixed:
        raise UsageError("This network cannot be written as an ONNX graph: it works only for one batch size.")
    if fixed:
        raise UsageError("This network has a fixed input size; leave out `--dynamic-size`.")
    return core


def _reason(error: Exception) -> str:
    """Return what the exporter stumbled over, in one line: the first error of those that it hands on."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return first_line(cause)


def graph_of(
    module: nn.Module, example: Tensor, *, inputs: dict[int, str], name: str, outputs: Iterable[str]
) -> "ModelProto":
    """Return a module of one input as an ONNX model; `inputs` names the axes of `example` that stay open."""
    check_installed()
    with without_its_warnings(), torch.inference_mode():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            dynamic_shapes=(inputs,),
            input_names=[name],
            output_names=list(outputs),
            verbose=False,
        )
    if program is None:
        raise UsageError("The exporter returned no graph.")
    return without_traces(program.model_proto)


def without_traces(model: "ModelProto") -> "ModelProto":
    """Return the model without what the exporter notes of its sources: places in files of this machine among it."""
    graph = model.graph
    things: list[Any] = [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for thing in things:
        thing.doc_string = ""
        thing.ClearField("metadata_props")
    return model

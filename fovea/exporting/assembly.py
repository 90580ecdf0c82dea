"""The whole exported graph: preprocessing before the float core, decoding behind it, the card in the metadata."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import fovea
from fovea import inputs
from fovea.card import Card
from fovea.errors import UsageError
from fovea.exporting.core import BATCH, INPUT, LOGITS, SIDES, graph_of
from fovea.exporting.library import library
from fovea.exporting.samples import generated
from fovea.exporting.settings import ExportSettings
from fovea.inputs.interface import Preprocessing
from fovea.tasks.task import Task

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

PREFIX, SUFFIX = "preprocess.", "decode."
"""Begin the names of what is added before and behind the core."""
EXAMPLES = 2
OPEN = 8
"""An example of a length that the graph leaves open."""


class _Decoder(nn.Module):
    """What a target's outputs mean, as a module."""

    def __init__(self, target: Task) -> None:
        super().__init__()
        self.target = target

    def forward(self, logits: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.target.exported(logits).values())


def assembled(core: "ModelProto", card: Card, settings: ExportSettings) -> "ModelProto":
    """Return the exported model of a core, its metadata still to be set; the core itself is not changed.

    A core that takes stored samples, its input called as theirs is, gets nothing before it.
    """
    onnx = library("onnx")
    model: ModelProto = onnx.ModelProto()
    model.CopyFrom(core)
    model.producer_name, model.producer_version = "fovea", fovea.__version__
    model.graph.name = card.architecture
    if not settings.raw:
        if model.graph.input[0].name == INPUT:
            _prepend(model, card.preprocess, dynamic_size=settings.dynamic_size)
        _append(model, card.target)
    return model


def with_card(model: "ModelProto", card: Card) -> "ModelProto":
    """Return the model with the card in its metadata, beside class names and preprocessing for other tools."""
    properties = {
        "fovea": card.text("the exported file"),
        "classes": json.dumps(list(card.target.classes), ensure_ascii=False),
        "preprocess": json.dumps(card.preprocess.to_dict(), ensure_ascii=False),
    }
    library("onnx").helper.set_model_props(model, properties)
    return model


def input_name(preprocess: Preprocessing) -> str:
    """Return what the input of stored samples is called: `images`, `series`, ..."""
    return inputs.kind_of(preprocess).nouns


def _prepend(model: "ModelProto", preprocess: Preprocessing, *, dynamic_size: bool) -> None:
    """Put the nodes before the core that make its input of stored samples (N, ..., C)."""
    helper = library("onnx").helper
    shape: list[int | str] = [BATCH, *preprocess.stored_shape]
    if dynamic_size:
        shape[1:3] = SIDES
    name = input_name(preprocess)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(preprocess.dtype))
    nodes, constants = prefix_nodes(preprocess, given=name)
    _insert(model, nodes, constants)
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info(name, kind, shape))


def prefix_nodes(preprocess: Preprocessing, *, given: str) -> "tuple[list[NodeProto], list[TensorProto]]":
    """Return the nodes from stored samples called `given` to the core's input, and their constants.

    Channels first, float32, then `(x - mean) / std` as a difference and a product: the numbers of `normalise` but for
    the rounding of one product. Bytes stand for 0 to 1, so their mean and deviation are 255 times those on the card.
    """
    onnx = library("onnx")
    make, values = onnx.helper.make_node, onnx.numpy_helper.from_array
    axes = _axes(preprocess)
    unit = 255.0 if preprocess.dtype == "uint8" else 1.0
    per_channel = (-1, *(1,) * (len(axes) - 2))
    mean = (unit * np.array(preprocess.mean)).astype(np.float32).reshape(per_channel)
    scale = (1 / (unit * np.array(preprocess.std))).astype(np.float32).reshape(per_channel)
    named = {key: f"{PREFIX}{key}" for key in ("channels_first", "numbers", "centred", "mean", "scale")}
    nodes = [
        make("Transpose", [given], [named["channels_first"]], perm=axes),
        make("Cast", [named["channels_first"]], [named["numbers"]], to=onnx.TensorProto.FLOAT),
        make("Sub", [named["numbers"], named["mean"]], [named["centred"]]),
        make("Mul", [named["centred"], named["scale"]], [INPUT]),
    ]
    for node in nodes:
        node.name = f"{PREFIX}{node.op_type}"
    return nodes, [values(mean, named["mean"]), values(scale, named["scale"])]


def _axes(preprocess: Preprocessing) -> list[int]:
    """Return which axis of stored samples (N, ...) each axis of a network's inputs is: the channels are the last."""
    stored = generated(preprocess, count=1).stored
    arranged = inputs.kind_of(preprocess).network_input(preprocess, torch.device("cpu")).arranged(stored).numpy()
    last = stored.ndim - 1
    for axes in ([0, last, *range(1, last)], list(range(stored.ndim))):
        if np.array_equal(arranged, stored.transpose(axes)):
            return axes
    raise UsageError(f"{input_name(preprocess)} cannot be exported: their channels must be the first or the last axis.")


def _insert(model: "ModelProto", nodes: "Sequence[NodeProto]", constants: "Sequence[TensorProto]") -> None:
    behind = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *behind])
    model.graph.initializer.extend(constants)


def _append(model: "ModelProto", target: Task) -> None:
    """Put the nodes behind the core that decode its outputs, and name what the file gives out, the rows first."""
    if not target.decoded_in_graph:
        return
    sizes = _value(model.graph.output, LOGITS).type.tensor_type.shape.dim
    example = torch.zeros(EXAMPLES, *(size.dim_value or OPEN for size in sizes[1:]))
    names = list(target.exported(example))
    axes = {axis: size.dim_param for axis, size in enumerate(sizes) if not size.dim_value}
    decoder = graph_of(_Decoder(target), example, inputs={**axes, 0: BATCH}, name=LOGITS, outputs=names).graph
    new_name = {name: name if name in (LOGITS, *names) else f"{SUFFIX}{name}" for name in _names_in(decoder)}
    for node in decoder.node:
        node.name = f"{SUFFIX}{node.name}"
        node.input[:] = [new_name[name] for name in node.input]
        node.output[:] = [new_name[name] for name in node.output]
    for named in (*decoder.initializer, *decoder.value_info):
        named.name = new_name[named.name]
    model.graph.node.extend(decoder.node)
    model.graph.initializer.extend(decoder.initializer)
    model.graph.value_info.extend(decoder.value_info)
    logits = [_value(model.graph.output, LOGITS)]
    rows, *others = (_value(decoder.output, name) for name in names)
    del model.graph.output[:]
    model.graph.output.extend([rows, *logits, *others])


def _names_in(graph: Any) -> set[str]:
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    return used | {named.name for named in (*graph.initializer, *graph.value_info)}


def _value(values: "Sequence[ValueInfoProto]", name: str) -> "ValueInfoProto":
    return next(value for value in values if value.name == name)

"""Running models in memory with onnxruntime."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from fovea.exporting.library import library

FATAL = 4
"""Of its log; what is below is raised, too."""


def session(model: onnx.ModelProto, *, threads: int = 0, optimised: bool = True, save: Path | None = None) -> Any:
    """Return a session on the processor; `threads` of 0 leaves their number to onnxruntime.

    `save` is where the graph goes as onnxruntime has changed it.
    """
    onnxruntime = library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if save is not None:
        options.optimized_model_filepath = str(save)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def with_outputs(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """Return a model that gives out the values `names`, but for its inputs among them."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    own = {value.name for value in changed.graph.input}
    del changed.graph.output[:]
    changed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in own)
    return changed

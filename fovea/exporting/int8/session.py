"""Running models in memory with onnxruntime, and timing them against each other."""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

FATAL_ONLY = 4


def session(model: onnx.ModelProto, *, threads: int = 0, optimised: bool = True) -> onnxruntime.InferenceSession:
    """Return a session on the processor; `threads` of 0 leaves their number to onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL_ONLY
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def with_outputs(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """Return a model that gives out the values `names`, but for its inputs among them."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    own = {value.name for value in changed.graph.input}
    del changed.graph.output[:]
    changed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in own)
    return changed


def interleaved_times(
    sessions: Mapping[str, onnxruntime.InferenceSession], sample: NDArray[Any], *, rounds: int, warm: int = 3
) -> dict[str, Sequence[float]]:
    """Return the seconds of each run of each session on one input, taken in turn: A B A B."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for index in range(-warm, rounds):
        for name, run in sessions.items():
            feed = {run.get_inputs()[0].name: sample}
            begin = time.perf_counter()
            run.run(None, feed)
            if index >= 0:
                times[name].append(time.perf_counter() - begin)
    return {name: np.asarray(values) for name, values in times.items()}  # type: ignore[misc]

"""How long layers and networks take in ONNX Runtime, with all its optimisations, on the processor.

Times are seconds of one pass over `batch` inputs of float32, the least of several.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from fovea.compression.pruning.clock import Clock, EagerClock, Form, least_time
from fovea.errors import MissingDependencyError
from fovea.exporting.core import INPUT, float_core
from fovea.exporting.library import check_installed, library
from fovea.exporting.session import Session
from fovea.exporting.settings import OPSET

COPIES = 4
"""Layers side by side in the graph that times one: what brings inputs into the runtime's own layout is shared."""


@dataclass
class OnnxClock:
    """Times as `fovea.runtime` and `fovea serve` run a network, with PyTorch's present number of threads.

    Raises: MissingDependencyError if the extra `export` is not installed.
    """

    batch: int = 16
    seconds: float = 0.05
    """Of passes through one layer; a network gets twenty times as many."""
    _known: dict[Form, float] = field(default_factory=dict)

    def layer(self, form: Form) -> float:
        """Return the seconds of one pass through a layer, without what its neighbours share: layout and calls."""
        if form not in self._known:
            batch, shape = form.timed_at(self.batch), form.input_shape
            one, several = (
                self._timed(_graph(form, copies), shape, self.seconds, batch=batch) for copies in (1, COPIES)
            )
            # noise may make several as fast as one
            self._known[form] = max((several - one) / (COPIES - 1), several / COPIES / 4) * self.batch / batch
        return self._known[form]

    def network(self, model: nn.Module, input_shape: Sequence[int]) -> float:
        """Return the seconds of one pass through a network."""
        content = float_core(model, tuple(input_shape)).SerializeToString()
        return self._timed(content, input_shape, 20 * self.seconds, batch=self.batch)

    def _timed(self, content: bytes, input_shape: Sequence[int], seconds: float, *, batch: int) -> float:
        session = Session(content)
        feed = {INPUT: np.zeros((batch, *input_shape), np.float32)}
        return least_time(lambda: session.session.run(session.outputs, feed), seconds=seconds)


def clock_at_hand(batch: int) -> Clock:
    """Return the clock of ONNX Runtime where the extra `export` is installed, else PyTorch's."""
    try:
        check_installed()
    except MissingDependencyError:
        return EagerClock(batch=batch)
    return OnnxClock(batch=batch)


def _graph(form: Form, copies: int) -> bytes:
    """Return a model that is the sum of so many layers of one form."""
    onnx = library("onnx")
    node, value, number = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    channels = (form.c_in, form.c_out // form.groups) if form.transposed else (form.c_out, form.c_in // form.groups)
    weight = np.ones((*channels, *form.kernel), np.float32) / form.c_in
    nodes: list[Any] = []
    inits: list[Any] = []
    total = ""
    for copy in range(copies):
        names = [INPUT, f"w{copy}", f"b{copy}"]
        inits += [onnx.numpy_helper.from_array(weight + copy, names[1])]  # equal ones would become one
        inits += [onnx.numpy_helper.from_array(np.full(form.c_out, float(copy), np.float32), names[2])]
        nodes.append(_layer(node, form, names, f"y{copy}"))
        if total:
            nodes.append(node("Add", [total, f"y{copy}"], [f"sum{copy}"]))
        total = f"sum{copy}" if total else f"y{copy}"
    given = value(INPUT, number, ["N", *form.input_shape])
    graph = onnx.helper.make_graph(nodes, "layer", [given], [value(total, number, None)], inits)
    opset = onnx.helper.make_opsetid("", OPSET)
    content: bytes = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()
    return content


def _layer(node: Any, form: Form, names: list[str], output: str) -> Any:
    """Return the node of one layer."""
    if not form.kernel:
        return node("Gemm", names, [output], transB=1)
    geometry = {"strides": form.stride, "dilations": form.dilation, "pads": form.padding * 2, "group": form.groups}
    kind = "ConvTranspose" if form.transposed else "Conv"
    return node(kind, names, [output], kernel_shape=form.kernel, **geometry)

"""Writes a float graph with the pairs of nodes `QuantizeLinear`, `DequantizeLinear` that say what runs in int8.

Runtimes that read such graphs put integer kernels in place of what stands between the pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from fovea.exporting.int8.arithmetic import LEVELS, Steps, bias_scales, quantised_bias, quantised_weights
from fovea.exporting.int8.graph import Graph, attributes, set_attribute
from fovea.exporting.int8.selection import CUTTING, PASSING, WEIGHTED, Selection, data_inputs, limits

FENCED = ("Conv", "ConvTranspose", "Gemm", "Relu", "Clip", "MaxPool", *PASSING)
"""Float nodes that onnxruntime quantises, or exchanges with `QuantizeLinear`, where that stands right behind."""


@dataclass
class Writer:
    """Writes one graph, in place."""

    graph: Graph
    selection: Selection
    steps: Mapping[str, Steps]
    """Of each value of the selection, and of its constants."""
    means: Mapping[str, np.ndarray] = field(default_factory=dict)
    """The mean of each channel (C,) of the values that layers read, where it is known."""

    def write(self) -> None:
        """Put the pairs in."""
        self._drop_cuts()
        chosen = {id(node) for node in self.selection.nodes}
        for node in self.selection.nodes:
            if node.op_type in WEIGHTED:
                self._write_weights(node)
        stored: dict[str, str] = {}
        for node in self.selection.nodes:
            if node.op_type == "HardSigmoid":
                stored[node.output[0]] = self._write_gate(node)
        for node in self.selection.nodes:
            for name in data_inputs(self.graph, node):
                if name in self.steps and name not in stored:
                    stored[name] = self._pair(name)
        for node in self.selection.nodes:
            for name in node.output:
                if name in self.steps and name not in stored and self._is_read(name):
                    stored[name] = self._pair(name)
        self._lead(stored, chosen)
        self.graph.sort()

    def _write_gate(self, node: onnx.NodeProto) -> str:
        """Write a hard sigmoid: a value in steps of its slope, cut where uint8 ends, then read in steps of 1 / 255.

        Return what readers of the stored value read. No runtime has the function itself in uint8.
        """
        values = attributes(node)
        alpha, beta = values.get("alpha", 0.2), values.get("beta", 0.5)
        name = node.output[0]
        _make_leaky(node, 1.0)
        slope, middle = np.asarray(1 / (LEVELS * alpha), np.float32), np.asarray(round(LEVELS * beta), np.uint8)
        ends = [self.graph.constant(array, f"{name}_slope") for array in (slope, middle)]
        stored = self.graph.add("QuantizeLinear", [name, *ends], f"{name}_stored")
        unit = [self.graph.constant(np.asarray(1 / LEVELS, np.float32), f"{name}_scale")]
        unit.append(self.graph.constant(np.asarray(0, np.uint8), f"{name}_zero"))
        return self.graph.add("DequantizeLinear", [stored, *unit], f"{name}_meant")

    def _is_read(self, name: str) -> bool:
        return name in self.graph.output_names or any(name in node.input for node in self.graph.nodes)

    def _drop_cuts(self) -> None:
        """Take out activations that the steps make: what stands before gives their output."""
        makers = self.graph.makers()
        for value, node in self.selection.fused.items():
            steps, (least, largest) = self.steps[node.output[0]], _limits(self.graph, node)
            slack = steps.scale / 2
            if steps.least >= least - slack and steps.largest <= largest + slack:
                before = makers[value]
                before.output[list(before.output).index(value)] = node.output[0]
                self.graph.remove([node])
                self.selection.nodes = [other for other in self.selection.nodes if other is not node]
        for node in self.selection.nodes:
            if node.op_type in CUTTING and node.input[0] in self.steps:
                least, _ = _limits(self.graph, node)
                _make_leaky(node, 0.0 if least == 0 else 1.0)  # the steps of its result cut it

    def _write_weights(self, node: onnx.NodeProto) -> None:
        axis = WEIGHTED[node.op_type]
        scale = self.steps[node.input[0]].scale
        weights = self.graph.constants[node.input[1]]
        if node.op_type == "Gemm" and not attributes(node).get("transB", 0):
            weights = np.ascontiguousarray(weights.T)
            set_attribute(node, "transB", 1)
        bias = self._bias(node, weights.shape[axis])
        least = 0.0 if bias is None else bias_scales(bias, scale)
        found = quantised_weights(weights, axis=axis, least_scales=least)
        stem = node.input[1]
        node.input[1] = self._constant_pair(stem, found.stored, found.scales, axis=axis)
        if bias is not None:
            bias = bias + self._lost(node, weights - found.meant)
            scales = (found.scales * np.float32(scale)).astype(np.float32)
            pair = self._constant_pair(f"{stem}_bias", quantised_bias(bias, scales), scales, axis=0)
            node.input[:] = [*node.input[:2], pair]

    def _bias(self, node: onnx.NodeProto, channels: int) -> np.ndarray | None:
        """Return the bias (channels,) of a layer, zeros where it has none; None if it cannot have one."""
        if node.op_type == "MatMul":
            return None
        if len(node.input) > 2 and node.input[2]:
            return np.broadcast_to(self.graph.constants[node.input[2]].reshape(-1), (channels,))
        return np.zeros(channels, np.float32)

    def _lost(self, node: onnx.NodeProto, errors: np.ndarray) -> np.ndarray | float:
        """Return what rounding the weights takes from each output channel on average; the bias gives it back."""
        means = self.means.get(node.input[0])
        if means is None:
            return 0.0
        groups = attributes(node).get("group", 1) if node.op_type == "Conv" else 1
        per_input = errors.reshape(*errors.shape[:2], -1).sum(axis=2, dtype=np.float64)
        F, C = per_input.shape
        read = np.arange(F)[:, None] // (F // groups) * C + np.arange(C)
        lost: np.ndarray = (per_input * means[read]).sum(axis=1)
        return lost

    def _constant_pair(self, stem: str, stored: np.ndarray, scale: np.ndarray, **axis: int) -> str:
        """Return the value of a constant that is stored in steps."""
        zero = np.zeros(scale.shape, stored.dtype)
        names = [
            self.graph.constant(array, f"{stem}_{suffix}")
            for array, suffix in ((stored, "stored"), (scale, "scale"), (zero, "zero"))
        ]
        return self.graph.add("DequantizeLinear", names, f"{stem}_meant", **axis)

    def _fenced(self, name: str) -> str:
        """Return a value, or its copy where onnxruntime would quantise the float node that makes it after all.

        It rounds the weights of a float layer between two pairs to int8 with one scale, and moves `QuantizeLinear`
        before a float maximum, where it has no fast kernel. It does neither across a node that it does not know.
        """
        maker = self.graph.makers().get(name)
        chosen = any(node is maker for node in self.selection.nodes)
        if maker is None or chosen or maker.op_type not in FENCED:
            return name
        return self.graph.add("Max", [name], f"{name}_copy")

    def _pair(self, name: str) -> str:
        """Add the pair behind a value; return what readers of the stored value read."""
        steps = self.steps[name]
        scale = self.graph.constant(np.asarray(steps.scale, np.float32), f"{name}_scale")
        zero = self.graph.constant(np.asarray(steps.zero_point, np.uint8), f"{name}_zero")
        if name in self.graph.constants:
            stored = self.graph.constant(steps.stored(self.graph.constants[name]), f"{name}_stored")
        else:
            stored = self.graph.add("QuantizeLinear", (self._fenced(name), scale, zero), f"{name}_stored")
        return self.graph.add("DequantizeLinear", (stored, scale, zero), f"{name}_meant")

    def _lead(self, stored: Mapping[str, str], chosen: set[int]) -> None:
        """Let nodes in int8, and all readers of what nodes in int8 make, read the pairs."""
        made = {name for node in self.graph.nodes if id(node) in chosen for name in node.output}
        for node in self.graph.nodes:
            if node.op_type == "QuantizeLinear":
                continue
            for index, name in enumerate(node.input):
                if name in stored and (id(node) in chosen or name in made):
                    node.input[index] = stored[name]
        for value in self.graph.outputs:
            if value.name in stored and value.name in made:
                self._rename_result(value.name, stored[value.name])

    def _rename_result(self, name: str, pair: str) -> None:
        """Give the name of a result to the value behind its pair."""
        inner = self.graph.fresh(f"{name}_exact")
        for node in self.graph.nodes:
            for names, old, new in ((node.input, name, inner), (node.output, name, inner), (node.output, pair, name)):
                for index, found in enumerate(names):
                    if found == old:
                        names[index] = new
            for index, found in enumerate(node.input):
                if found == pair:
                    node.input[index] = name


def _limits(graph: Graph, node: onnx.NodeProto) -> tuple[float, float]:
    found = limits(graph, node)
    return found if found is not None else (float("-inf"), float("inf"))


def _make_leaky(node: onnx.NodeProto, alpha: float) -> None:
    """Make a node a `LeakyRelu`, which runtimes have in uint8, as a table."""
    del node.attribute[:]
    del node.input[1:]
    node.op_type = "LeakyRelu"
    set_attribute(node, "alpha", alpha)

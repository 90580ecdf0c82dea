"""What a network costs, as a whole and layer by layer: multiply-adds, parameters, bytes, measured time, energy.

The whole is measured. Of layers it is estimated what they would cost with fewer channels, so that many plans can be
compared before one is carried out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from torch import nn

from fovea.compression.pruning.clock import Clock, Form
from fovea.errors import UsageError, unknown
from fovea.layers import Convolution, TransposedConvolution
from fovea.measurement.network import measure_network
from fovea.measurement.result import Layer, Measurement

FLOAT_BYTES = 4
MAC_PJ = 3.7 + 0.9
"""Picojoules of a float32 product and sum, 45 nm: Horowitz 2014, "Computing's energy problem", ISSCC, figure 1.1.9."""
MEMORY_PJ = 640.0
"""Picojoules of reading or writing 32 bits of DRAM: the same, as in Han et al. 2015 (arXiv:1506.02626, figure 1)."""


@dataclass(frozen=True, kw_only=True)
class LayerAt:
    """A convolution or dense layer where it stands in a network."""

    path: str
    form: Form
    inputs: int
    """Positions of a channel of its input: H x W of images."""
    outputs: int
    """Positions of a channel of its output."""
    calls: int = 1

    @property
    def depthwise(self) -> bool:
        """Whether every channel is filtered alone."""
        return self.form.groups == self.form.c_in > 1

    def less(self, inputs: int, outputs: int) -> "LayerAt":
        """Return the layer with so many fewer inputs and outputs; of a depthwise one the groups follow its inputs."""
        c_in, c_out = self.form.c_in - inputs, self.form.c_out - outputs
        groups = c_in if self.depthwise else self.form.groups
        return replace(self, form=replace(self.form, c_in=c_in, c_out=c_out, groups=groups))

    @property
    def parameters(self) -> int:
        """Of its weight."""
        return self.form.c_out * self.form.c_in // self.form.groups * prod(self.form.kernel)

    @property
    def macs(self) -> int:
        """Of all calls for one input."""
        # transposed, each input spreads its products
        return self.calls * (self.inputs if self.form.transposed else self.outputs) * self.parameters


def _energy_pj(layer: LayerAt) -> float:
    """Weights, inputs and outputs pass the memory once per call, at a batch of one."""
    words = layer.parameters + layer.inputs * layer.form.c_in + layer.outputs * layer.form.c_out
    return MAC_PJ * layer.macs + MEMORY_PJ * layer.calls * words


ESTIMATES: dict[str, Callable[[LayerAt], float]] = {
    "macs": lambda layer: layer.macs,
    "params": lambda layer: layer.parameters,
    "bytes": lambda layer: FLOAT_BYTES * layer.parameters,
    "energy": _energy_pj,
}
TARGETS = (*ESTIMATES, "latency")
"""What may be reduced to a share: `prune=0.5:latency`."""
UNITS = {"macs": "MACs", "params": "parameters", "bytes": "bytes", "latency": "s", "energy": "pJ"}


@dataclass(frozen=True, kw_only=True)
class Costs:
    """One way to count, on one machine.

    Raises:
        UsageError: `target` is not known, or needs a clock.
    """

    target: str
    clock: Clock | None = None

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise unknown("target", self.target, TARGETS)
        if self.target == "latency" and self.clock is None:
            raise UsageError(
                "The target `latency` needs a `clock`, which says how and on which batch the network runs."
            )

    def layer(self, layer: LayerAt) -> float:
        """Return what a layer costs for one input; of time, for one batch."""
        if self.target == "latency" and self.clock is not None:
            return layer.calls * self.clock.layer(layer.form)
        return ESTIMATES[self.target](layer)

    def network(self, model: nn.Module, input_shape: Sequence[int]) -> float:
        """Return what a whole network costs, measured; it is left as it was."""
        if self.target == "latency" and self.clock is not None:
            return self.clock.network(model, input_shape)
        if self.target in ("params", "bytes"):
            parameters = sum(tensor.numel() for tensor in model.parameters())
            buffers = sum(tensor.numel() for tensor in model.buffers() if tensor.ndim)
            return FLOAT_BYTES * (parameters + buffers) if self.target == "bytes" else parameters
        measurement = measure_network(model, input_shape)
        return measurement.total.macs if self.target == "macs" else network_energy_pj(measurement)


def network_energy_pj(measurement: Measurement) -> float:
    """Return the picojoules of one input: each activation is written and read once, each parameter read once.

    A proxy: caches, which spare most of this traffic, and what is spent while waiting, are left out.
    """
    total = measurement.total
    words = (total.parameter_bytes + 2 * total.activation_bytes) / FLOAT_BYTES
    return MAC_PJ * total.macs + MEMORY_PJ * words


def layers_at(model: nn.Module, input_shape: Sequence[int]) -> Mapping[str, LayerAt]:
    """Return the convolutions and dense layers of a network by path, in the order in which they run."""
    modules = dict(model.named_modules())
    found: dict[str, LayerAt] = {}
    for row in measure_network(model, input_shape).layers:
        path = row.path.partition("#")[0]
        layer = modules.get(path)
        if not row.ran or not isinstance(layer, Convolution | TransposedConvolution | nn.Linear):
            continue
        if path in found:
            found[path] = replace(found[path], calls=found[path].calls + 1)
        else:
            found[path] = _layer_at(path, layer, row)
    return found


def _layer_at(path: str, layer: Any, row: Layer) -> LayerAt:
    given, made = row.input_shapes[0], row.output_shapes[0]
    if isinstance(layer, nn.Linear):
        form = Form(layer.in_features, layer.out_features)
        return LayerAt(path=path, form=form, inputs=prod(given[:-1]), outputs=prod(made[:-1]))
    sizes, kernel = tuple(given[2:]), tuple(layer.kernel_size)
    padding = tuple(0 for _ in kernel) if layer.padding == "valid" else layer.padding
    if padding == "same":
        padding = tuple(d * (k - 1) // 2 for d, k in zip(layer.dilation, kernel, strict=True))
    geometry = (kernel, tuple(layer.stride), tuple(padding), tuple(layer.dilation), sizes)
    transposed = isinstance(layer, TransposedConvolution)
    form = Form(layer.in_channels, layer.out_channels, layer.groups, *geometry, transposed=transposed)
    return LayerAt(path=path, form=form, inputs=prod(sizes), outputs=prod(made[2:]))

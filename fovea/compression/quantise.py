"""Quantisation-aware training: a network that computes on a grid, trained on it, and exported with the same numbers.

Convolutions and dense layers become those of `fovea.compression.grids`. The ranges of activations are chosen once, by
samples of the training part; then weights are trained through rounding (Jacob et al. 2018, arXiv:1712.05877, section 3,
with their batch norms folded before).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from fovea.compression.change import Change, kind, replaced
from fovea.compression.clipping import InputPower, cut_weights
from fovea.compression.fold import fold
from fovea.compression.grids import KINDS, ActivationGrid, ExactMean, GridConv2d, GridLayer, affine_of, on_grid
from fovea.compression.layers_by_name import exact_layer, names_in
from fovea.compression.pruning.sparsify import zeros_held
from fovea.compression.ranges import Seen, Steps
from fovea.compression.readers import Reading, readings
from fovea.compression.step import Done, Work
from fovea.errors import UsageError, listed
from fovea.hooks import watch

SAMPLES = 512
"""Of the training split, by which ranges are chosen."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
GRID = "quantised"


@kind("quantised")
@dataclass(frozen=True, kw_only=True)
class Quantised(Change):
    """Layers that compute on a grid: an entry of a card's `changes`."""

    layers: tuple[str, ...]
    """Convolutions and dense layers."""
    gives: tuple[str, ...] = ()
    """Those whose outputs have a grid too."""
    means: tuple[str, ...] = ()
    """Pools to one number for each map."""
    norms: tuple[str, ...] = ()
    """Batch norms that no layer could take in."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the change that JSON holds."""
        known = {field.name: f"`{field.name}` on a grid" for field in fields(cls)}
        if not values.keys() <= known.keys() or "layers" not in values:
            raise UsageError(f"A change `quantised` has {listed(known)}and no other field.")
        return cls(**{name: names_in(given, known[name]) for name, given in values.items()})

    def values(self) -> dict[str, Any]:
        """Return JSON values."""
        return {field.name: list(names) for field in fields(self) if (names := getattr(self, field.name))}

    def apply(self, model: nn.Module) -> None:
        """Exchange the layers, in place; their scales are not set."""
        gives = set(self.gives)
        for name in self.layers:
            layer = exact_layer(model, name, tuple(KINDS), for_what=GRID)
            replaced(model, name, on_grid(layer, gives=name in gives))
        for name in self.means:
            exact_layer(model, name, (nn.AdaptiveAvgPool2d,), for_what=GRID)
            replaced(model, name, ExactMean())
        for name in self.norms:
            replaced(model, name, affine_of(exact_layer(model, name, NORMS, for_what=GRID)))


def plan(model: nn.Module, x: Tensor) -> tuple[Quantised, dict[str, Reading], list[str]]:
    """Return what of a network comes to the grid, who reads its layers, and what stays float.

    `x` (N, ...) float32 are inputs that tell.
    """
    modules = dict(model.named_modules())
    wanted = [name for name, layer in modules.items() if type(layer) in KINDS]
    found = readings(model, x, wanted)
    # of dense layers alone a run time gives the sums as they are
    gives = tuple(
        name for name, read in found.items() if not isinstance(modules[name], nn.Linear) or read.cuts or read.others
    )
    change = Quantised(
        layers=tuple(found),
        gives=gives,
        means=tuple(
            name
            for name, layer in modules.items()
            if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))
        ),
        norms=tuple(
            name for name, layer in modules.items() if isinstance(layer, NORMS) and layer.running_mean is not None
        ),
    )
    left = [
        name
        for name, layer in modules.items()
        if name not in found and any(parameter.ndim > 1 for parameter in layer.parameters(recurse=False))
    ]
    return change, found, left


@torch.no_grad()
def gridded(model: nn.Module, batches: Sequence[Tensor]) -> tuple[Quantised, list[str]]:
    """Bring a network in evaluation mode to the grid, in place; return the change, and the layers left in float.

    `batches` are inputs (N, *shape) float32 by which the ranges of activations are chosen.

    Raises: UsageError if no layer can be brought to a grid.
    """
    change, read, left = plan(model, batches[0][:2])
    if not change.layers:
        raise UsageError("No layer of this network can be quantised: it has no plain convolution or dense layer.")
    inputs, outputs, powers = _observed(model, batches, change)
    change.apply(model)
    modules = dict(model.named_modules())
    for name in change.layers:
        cut_weights(modules[name], modules[name].weight, powers[name])
    for name in change.gives:
        _settle(modules[name].gives, outputs[name].steps(cut=read[name].cut))
    _settle_inputs(model, batches[0], change, inputs)
    return change, left


def _observed(
    model: nn.Module, batches: Iterable[Tensor], change: Quantised
) -> tuple[dict[str, Seen], dict[str, Seen], dict[str, InputPower]]:
    """Return what was seen of the inputs and outputs of layers, and the power of the inputs, by name."""
    inputs, outputs = ({name: Seen() for name in change.layers} for _ in range(2))
    powers = {name: InputPower() for name in change.layers}

    def enter(path: str, layer: nn.Module, tensors: list[Tensor]) -> None:
        if path in inputs and tensors:
            inputs[path].add(tensors[0])
            powers[path].add(layer, tensors[0])

    def leave(path: str, _: nn.Module, tensors: list[Tensor]) -> None:
        if path in outputs and tensors:
            outputs[path].add(tensors[0])

    with watch(model, enter=enter, leave=leave):
        for batch in batches:
            model(batch)
    return inputs, outputs, powers


def _settle_inputs(model: nn.Module, x: Tensor, change: Quantised, seen: Mapping[str, Seen]) -> None:
    """Choose the steps of each layer's input: those of an output where all values lie on its grid, or by what was seen.

    So what a ReLU and a maximum hand on is stored once.
    """
    modules = dict(model.named_modules())
    known = {_steps(modules[name].gives) for name in change.gives}
    candidates = sorted(known, reverse=True)
    settled: set[str] = set()

    def enter(path: str, layer: nn.Module, tensors: list[Tensor]) -> None:
        if path not in seen or path in settled:
            return
        first = not settled
        settled.add(path)
        steps = next((way for way in candidates if torch.equal(way.nearest(tensors[0]), tensors[0])), None)
        _settle(cast(GridConv2d, layer).reads, steps or seen[path].steps(whole=first))
        layer.weight_scale.copy_(layer.scaled_to_fit())  # type: ignore[operator]

    with watch(model, enter=enter, leave=lambda *_: None):
        model(x)


def _settle(grid: ActivationGrid, steps: Steps) -> None:
    grid.settle(*steps)


def _steps(grid: ActivationGrid) -> Steps:
    return Steps(grid.scale.item(), int(grid.zero.item()))


def at_rest(model: nn.Module) -> None:
    """Put the weights of all layers on a grid onto it, in place: what is saved, exported and run."""
    for layer in model.modules():
        if isinstance(layer, GridLayer):
            layer.rest()


def quantise(model: nn.Module, work: Work, *, epochs: float, lr: float | None = None) -> Done:
    """Bring a network to the grid and train it there for `epochs` passes; with 0 it is only brought there.

    Raises: UsageError if no layer can be brought to a grid.
    """
    folding = fold(model.eval(), work.input_shape)
    batches = [inputs for inputs, _ in work.batches(SAMPLES)]
    change, left = gridded(model, batches)
    with zeros_held(model):
        work.refit(model, epochs=epochs, lr=lr, teacher=work.teacher)
    at_rest(model)
    notes = [f"{len(change.layers)} layers quantised: uint8 activations, int8 weights"]
    if left:
        notes.append(f"{listed(left)} stay in float: only plain convolutions and dense layers can be quantised")
    return Done(model=model.eval(), changes=[*folding.changes, change.to_dict()], notes=notes)

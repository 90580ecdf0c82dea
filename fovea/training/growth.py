"""A deeper network that begins where a trained one of its family ends: its further layers are the identity at first.

The construction by which lecture 001 shows that deeper need not be worse; "deeper" of Net2Net (Chen et al. 2016,
arXiv:1511.05641, section 2.4). `first_and_last` is what VGG did (Simonyan and Zisserman 2015, arXiv:1409.1556, 3.1).

Images are (N, C, H, W) float32, normalised.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fovea.errors import ShapeError
from fovea.hooks import capture
from fovea.training.initialisation import Layer

Modules = dict[str, nn.Module]
"""By path, in order."""
FIRST = 4
"""Convolutions that VGG's deeper networks took from its net A, beside the dense layers at the end."""
TOLERANCE = 1e-3
"""An identity's output differs from its input by less than this share of the largest input."""


class Unit(NamedTuple):
    """What a stage repeats: a layer with the norm and activation after it, or a block."""

    modules: Modules

    @property
    def first(self) -> str:
        """The path that names it."""
        return next(iter(self.modules))


class Match(NamedTuple):
    """The deeper network beside the trained one."""

    units: list[tuple[Unit, Unit]]
    """Of the stages: trained, deeper."""
    rest: list[tuple[Modules, Modules]]
    """Stem, head, and what a stage ends with, as its pooling: trained, deeper."""
    new: list[Unit]
    """Units that only the deeper network has: those at the end of their stages."""

    def pairs(self, units: int) -> list[tuple[Modules, Modules]]:
        """Return what is in both: so many of the units, and the rest."""
        return [*((old.modules, new.modules) for old, new in self.units[:units]), *self.rest]


@torch.no_grad()
def grow(trained: nn.Module, deeper: nn.Module, *, images: Tensor) -> list[str]:
    """Give `deeper` the weights of `trained` and make its further units the identity; return the paths of those.

    Children called `stem` and `head` must be the same in both; of the others, the stages, the deeper network may have
    more, and each may have further units at its end, before its pooling. A new convolution copies its input, which
    after a ReLU another ReLU leaves alone; a new residual branch ends in zeros (Goyal et al. 2017, arXiv:1706.02677,
    section 5.1). A new batch norm in a chain has gamma = sigma and beta = mu (lecture 001) of the activations that
    `images` (N, C, H, W), as the networks get them, cause, so that it changes as little as possible in training too.

    Raises:
        ShapeError: a layer that differs, a unit that cannot be the identity, or no further unit.
    """
    match = _match(trained, deeper)
    for source, target in match.pairs(len(match.units)):
        _copy(source, target)
    norms = dict(norm for unit in match.new for norm in _make_identity(unit).items())
    training = deeper.training
    with capture(deeper, norms, inputs=True) as entering:
        deeper.eval()(images)
    for path, x in entering.items():
        over = [dim for dim in range(x.ndim) if dim != 1]
        _settle(norms[path], x.mean(over), x.var(over, correction=0))
    _check(deeper, match.new, images)
    deeper.train(training)
    return [unit.first for unit in match.new]


@torch.no_grad()
def first_and_last(trained: nn.Module, deeper: nn.Module) -> list[str]:
    """Give `deeper` the first four units of `trained`, its stem and its head; return the paths of the other units.

    Those keep their random weights. Matching and errors as in `grow`.
    """
    match = _match(trained, deeper)
    for source, target in match.pairs(FIRST):
        _copy(source, target)
    return [unit.first for unit in (*(new for _, new in match.units[FIRST:]), *match.new)]


def _match(trained: nn.Module, deeper: nn.Module) -> Match:
    """Return which units stand for which, after making sure that they agree."""
    match = Match([], [], [])
    theirs, ours = dict(trained.named_children()), dict(deeper.named_children())
    for name in dict.fromkeys((*theirs, *ours)):
        (old, old_end), (new, new_end) = (_units(name, children.get(name)) for children in (theirs, ours))
        if len(old) > len(new):
            raise ShapeError(f"`{old[len(new)].first}` of the trained network has no place in the deeper one.")
        match.units.extend(zip(old, new, strict=False))
        match.rest.append((old_end, new_end))
        match.new.extend(new[len(old) :])
    for source, target in match.pairs(len(match.units)):
        _require_alike(source, target)
    if not match.new:
        raise ShapeError("The network to grow into has no additional layers; choose a deeper one of the same family.")
    return match


def _units(name: str, child: nn.Module | None) -> tuple[list[Unit], Modules]:
    """Return the units of a stage and what it ends with; stem and head have no units."""
    if child is None or name in ("stem", "head"):
        return [], {} if child is None else {name: child}
    units: list[Unit] = []
    end: Modules = {}
    for path, part in ((f"{name}.{own}", part) for own, part in child.named_children()):
        if any(isinstance(module, Layer) for module in part.modules()):
            if units:
                units[-1].modules.update(end)
            units.append(Unit({path: part}))
            end = {}
        elif units and not end and accompanies(part) and isinstance(units[-1].modules[units[-1].first], Layer):
            units[-1].modules[path] = part
        else:
            end[path] = part
    return units, end


def accompanies(module: nn.Module) -> bool:
    """Whether it is a norm or an activation, which belong to the layer before them."""
    return isinstance(module, _BatchNorm) or type(module).__module__ == nn.ReLU.__module__


def _require_alike(trained: Modules, deeper: Modules) -> None:
    theirs, ours = _described(trained), _described(deeper)
    for path in dict.fromkeys((*theirs, *ours)):
        there, here = (layers.get(path, "not there") for layers in (theirs, ours))
        if there != here:
            raise ShapeError(f"`{path}` is {there} in the trained network and {here} in the deeper one.")


def _described(modules: Modules) -> dict[str, str]:
    """Return what each layer without parts says of itself; a dropout's rate may differ."""
    return {
        f"{path}.{name}".rstrip("."): "a dropout" if isinstance(part, nn.modules.dropout._DropoutNd) else repr(part)
        for path, module in modules.items()
        for name, part in module.named_modules()
        if not any(part.children())
    }


def _copy(source: Modules, target: Modules) -> None:
    for path, module in source.items():
        target[path].load_state_dict(module.state_dict())


def _make_identity(unit: Unit) -> dict[str, _BatchNorm]:
    """Make the unit the identity in evaluation, and return those of its norms whose statistics are arbitrary."""
    branch = getattr(unit.modules[unit.first], "residual", None)
    if isinstance(branch, nn.Module):
        last = [module for module in branch.children() if isinstance(module, Layer | _BatchNorm)][-1:]
        for parameter in (parameter for module in last for parameter in module.parameters()):
            parameter.zero_()
        return {}
    parts = {f"{path}.{name}".rstrip("."): part for path, m in unit.modules.items() for name, part in m.named_modules()}
    for layer in (part for part in parts.values() if isinstance(part, Layer)):
        if isinstance(layer, nn.Linear):
            nn.init.eye_(layer.weight)
        else:
            nn.init.dirac_(layer.weight, layer.groups)
        if layer.bias is not None:
            layer.bias.zero_()
    norms = {path: part for path, part in parts.items() if isinstance(part, _BatchNorm)}
    for norm in norms.values():
        _settle(norm, torch.zeros(norm.num_features), torch.ones(norm.num_features))
    return norms


def _settle(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Make a batch norm the identity for activations of this `mean` and `variance` (C,): gamma = sigma, beta = mu."""
    values = {"running_mean": mean, "running_var": variance, "weight": (variance + norm.eps).sqrt(), "bias": mean}
    norm.load_state_dict(values, strict=False)


def _check(model: nn.Module, units: list[Unit], images: Tensor) -> None:
    """Raise ShapeError unless every unit gives out on `images` what it gets."""
    ends = {unit.first: next(reversed(unit.modules)) for unit in units}
    with capture(model, ends, inputs=True) as entering, capture(model, ends.values()) as leaving:
        model(images)
    for first, last in ends.items():
        x, y = entering[first], leaving[last]
        if x.shape != y.shape or (x - y).abs().max() > TOLERANCE * x.abs().max():
            raise ShapeError(
                f"`{first}` cannot be made the identity: that takes equal channels and stride 1, a ReLU or no "
                "activation after values that are not negative, and in a block a shortcut that passes them on."
            )

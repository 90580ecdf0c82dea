"""Where in an image the evidence lies: the answer that every method of attribution gives, and the list of methods.

A method is a function of (network, input (N, C, H, W) float, objective) in a file of this folder, under the decorator
`method`. Its other parameters have defaults; those called as in `COMMON` mean the same to all.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fovea.errors import UsageError, unknown
from fovea.explanation.objective import Objective
from fovea.hooks import uncompiled
from fovea.texts import parse_value

Progress = Callable[[int, int], None]
"""Gets how much is done, and of how much."""

KINDS_OF_VALUE = {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}
FINE = 1000
"""Into so many steps a part of a work is divided."""


def part_of(progress: Progress | None, index: int, parts: int) -> Progress:
    """Return what is told how far one of `parts` equal parts is, and tells `progress` how far the whole is."""

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(index * FINE + round(FINE * done / max(total, 1)), parts * FINE)

    return tell


COMMON = ("layer", "batch", "seed", "progress")
"""`layer`: the module whose output is weighed, by its path, None for the last spatial one; `batch`: inputs at a time;
`seed`: of what is drawn; `progress`: called with how far it is."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """How much each place of each image counts."""

    values: Tensor
    """(N, h, w) float32 on the CPU: as large as input or map; of series (N, t), clips (N, t, h, w)."""
    layer: str = ""
    """The layer whose map it is made of; empty if it is the input."""
    figures: Mapping[str, Tensor] = field(default_factory=dict)
    """What the method says of its own exactness, by name: (N,) float."""

    def at(self, size: tuple[int, ...]) -> Tensor:
        """Return the values at this (H, W), (T,) or (T, H, W), linear between the centres of the cells: (N, *size)."""
        if tuple(self.values.shape[1:]) == size:
            return self.values
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
        return nn.functional.interpolate(self.values[:, None], size, mode=mode, align_corners=False)[:, 0]


Explain = Callable[..., Attribution]

Bounds = Mapping[str, range | tuple[str, ...]]
"""Of settings by name: the first and the last number of a range, between which numbers lie, or the known words."""
COUNT = range(1, 1_000_001)
"""Of what is drawn or tried: more would fill the memory before it ends."""
WEIGHT = range(1_000_001)
"""Of numbers that are not negative."""


class Method(NamedTuple):
    """One method of attribution."""

    name: str
    """As after `--method`."""
    title: str
    source: str
    """Authors, year, and where it was published."""
    signed: bool
    """Whether values below 0 speak against the answer; else they are 0 at least."""
    explain: Explain
    bounds: Bounds = {}
    """Of its settings."""

    def __call__(self, model: nn.Module, x: Tensor, objective: Objective, **common: Any) -> Attribution:
        """Explain inputs (N, C, H, W); of `common`, named as in `COMMON`, the method gets what it takes."""
        taken = inspect.signature(self.explain).parameters
        own = {name: value for name, value in common.items() if name in taken}
        with uncompiled():
            return self.explain(model, x, objective, **own)

    def parsed(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return those of the settings, given as text, that are its own, in the types of their defaults.

        Raises: UsageError for a value that is none, or is out of bounds.
        """
        own = self.settings
        found = {name: setting(name, text, own[name]) for name, text in given.items() if name in own}
        check_bounds(found, self.bounds)
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """Its own settings that text can say, with their defaults; None stands for a whole number that it chooses."""
        taken = inspect.signature(self.explain).parameters
        own = {name: one for name, one in taken.items() if one.kind is one.KEYWORD_ONLY and name not in COMMON}
        return {
            name: one.default
            for name, one in own.items()
            if isinstance(one.default, int | float | str) or one.annotation == int | None
        }

    @property
    def axes(self) -> tuple[int, ...]:
        """How many axes beside the channels inputs may have: 2 are images, 1 series and 3 clips."""
        found: tuple[int, ...] = getattr(self.explain, "axes", (2,))
        return found

    @property
    def layered(self) -> bool:
        """Whether it weighs the map of a layer, which may be named."""
        return "layer" in inspect.signature(self.explain).parameters


def setting(name: str, text: str, default: Any) -> Any:
    """Return what a setting is set to, in the type of its default; of None, a whole number.

    Raises: UsageError if the text is none, or a number that is not finite.
    """
    like = 0 if default is None else default
    try:
        value = parse_value(text, like)
    except ValueError:
        kind = "whole numbers separated by commas" if isinstance(like, list) else KINDS_OF_VALUE[type(like)]
        raise UsageError(f"`{name}` (={text}) must be {kind}.") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"`{name}` (={text}) must be a finite number.")
    return value


def check_bounds(values: Mapping[str, Any], bounds: Bounds) -> None:
    """Raise UsageError for the first of some settings, by name, that is out of its bounds."""
    for name, value in values.items():
        if name not in bounds:
            continue
        allowed, given = bounds[name], ",".join(map(str, value)) if isinstance(value, list) else value
        if not isinstance(allowed, range):
            if value not in allowed:
                raise UsageError(f"`{name}` (={given}) must be one of {', '.join(allowed)}.")
            continue
        low, high = allowed[0], allowed[-1]
        each = value if isinstance(value, list) else [value]
        if not each or not all(low <= one <= high for one in each):
            raise UsageError(f"`{name}` (={given}) must be from {low:,} to {high:,}.")


METHODS: dict[str, Method] = {}
"""All methods by name; `fovea.explanation.attribution.methods` imports every file that has some."""


def method(
    name: str, *, title: str, source: str, signed: bool = False, bounds: Bounds | None = None
) -> Callable[[Explain], Explain]:
    """Return a decorator that lists a method of attribution."""

    def add(explain: Explain) -> Explain:
        METHODS[name] = Method(name, title, source, signed, explain, bounds or {})
        return explain

    return add


def of_any_axes(explain: Explain) -> Explain:
    """Say of a method that it explains series and clips too, whose inputs have one and three axes."""
    explain.axes = (1, 2, 3)  # type: ignore[attr-defined]
    return explain


def method_named(name: str) -> Method:
    """Return the method called `name`; UsageError, with its neighbours, where there is none."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def input_gradient(model: nn.Module, x: Tensor, objective: Objective) -> Tensor:
    """Return the derivative of the objective by each value of the input (N, C, H, W), which is left as it is."""
    with torch.enable_grad():
        given = x.detach().clone().requires_grad_()
        # clone: a first layer that works in place may change it, as it may not change a leaf of the graph
        (gradient,) = torch.autograd.grad(objective(model(given.clone())).sum(), given)
    return gradient

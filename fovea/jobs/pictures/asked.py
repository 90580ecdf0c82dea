"""What a kind of picture is asked, and how kinds list themselves.

A kind is a function of `Asked` that returns a `Sheet`, in a file of this folder, under the decorator `pictured`.
Stored images are (H, W, C) uint8, inputs (N, C, H, W) float, normalised.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from fovea.data.dataset import Dataset
from fovea.data.sources.source import DataSource
from fovea.display import Display
from fovea.errors import UsageError, unknown
from fovea.evaluation.parts import DecodedPart, decoded_part, sample_of
from fovea.explanation.attribution.registry import Bounds, Progress, check_bounds, setting
from fovea.explanation.objective import Objective
from fovea.explanation.target_layer import target_layer
from fovea.inputs.interface import Stored
from fovea.model.bundle import Bundle
from fovea.report.sheet import Sheet

Wants = Literal["no", "may", "must"]
"""Whether a kind takes something, can do without, or needs it."""
Value = TypeVar("Value")
Option = Literal["layer", "channel", "target", "against", "concepts"]
"""What may be said of a picture besides images, data and settings."""


class Named(NamedTuple):
    """An image, and what it is called."""

    name: str
    pixels: Stored


class Samples(Sequence[Stored]):
    """The images (H, W, C) uint8 of all parts of a decoded data set, each read when it is asked for."""

    def __init__(self, decoded: Dataset) -> None:
        self._decoded = decoded
        self.names = [name for part in decoded.parts.values() for name in part.names]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Stored: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Stored]: ...
    def __getitem__(self, index: int | slice) -> Stored | Sequence[Stored]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return sample_of(self._decoded, index).copy()  # the cache is mapped, not to be written

    def some(self, indices: Sequence[int]) -> Stored:
        """Return some of them, (n, H, W, C) uint8."""
        return np.stack([self[index] for index in indices])


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be drawn."""

    bundle: Bundle
    name: str
    """Of the network, for titles."""
    images: Sequence[Named] = ()
    layer: str | None = None
    channels: Sequence[int] = ()
    targets: Sequence[str] = ()
    """Names of answers; empty for what the network says, or for all."""
    against: str | None = None
    source: DataSource | None = None
    split: str = "test"
    labelled: bool = False
    """Whether the labels of the data matter."""
    concepts: Path | None = None
    """A folder with a folder of images for each concept."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was set, of the kind's own settings."""
    batch: int = 32
    seed: int = 0
    display: Display

    @property
    def model(self) -> torch.nn.Module:
        """The network."""
        return self.bundle.model

    @property
    def blank(self) -> Tensor:
        """(1, C, H, W): an input, for what asks only how the network is made."""
        return self.bundle.blank

    @cached_property
    def at(self) -> str:
        """The layer that was named, or the last spatial activation."""
        return self.layer or target_layer(self.model, self.blank)

    @cached_property
    def part(self) -> DecodedPart:
        """The part of the data that was asked for, decoded."""
        if self.source is None:
            raise UsageError("This needs `data`: the data set to look at.")
        return decoded_part(self.bundle, self.source, split=self.split, display=self.display, labelled=self.labelled)

    @property
    def where(self) -> str:
        """What that part is called."""
        name = self.part.decoded.name
        return name if self.part.name == "whole" else f"{self.part.name} of {name}"

    @cached_property
    def samples(self) -> Samples:
        """The images of that part."""
        return Samples(self.part.decoded)

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        """(N,) or (N, L): their labels, as the network knows them."""
        parts = self.part.decoded.parts.values()
        found = np.concatenate([part.labels for part in parts])
        return self.bundle.target.matched(found, self.part.decoded.classes)

    def setting(self, name: str, default: Value) -> Value:
        """Return a setting of the kind's own, as it was set or by default."""
        value: Value = self.settings.get(name, default)
        return value

    def inputs(self, images: Sequence[Named]) -> Tensor:
        """Return the inputs (N, C, H, W) of images."""
        return self.bundle.inputs_of(np.stack([image.pixels for image in images]))

    def given_batches(self) -> Iterator[Tensor]:
        """Yield inputs (n, C, H, W) of the images that were given."""
        for first in range(0, len(self.images), self.batch):
            yield self.inputs(self.images[first : first + self.batch])

    def batches(self, title: str, *, count: int | None = None) -> Iterator[Tensor]:
        """Yield inputs (n, C, H, W) of the first `count` images of the data, or of all, under a bar called `title`."""
        total = len(self.samples) if count is None else min(count, len(self.samples))
        told = self.progress(title)
        for first in range(0, total, self.batch):
            last = min(first + self.batch, total)
            yield self.bundle.inputs_of(np.stack(self.samples[first:last]))
            told(last, total)

    def progress(self, title: str) -> Progress:
        """Return the function that updates a bar called `title`."""
        return self.display.counter(title)

    def answers(self, x: Tensor, *, count: int = 1) -> list[int]:
        """Return the answers asked for, or the `count` that the network finds most probable for inputs (1, C, H, W)."""
        target = self.bundle.target
        if self.targets:
            return [target.answer_named(name) for name in self.targets]
        with torch.no_grad():
            rows = target.decode(self.model(x).float().cpu())
        return [int(answer) for answer in np.argsort(-rows[0], kind="stable")[:count]]

    def objective(self, answers: Sequence[int]) -> Objective:
        """Return the evidence for answers, one per image or one for all, less that for the answer `against`."""
        target, device = self.bundle.target, self.bundle.device
        against = None if self.against is None else torch.tensor([target.answer_named(self.against)], device=device)
        return Objective.of_task(target, torch.tensor(answers, device=device), against)

    def check_one_target(self) -> None:
        """Raise UsageError if more than one answer is named."""
        if len(self.targets) > 1:
            raise UsageError(f"`target` (={', '.join(self.targets)}): give one answer at a time.")

    def only_answer(self) -> int:
        """Return the answer that is asked for, or the only one there is.

        Raises: UsageError if none is named of several, or more than one.
        """
        target = self.bundle.target
        self.check_one_target()
        if self.targets:
            return target.answer_named(self.targets[0])
        if target.has_classes:
            raise UsageError(f"`target` is missing; give an answer, for example {', '.join(target.classes[:3])}.")
        return 0


Draw = Callable[[Asked], Sheet]


class Kind(NamedTuple):
    """One kind of picture."""

    name: str
    """As after `--show`."""
    does: str
    draw: Draw
    images: Wants
    data: Wants
    settings: Mapping[str, Any]
    """Its own settings, with their defaults."""
    labelled: bool
    """Whether the labels of the data matter."""
    takes: tuple[Option, ...]
    """What it has a use for."""
    bounds: Bounds
    """Of its settings."""

    def parsed(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return settings that are given as text in the types of their defaults.

        Raises: UsageError for one that the kind does not have, or a value that is none, or out of bounds.
        """
        for name in given:
            if name not in self.settings:
                raise unknown("setting", name, self.settings)
        found = {name: setting(name, text, self.settings[name]) for name, text in given.items()}
        check_bounds(found, self.bounds)
        return found

    def check_options(self, **given: Any) -> None:
        """Raise UsageError if an option is given, neither None nor empty, that is of no use to the kind."""
        for name, value in given.items():
            if value not in (None, []) and name not in self.takes:
                raise UsageError(f"`{self.name}` does not use `{name}`; it shows {self.does}.")


KINDS: dict[str, Kind] = {}
"""All kinds by name; `fovea.jobs.pictures.kinds` imports every file that has one."""


def pictured(
    name: str,
    *,
    does: str,
    images: Wants = "no",
    data: Wants = "no",
    labelled: bool = False,
    takes: tuple[Option, ...] = (),
    settings: Mapping[str, Any] | None = None,
    bounds: Bounds | None = None,
) -> Callable[[Draw], Draw]:
    """Return a decorator that lists a kind of picture."""

    def add(draw: Draw) -> Draw:
        KINDS[name] = Kind(name, does, draw, images, data, settings or {}, labelled, takes, bounds or {})
        return draw

    return add

"""A plan: a network, its input, and the recipe by which it is trained."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fovea.errors import UsageError, unknown
from fovea.fields import is_number
from fovea.training.recipe import FIELDS, Recipe

GROWTHS = ("identity", "vgg")
"""How a deeper network takes over the weights of a shallower one: `fovea/training/growth.py`."""


TILE_ROOM = 2.0
"""Of tiles, training stores windows so many times as large, where images are."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train, on what input, and how."""

    model: str
    """A name of the zoo, or `file.py:Class`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the network's builder."""
    size: int
    """Height and width of the network's input in pixels; of series its steps."""
    fit: str = "crop"
    """How an image of another shape becomes square, or a series gets its length."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the preprocessing, what its kind of input has beside size and fit."""
    val_fraction: float = 0.1
    """Share of the train split set aside for validation where the data has no val split; 0 trains on all of it."""
    fraction: float = 1.0
    """Share of the images of every split that is used, drawn by class; below 1 where decoding all takes too long."""
    standardise: bool = True
    """Normalise with the training images' mean and standard deviation; otherwise pixels just become 0..1."""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    """How pixels from 0 to 1 are normalised, one number or one per channel; where empty, by the weights or images."""
    start: str = ""
    """Weights to begin with: a file, or `imagenet` for the published ones; random ones where empty."""
    grow: str = ""
    """One of `GROWTHS`: how a deeper network begins with those weights; empty where they are for the network itself."""
    recipe: Recipe
    """How it is trained."""
    reasons: tuple[str, ...] = ()
    """Why this plan, one line each, for the user."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"`size` (={self.size}) must be 1 pixel or more.")
        if not 0 <= self.val_fraction < 1:
            raise UsageError(f"`val_fraction` (={self.val_fraction}) must be in [0, 1).")
        if not 0 < self.fraction <= 1:
            raise UsageError(f"`fraction` (={self.fraction}) must be above 0 and at most 1.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not all(is_number(value) and (value > 0 or name == "mean") for value in values):
                raise UsageError(f"`{name}` (={values}) must be numbers{', above 0' if name == 'std' else ''}.")
        if self.grow and self.grow not in GROWTHS:
            raise unknown("way to grow", self.grow, GROWTHS)
        if self.grow and not self.start:
            raise UsageError(
                f"`grow` (={self.grow}) needs trained weights of a shallower network; give them with --from."
            )
        for name, scratch in (("whiten", False), ("initialisation", "own"), ("pretrain", 0)):
            if self.start and (value := getattr(self.recipe, name)) != scratch:
                raise UsageError(f"`{name}` (={value}) is for random weights; leave out either it or --from.")

    @property
    def tiled(self) -> bool:
        """Whether the network sees tiles of images."""
        return self.fit == "tile"

    @property
    def augment(self) -> tuple[str, ...]:
        """What is done to batches: the recipe's, of tiles after a random window of what is stored."""
        own = self.recipe.augment
        chosen = any(spec.split()[:1] in (["crop"], ["window"]) for spec in own)
        return ("window", *own) if self.tiled and not chosen else own

    @property
    def room(self) -> float:
        """How much larger than the input training images are stored, so that random crops have a choice."""
        if self.tiled:
            return TILE_ROOM
        return 1.25 if any(spec.startswith("crop") for spec in self.recipe.augment) else 1.0

    def replace(self, **changes: Any) -> "Plan":
        """Return a plan with `changes` to its own fields and to those of its recipe."""
        own = {name: value for name, value in changes.items() if name in PLAN_FIELDS}
        rest = {name: value for name, value in changes.items() if name not in own}
        unknown_names = [name for name in rest if name not in FIELDS]
        if unknown_names:
            raise unknown("recipe field", unknown_names[0], (*FIELDS, *PLAN_FIELDS))
        return dataclasses.replace(self, recipe=self.recipe.replace(**rest), **own)


PLAN_FIELDS = tuple(f.name for f in dataclasses.fields(Plan) if f.name != "recipe")

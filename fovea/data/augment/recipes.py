"""Augmentation of whole batches on the device they train on, and recipes of it such as `("flip", "shift 4")`.

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale; results have the same type and are channels-last in
memory. Every image is drawn on its own. Draws are made on the generator's device and moved to that of the images, so
that a CPU generator draws the same everywhere; no step depends on a value that only the device knows.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from torch import Generator, Tensor

from fovea.data.augment.colour import colour_jitter, grey, pca_shift
from fovea.data.augment.erasing import cutout, erase
from fovea.data.augment.geometry import Geometry, Moved
from fovea.data.augment.moves import (
    affine,
    alternating_flip,
    centre_crop,
    elastic,
    flip,
    random_resized_crop,
    random_window,
    shift,
    turn,
)
from fovea.data.augment.trivial import trivial_augment
from fovea.errors import UsageError, unknown


class AugmentContext(NamedTuple):
    """What an augmentation may know of the batch."""

    epoch: int
    indices: Tensor
    """(N,) int64: the index of each image in its data set."""


Augmentation = Callable[[Tensor, Generator, AugmentContext], Tensor]
"""(N, C, H, W) -> (N, C, size, size)"""
Step = Callable[[Tensor, Generator, AugmentContext], Tensor | Moved]


@dataclass(frozen=True)
class ComposedAugmentation:
    """The steps of a recipe: an `Augmentation`, which can also say how it moved the images."""

    steps: tuple[Step, ...]

    def __call__(self, images: Tensor, generator: Generator, context: AugmentContext) -> Tensor:
        """Return the augmented images: (N, C, H, W) -> (N, C, size, size)."""
        for step in self.steps:
            result = step(images, generator, context)
            images = result.images if isinstance(result, Moved) else result
        return images

    def with_geometry(self, images: Tensor, generator: Generator, context: AugmentContext) -> tuple[Tensor, Geometry]:
        """Return the same images as a call does, and how they were moved, for their masks and points."""
        movements = []
        for step in self.steps:
            result = step(images, generator, context)
            if isinstance(result, Moved):
                movements.append(result.movement())
                images = result.images
            else:
                images = result
        return images, Geometry(tuple(movements))


def augmented(
    augment: Augmentation, images: Tensor, generator: Generator, context: AugmentContext, *, follow: bool
) -> tuple[Tensor, Geometry | None]:
    """Return what `augment` makes of a batch, and where `follow` is set how it moved the images, if it can say."""
    if follow and isinstance(augment, ComposedAugmentation):
        return augment.with_geometry(images, generator, context)
    return augment(images, generator, context), None


class Number(NamedTuple):
    """A number in a recipe: the argument it stands for and what it may be."""

    argument: str
    low: float
    high: float
    whole: bool = False


Recipes = Mapping[str, tuple[Number, ...]]
"""The names of augmentations, with the numbers that each takes."""
RECIPES: Recipes = MappingProxyType(
    {
        "flip": (),
        "alternating-flip": (),
        "turn": (),
        "shift": (Number("pixels", 0, math.inf, whole=True),),
        "window": (),
        "crop": (Number("scale", 0.01, 1),),
        "affine": (
            Number("degrees", 0, 180),
            Number("translate", 0, 1),
            Number("scale", 0, 9),
            Number("shear", 0, 80),
        ),
        "elastic": (Number("strength", 0, 0.05),),
        "colour": (Number("strength", 0, 1),),
        "pca": (Number("strength", 0, 10),),
        "grey": (Number("probability", 0, 1),),
        "trivial": (),
        "cutout": (Number("pixels", 0, math.inf, whole=True),),
        "erase": (Number("probability", 0, 1),),
        "mixup": (Number("alpha", 0, 100),),
        "cutmix": (Number("alpha", 0, 100),),
    }
)
_FUNCTIONS: Mapping[str, Callable[..., Tensor | Moved]] = MappingProxyType(
    {
        "flip": flip,
        "turn": turn,
        "shift": shift,
        "affine": affine,
        "elastic": elastic,
        "colour": colour_jitter,
        "pca": pca_shift,
        "grey": grey,
        "trivial": trivial_augment,
        "cutout": cutout,
        "erase": erase,
    }
)
_PAINTS = ("colour", "pca", "grey", "cutout", "erase")
FLIPS = ("flip", "alternating-flip", "turn")
"""Names to leave out where mirroring an image changes its label."""
MIXES = ("mixup", "cutmix")
"""Specs that mix images and labels, which `fovea.data.augment.mixing` composes."""


def compose(specs: Sequence[str], *, size: int, without: Collection[str] = ()) -> ComposedAugmentation:
    """Return the augmentation that a recipe describes; its results are (N, C, size, size).

    Each spec is a name and its numbers: `flip`, `alternating-flip`, `turn`, `shift PIXELS`, `crop SMALLEST_AREA`,
    `window`, `affine DEGREES [TRANSLATE [SCALE [SHEAR]]]`, `elastic STRENGTH`, `colour STRENGTH`, `pca STRENGTH`,
    `grey PROBABILITY`, `trivial`, `cutout PIXELS`, `erase PROBABILITY`. They run in the order given. Without `crop` or
    `window`, images are cut to the middle after the last spec that moves pixels. Names in `without` are left out, as
    FLIPS for digits; MIXES always.

    >>> augment = compose(["flip", "shift 4", "cutout 12"], size=32)

    Raises:
        UsageError: an unknown name, too many or too few numbers, or a number out of its range.
    """
    for name in without:
        _known(name, RECIPES)
    left_out = {*MIXES, *without}
    steps = [(name, _step(name, numbers, size)) for name, numbers in map(parsed, specs) if name not in left_out]
    if not any(name in ("crop", "window") for name, _ in steps):
        moves = [i for i, (name, _) in enumerate(steps, start=1) if name not in _PAINTS]
        steps.insert(max(moves, default=0), ("centre", lambda images, *_: centre_crop(images, size=size)))
    return ComposedAugmentation(tuple(step for _, step in steps))


def _step(name: str, numbers: Mapping[str, float], size: int) -> Step:
    if name == "alternating-flip":
        return lambda images, _, context: alternating_flip(images, epoch=context.epoch, indices=context.indices)
    if name == "crop":
        scale = (numbers["scale"], 1.0)
        return lambda images, generator, _: random_resized_crop(images, generator, size=size, scale=scale)
    if name == "window":
        return lambda images, generator, _: random_window(images, generator, size=size)
    function = _FUNCTIONS[name]
    return lambda images, generator, _: function(images, generator, **numbers)


def parsed(spec: str, recipes: Recipes | None = None) -> tuple[str, dict[str, float]]:
    """Return the name and the numbers of a spec; UsageError for one that is not known or has wrong numbers.

    `recipes` are the names there are, with their numbers: those for images where none are given.
    """
    name, *words = spec.split() or [""]
    allowed = _known(name, RECIPES if recipes is None else recipes)
    if len(words) > len(allowed) or (allowed and not words):
        takes = " ".join(number.argument.upper() for number in allowed) or "no number"
        raise UsageError(f"Augmentation `{spec}`: `{name}` takes {takes}.")
    return name, {number.argument: _value(spec, word, number) for word, number in zip(words, allowed, strict=False)}


def _known(name: str, recipes: Recipes) -> tuple[Number, ...]:
    if name not in recipes:
        raise unknown("augmentation", name, recipes)
    return recipes[name]


def _value(spec: str, word: str, number: Number) -> float:
    try:
        value = int(word) if number.whole else float(word)
    except ValueError:
        value = math.nan
    if not number.low <= value <= number.high:
        kind = "a whole number" if number.whole else "a number"
        bounds = f"of at least {number.low}" if number.high == math.inf else f"from {number.low} to {number.high}"
        raise UsageError(f"Augmentation `{spec}`: {number.argument} (=`{word}`) must be {kind} {bounds}.")
    return value

"""The augmentations of each family of inputs, by the names that recipes call them: images, series, and so on.

Batches are (N, C, ...), as a kind of input arranges them.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from fovea.data.augment.batches import uniform
from fovea.data.augment.recipes import MIXES, RECIPES, Augmentation, AugmentContext, Number, compose, parsed
from fovea.data.augment.signals import jittered, scaled, shifted, window
from fovea.data.augment.sounds import equalised, gain, higher, later, mask_bands, mask_time, stretched

Change = Callable[..., Tensor]
"""(N, C, ...) and a generator, with numbers by name -> the same shape."""


class Step(NamedTuple):
    """One augmentation: what it does, and the numbers that a recipe gives it."""

    function: Change
    numbers: tuple[Number, ...] = ()


_MIXUP = (Number("alpha", 0, 100),)
"""Mixing is done by the training itself (`fovea.data.augment.mixing`); here its spec is known and passed over."""

SERIES: Mapping[str, Step] = MappingProxyType(
    {
        "shift": Step(shifted, (Number("steps", 0, math.inf, whole=True),)),
        "crop": Step(window, (Number("share", 0.01, 1),)),
        "scale": Step(scaled, (Number("strength", 0, 1),)),
        "jitter": Step(jittered, (Number("sigma", 0, 10),)),
    }
)
SPECTROGRAMS: Mapping[str, Step] = MappingProxyType(
    {
        "shift": Step(later, (Number("frames", 0, math.inf, whole=True),)),
        "pitch": Step(higher, (Number("bands", 0, math.inf, whole=True),)),
        "mask_time": Step(mask_time, (Number("frames", 0, math.inf, whole=True),)),
        "mask_bands": Step(mask_bands, (Number("bands", 0, math.inf, whole=True),)),
        "stretch": Step(stretched, (Number("share", 0, 1),)),
        "equalise": Step(equalised, (Number("decibels", 0, 60),)),
        "gain": Step(gain, (Number("decibels", 0, 60),)),
    }
)
OF_FRAMES = ("flip", "shift", "crop", "affine", "cutout", "erase")
"""Augmentations of images that clips have too: all frames of a clip are changed in the same way."""
FAMILIES: Mapping[str, Mapping[str, Step]] = MappingProxyType({"series": SERIES, "spectrograms": SPECTROGRAMS})
"""All but images and clips, whose recipes also describe how pixels move."""


def compose_for(family: str, specs: Sequence[str], *, size: int, without: Collection[str] = ()) -> Augmentation:
    """Return what a recipe does to batches of a family of inputs; images get the `size`, others keep their shape.

    Each spec is a name and its numbers, as `jitter 0.1`; `mixup ALPHA` may be among them. Names in `without` are left
    out. Of a family without augmentations batches stay as they are.

    Raises:
        UsageError: an unknown name, too many or too few numbers, or a number out of its range.
    """
    if not family:
        return lambda batch, *_: batch
    if family == "clips":
        return _of_clips(specs, size=size, without=without)
    if family not in FAMILIES:
        return compose(specs, size=size, without=without)
    known = FAMILIES[family]
    recipes = {**{name: step.numbers for name, step in known.items()}, "mixup": _MIXUP}
    chosen = [(name, numbers) for name, numbers in (parsed(spec, recipes) for spec in specs) if name not in without]
    steps = [(known[name].function, numbers) for name, numbers in chosen if name not in MIXES]

    def augment(batch: Tensor, generator: Generator, _: AugmentContext) -> Tensor:
        for function, numbers in steps:
            batch = function(batch, generator, **numbers)
        return batch

    return augment


def _of_clips(specs: Sequence[str], *, size: int, without: Collection[str]) -> Augmentation:
    """Return what a recipe does to clips (N, C, T, H, W): frames as images of many channels, changed alike."""
    recipes = {**{name: RECIPES[name] for name in OF_FRAMES}, "reverse": (), "mixup": _MIXUP}
    chosen = [(spec, parsed(spec, recipes)[0]) for spec in specs]
    backwards = any(name == "reverse" for _, name in chosen) and "reverse" not in without
    rest = [spec for spec, name in chosen if name != "reverse"]
    change = compose(rest, size=size, without=[*{*without} - {"reverse"}])

    def augment(clips: Tensor, generator: Generator, context: AugmentContext) -> Tensor:
        N, C, T, H, W = clips.shape
        changed = change(clips.reshape(N, C * T, H, W), generator, context)
        whole = changed.contiguous().view(N, C, T, *changed.shape[2:])
        return reversed_clips(whole, generator) if backwards else whole

    return augment


def reversed_clips(clips: Tensor, generator: Generator) -> Tensor:
    """Show each clip (N, C, T, H, W) backwards with probability 1/2."""
    chosen = uniform(clips, generator)[..., None, None] < 0.5
    return torch.where(chosen, clips.flip(2), clips)

"""How the pixels of a training are normalised: as asked, as its weights want it, or by its images."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea import inputs, registry
from fovea.data.dataset import Part
from fovea.data.statistics import channel_statistics
from fovea.display import Display
from fovea.errors import UsageError
from fovea.inputs.interface import Preprocessing
from fovea.layers import takes
from fovea.model.normalisation import (
    MORE_IMAGES,
    TRIED_IMAGES,
    Trial,
    best_of,
    conventions_of,
    open_between,
    reverse_channels,
    surest,
    tell_apart,
    tried,
    with_own_head,
)
from fovea.model.reading import read_weights
from fovea.model.weights import Origin
from fovea.plans.plan import Plan
from fovea.preprocess import Preprocess
from fovea.runs.initial_weights import sample_inputs, start_file

COLOURS = 3
TRIED_SHARE = 9 / 7
"""Conventions are tried on images whose side is this share of the network's own: there they differ most."""


class Loaded(NamedTuple):
    """The network that has trained weights, its name, and where they are from."""

    model: nn.Module
    name: str
    origin: Origin


def normalised(
    geometry: Preprocessing, plan: Plan, train: Part, *, loaded: Loaded | None, display: Display
) -> tuple[Preprocessing, Origin | None]:
    """Return `geometry` with its normalisation, and where the weights are from.

    Where neither the user nor the weights say it, the conventions are tried on training images. A network that took
    blue first takes red first after that.

    Raises:
        UsageError: `mean` or `std` are of another number of channels.
    """
    origin = loaded.origin if loaded else None
    if loaded and origin and not origin.known and not (plan.mean and plan.std):
        origin = _found(geometry, plan, train, loaded, display)
    if origin:
        mean, std = origin.mean, origin.std
    elif plan.standardise and not (plan.mean and plan.std):
        mean, std = channel_statistics(train, inputs.kind_of(geometry))
    else:
        mean, std = (0.0,) * geometry.channels, (1.0,) * geometry.channels
    asked = {name: _per_channel(name, getattr(plan, name), geometry.channels) for name in ("mean", "std")}
    return geometry.with_normalisation(asked["mean"] or mean, asked["std"] or std), origin


def _found(geometry: Preprocessing, plan: Plan, train: Part, loaded: Loaded, display: Display) -> Origin:
    """Return the origin with the normalisation that fits its weights best, as far as that can be determined; say so."""
    origin = loaded.origin
    trials, best = _trials(geometry, plan, train, loaded)
    if best is None:
        display.note(f"weights: {origin.assumption()}. --mean and --std give others")
        return origin
    chosen = best.convention
    display.note(
        f"weights: `{origin.file}` does not say how pixels are normalised; {_reason(trials, best)}. "
        "--mean and --std give others"
    )
    if chosen.reversed:
        reverse_channels(loaded.model)
    return dataclasses.replace(origin, mean=chosen.mean, std=chosen.std, reversed=chosen.reversed)


def _reason(trials: Sequence[Trial], best: Trial) -> str:
    """Return how the pixels are normalised, and why so."""
    chosen = best.convention
    if not tell_apart(trials):
        too_little = "its answers to training images differ too little to tell it"
        return f"{too_little}, so it is taken to be that of its library, {chosen.described()}"
    others = ", ".join(f"{trial.convention.name} {trial.entropy:.2f}" for trial in trials if trial.convention != chosen)
    answers = f"(entropy {best.entropy:.2f} nats; {others})"
    return f"by its answers to training images it is {chosen.described()} {answers}"


def _trials(geometry: Preprocessing, plan: Plan, train: Part, loaded: Loaded) -> tuple[list[Trial], Trial | None]:
    """Return what the weights make of training images under each convention, and the best of these.

    Where some images leave it open which has the surest answers, more decide. Without an own head there is nothing.
    """
    if not isinstance(geometry, Preprocess) or geometry.channels != COLOURS:
        return [], None
    file = read_weights(start_file(plan.start, loaded.name))
    own = with_own_head(file, loaded.name, size=plan.size)
    if own is None:
        return [], None
    plain = geometry.with_normalisation((0.0,) * COLOURS, (1.0,) * COLOURS)
    larger = round(TRIED_SHARE * registry.entry(loaded.name).input[-1] / 32) * 32
    side = larger if takes(own, torch.zeros(1, COLOURS, larger, larger)) else plan.size

    def images(count: int) -> Tensor:
        whole = sample_inputs(train, plain, count)
        return F.interpolate(whole, size=(side, side), mode="bilinear", antialias=True) if side != plan.size else whole

    trials = tried(own, images(TRIED_IMAGES), conventions_of(loaded.origin))
    near = open_between(trials)
    if len(near) == 1 or len(train) <= TRIED_IMAGES:
        return trials, best_of(trials)
    return trials, surest(own, images(MORE_IMAGES), near)


def _per_channel(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Return one value per channel: as many as there are, or the same for all, or none."""
    if len(values) not in (0, 1, channels):
        raise UsageError(f"`{name}` (={values}) must be one number, or one for each of the {channels} channels.")
    return values * channels if len(values) == 1 else values

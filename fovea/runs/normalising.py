"""How the pixels of a training are normalised: as asked, as its weights want it, or by its images."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
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
    Convention,
    Trial,
    best_of,
    consistent,
    conventions_of,
    loss_of_a_head,
    open_between,
    reverse_channels,
    settled,
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
from fovea.training.inference import spread

COLOURS = 3
TRIED_SHARE = 9 / 7
"""Conventions are tried on images whose side is this share of the network's own: there they differ most."""
FEWEST_LABELLED = 200
"""Of fewer images a head's loss does not distinguish conventions (`experiments/README.md`)."""


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
    own = _with_own_head(geometry, plan, loaded)
    if own is None:
        display.note(f"weights: {origin.assumption()}. --mean and --std give others")
        return origin
    plain = geometry.with_normalisation((0.0,) * COLOURS, (1.0,) * COLOURS)
    trials, best = _trials(own, plain, plan, train, loaded)
    by_labels = None if settled(trials, best) else _by_labels(own, plain, train, trials, display)
    chosen, reason = by_labels or (best.convention, _by_answers(trials, best))
    display.note(
        f"weights: `{origin.file}` does not say how pixels are normalised; {reason}. --mean and --std give others"
    )
    if chosen.reversed:
        reverse_channels(loaded.model)
    return dataclasses.replace(origin, mean=chosen.mean, std=chosen.std, reversed=chosen.reversed)


def _with_own_head(geometry: Preprocessing, plan: Plan, loaded: Loaded) -> nn.Module | None:
    """Return the network as its file has it, where it takes colour images and the file has its head."""
    if not isinstance(geometry, Preprocess) or geometry.channels != COLOURS:
        return None
    return with_own_head(read_weights(start_file(plan.start, loaded.name)), loaded.name, size=plan.size)


def _trials(own: nn.Module, plain: Preprocessing, plan: Plan, train: Part, loaded: Loaded) -> tuple[list[Trial], Trial]:
    """Return what the weights make of training images under each convention, and the best of these.

    Where some images leave it open which has the surest answers, more decide.
    """
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


def _by_answers(trials: Sequence[Trial], best: Trial) -> str:
    """Return how the pixels are normalised by the answers of the network, and why so."""
    chosen = best.convention
    if not tell_apart(trials):
        too_little = "its answers to training images differ too little to tell it"
        return f"{too_little}, so it is taken to be that of its library, {chosen.described()}"
    others = ", ".join(f"{trial.convention.name} {trial.entropy:.2f}" for trial in trials if trial.convention != chosen)
    answers = f"(entropy {best.entropy:.2f} nats; {others})"
    return f"by its answers to training images it is {chosen.described()} {answers}"


def _by_labels(
    own: nn.Module, plain: Preprocessing, train: Part, trials: Sequence[Trial], display: Display
) -> tuple[Convention, str] | None:
    """Return the convention under which a head on features predicts labels best, and why it is; None for few labels.

    Input that is far too large is out: its features vary widely, and mean nothing.
    """
    rows = spread(train, MORE_IMAGES)
    conventions = [trial.convention for trial in consistent(trials)]
    if len(rows) < FEWEST_LABELLED or not _are_classes(train.labels) or len(conventions) == 1:
        return None
    labels = torch.from_numpy(np.array(train.labels[rows]))
    images, losses = sample_inputs(train, plain, MORE_IMAGES), []
    for done, convention in enumerate(conventions):
        display.advance("comparing normalisations", done, len(conventions))
        loss = loss_of_a_head(own, images, labels, convention)
        if loss is None:
            return None
        losses.append(loss)
    (loss, chosen), *others = sorted(zip(losses, conventions, strict=True), key=lambda found: found[0])
    rest = "".join(f"; {convention.name} {value:.2f}" for value, convention in others)
    reason = f"a head on its features predicts labels of training images best if it is {chosen.described()}"
    return chosen, f"{reason} (loss {loss:.2f} nats on images left out{rest})"


def _are_classes(labels: object) -> bool:
    return isinstance(labels, np.ndarray) and labels.dtype == np.int64 and labels.ndim == 1


def _per_channel(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Return one value per channel: as many as there are, or the same for all, or none."""
    if len(values) not in (0, 1, channels):
        raise UsageError(f"`{name}` (={values}) must be one number, or one for each of the {channels} channels.")
    return values * channels if len(values) == 1 else values

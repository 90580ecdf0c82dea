"""Images that maximise channels, units, whole layers or answers: from noise, or from images, as deep dreams."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fovea.errors import UsageError, unknown
from fovea.explanation.maximise.search import (
    CLASS_INVERSION,
    DEEP_DREAM,
    Goal,
    Maximised,
    Search,
    answer,
    channel,
    maximise,
    unit,
    whole_layer,
)
from fovea.explanation.outputs import LayerOutputs
from fovea.jobs.pictures.asked import Asked, pictured
from fovea.report.rasters import in_colour
from fovea.report.sheet import Drawn, Group, Sheet

GOALS = ("channel", "unit", "layer", "answer")
PRESETS = {"": Search(), "dream": DEEP_DREAM, "inversion": CLASS_INVERSION}
MOST = 12
"""Channels or answers that are drawn where none are named."""
SEARCH = {each.name: each.default for each in dataclasses.fields(Search) if each.name != "seed"}


class Wanted(NamedTuple):
    """What one image shall maximise."""

    goal: Goal
    named: str


@pictured(
    "maximise",
    does="images that maximise channels, units, a layer (deep dream) or answers; from noise or from images",
    images="may",
    settings={"goal": "", "place": [0, 0], "preset": "", **SEARCH},
)
def maximised(asked: Asked) -> Sheet:
    """Draw what channels or answers want to see; with images, what these become."""
    preset = asked.setting("preset", "dream" if asked.images and not asked.targets else "")
    if preset not in PRESETS:
        raise unknown("preset", preset, filter(None, PRESETS))
    given = {name: value for name, value in asked.settings.items() if name in SEARCH}
    search = dataclasses.replace(PRESETS[preset], seed=asked.seed, **given)
    wanted = _wanted(asked, preset)
    starts: list[Any] = [image.pixels for image in asked.images] or [None]
    drawn, rises, done = list[Drawn](), [], 0
    told, steps = asked.progress("maximising"), len(starts) * len(wanted) * search.steps * search.octaves
    for number, start in enumerate(starts):
        for one in wanted:
            found = _found(asked, one, start, search, lambda step, _, done=done: told(done + step, steps))
            done += search.steps * search.octaves
            values = found.values[:, 0].tolist()
            stem = f"{len(drawn):03d}-maximised" if len(starts) * len(wanted) > 1 else "maximised"
            note = f"{values[0]:.3g} at first, {float(found.last[0]):.3g} in the end"
            caption = one.named if start is None else f"{asked.images[number].name}: {one.named}"
            drawn.append(Drawn(in_colour(found.pixels[0]), caption, note, stem=stem))
            rises.append({"goal": one.named, "first": values[0], "last": float(found.last[0])})
    return Sheet(
        title="What it wants to see",
        lead=asked.name,
        groups=[Group(note=_said(search, preset, from_images=bool(asked.images)), drawn=drawn)],
        figures={"layer": wanted[0].goal.layer, "images": rises, "search": _shown(search)},
        lines=[f"{rise['goal']:<30} {rise['first']:.3g} -> {rise['last']:.3g}" for rise in rises],
    )


def _found(asked: Asked, one: Wanted, start: Any, search: Search, progress: Any) -> Maximised:
    preprocess = asked.bundle.preprocess
    mean, std = preprocess.mean, preprocess.std
    C, H, W = preprocess.shape
    begin = (1, H, W, C) if start is None else np.asarray(start)[None]
    return maximise(asked.model, one.goal, begin, mean=mean, std=std, search=search, progress=progress)


def _wanted(asked: Asked, preset: str) -> list[Wanted]:
    """Return what is to be maximised, one for each image.

    Raises: UsageError where the goal does not fit what is named.
    """
    usual = "layer" if preset == "dream" else "answer" if asked.targets or not (asked.layer or asked.channels) else ""
    goal = asked.setting("goal", usual or "channel")
    if goal not in GOALS:
        raise unknown("goal", goal, GOALS)
    if goal == "answer":
        return [Wanted(answer(asked.objective([each])), asked.bundle.target.answer_text(each)) for each in _all(asked)]
    if goal == "layer":
        return [Wanted(whole_layer(asked.at), asked.at)]
    channels = asked.channels or range(min(MOST, _width(asked)))
    if goal == "channel":
        return [Wanted(channel(asked.at, each), f"{asked.at}, channel {each}") for each in channels]
    place = _place(asked)
    where = "the middle" if place is None else f"{place[0]},{place[1]}"
    return [Wanted(unit(asked.at, each, place), f"{asked.at}, channel {each}, {where}") for each in channels]


def _all(asked: Asked) -> Sequence[int]:
    if asked.targets:
        return [asked.bundle.target.answer_named(name) for name in asked.targets]
    return range(min(MOST, max(1, len(asked.bundle.classes))))


def _place(asked: Asked) -> tuple[int, int] | None:
    place = asked.settings.get("place")
    if place is None:
        return None
    if len(place) != 2:
        raise UsageError(f"`place` (={','.join(map(str, place))}) must be a row and a column, as 3,5.")
    return place[0], place[1]


def _width(asked: Asked) -> int:
    """Return how many channels the layer has."""
    return int(LayerOutputs(asked.model, [asked.at], asked.blank)(asked.blank)[asked.at].shape[1])


def _shown(search: Search) -> dict[str, Any]:
    return {name: value for name, value in vars(search).items() if isinstance(value, int | float | str)}


def _said(search: Search, preset: str, *, from_images: bool) -> str:
    """Return how the images were looked for, in a sentence."""
    named = {"dream": "Deep dream. ", "inversion": "Class inversion. ", "": ""}[preset]
    written = {"fourier": "Fourier coefficients", "pixels": "pixels"}[search.parametrisation]
    kept = [
        f"{name.replace('_', ' ')} {getattr(search, name):g}" for name in ("jitter", "blur", "total_variation", "l2")
    ]
    used = [text for text in kept if not text.endswith(" 0")]
    return (
        f"{named}From {'the image' if from_images else 'noise'}, by {search.steps} steps of Adam on {written}, "
        f"{search.octaves} octave{'s' if search.octaves > 1 else ''}, colours {search.colours}"
        + (f"; {', '.join(used)}." if used else "; no jitter, blur, total variation or l2.")
    )

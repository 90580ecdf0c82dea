"""Images that maximise channels, units, whole layers or answers: from noise, or from images, as deep dreams."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fovea.errors import UsageError, unknown
from fovea.explanation.attribution.registry import WEIGHT, Progress
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
from fovea.jobs.pictures.asked import Asked, Named, pictured
from fovea.report.rasters import in_colour
from fovea.report.sheet import Drawn, Group, Sheet

GOALS = ("channel", "unit", "layer", "answer")
PRESETS = {"": Search(), "dream": DEEP_DREAM, "inversion": CLASS_INVERSION}
MOST = 12
"""Channels or answers that are drawn where none are named."""
SEARCH = {each.name: each.default for each in dataclasses.fields(Search) if each.name != "seed"}


class Wanted(NamedTuple):
    """What images of a batch shall maximise, one each."""

    goal: Goal
    names: Sequence[str]


@pictured(
    "maximise",
    does="images that maximise channels, units, a layer (deep dream) or answers, starting from noise or from images",
    images="may",
    takes=("layer", "channel", "target", "against"),
    settings={"goal": "", "place": [0, 0], "preset": "", **SEARCH},
    bounds={"octaves": range(1, 101), "jitter": WEIGHT, "blur": range(1001), "colours": ("natural", "independent")},
)
def maximised(asked: Asked) -> Sheet:
    """Draw what channels or answers want to see; with images, what these become."""
    preset = asked.setting("preset", "dream" if asked.images and not asked.targets else "")
    if preset not in PRESETS:
        raise unknown("preset", preset, filter(None, PRESETS))
    given = {name: value for name, value in asked.settings.items() if name in SEARCH}
    search = dataclasses.replace(PRESETS[preset], seed=asked.seed, **given)
    wanted = _wanted(asked, preset)
    drawn, rises = list[Drawn](), []
    several = len(asked.images) > 1 or sum(len(one.names) for one in wanted) > 1
    for start, one, told in _turns(asked, wanted, search):
        found = _found(asked, one, start, search, told)
        for number, name in enumerate(one.names):
            first, last = float(found.values[0, number]), float(found.last[number])
            stem = f"{len(drawn):03d}-maximised" if several else "maximised"
            caption = name if start is None else f"{start.name}: {name}"
            note = f"{first:.3g} at the start, {last:.3g} at the end"
            drawn.append(Drawn(in_colour(found.pixels[number]), caption, note, stem=stem))
            rises.append({"goal": name, "first": first, "last": last, **({"image": start.name} if start else {})})
    return Sheet(
        title="Images that maximise the response",
        lead=asked.name,
        groups=[Group(note=_said(search, preset, from_images=bool(asked.images)), drawn=drawn)],
        figures={"layer": wanted[0].goal.layer, "images": rises, "search": _shown(search)},
        lines=[f"{rise['goal']:<30} {rise['first']:.3g} -> {rise['last']:.3g}" for rise in rises],
    )


def _turns(asked: Asked, wanted: list[Wanted], search: Search) -> Iterator[tuple[Named | None, Wanted, Progress]]:
    """Yield each start, an image or noise, with each batch of goals, and what counts its steps."""
    starts: Sequence[Named | None] = asked.images or [None]
    turns = [(start, one) for start in starts for one in wanted]
    each, told = search.steps * search.octaves, asked.progress("maximising")

    def counted(turn: int, step: int, _: int) -> None:
        told(turn * each + step, len(turns) * each)

    for turn, (start, one) in enumerate(turns):
        yield start, one, partial(counted, turn)


def _found(asked: Asked, one: Wanted, start: Named | None, search: Search, told: Progress) -> Maximised:
    preprocess, N = asked.bundle.preprocess, len(one.names)
    C, H, W = preprocess.shape
    begin = (N, H, W, C) if start is None else np.repeat(start.pixels[None], N, axis=0)
    return maximise(
        asked.model, one.goal, begin, mean=preprocess.mean, std=preprocess.std, search=search, progress=told
    )


def _wanted(asked: Asked, preset: str) -> list[Wanted]:
    """Return what is to be maximised, in batches.

    Raises: UsageError if the goal does not fit what is named.
    """
    goal = asked.setting("goal", "") or _usual(asked, preset)
    if goal not in GOALS:
        raise unknown("goal", goal, GOALS)
    given = {"layer": asked.layer, "channel": asked.channels, "target": asked.targets, "against": asked.against}
    used = {"answer": ("target", "against"), "layer": ("layer",)}.get(goal, ("layer", "channel"))
    if idle := [name for name, value in given.items() if value and name not in used]:
        raise UsageError(f"`{idle[0]}` has no effect with the goal `{goal}`; leave it out, or set another `goal`.")
    if goal == "layer":
        return [Wanted(whole_layer(asked.at), [asked.at])]
    if goal == "answer":
        named = asked.bundle.target.answer_text
        return [Wanted(answer(asked.objective(some)), [named(each) for each in some]) for some in _some(asked, _all)]
    place = _place(asked) if goal == "unit" else None
    where = "" if goal == "channel" else ", the middle" if place is None else f", {place[0]},{place[1]}"
    make = partial(unit, place=place) if goal == "unit" else channel
    return [
        Wanted(make(asked.at, some), [f"{asked.at}, channel {each}{where}" for each in some])
        for some in _some(asked, _channels)
    ]


def _usual(asked: Asked, preset: str) -> str:
    """Return the goal where none is set: what is named, an answer where nothing is; of a deep dream the layer."""
    if asked.targets or asked.against is not None:
        return "answer"
    if asked.channels:
        return "channel"
    return "layer" if preset == "dream" else "channel" if asked.layer else "answer"


def _some(asked: Asked, which: Callable[[Asked], Sequence[int]]) -> list[list[int]]:
    every = list(which(asked))
    return [every[first : first + asked.batch] for first in range(0, len(every), asked.batch)]


def _channels(asked: Asked) -> Sequence[int]:
    return asked.channels or range(min(MOST, _width(asked)))


def _all(asked: Asked) -> Sequence[int]:
    if asked.targets:
        return [asked.bundle.target.answer_named(name) for name in asked.targets]
    return range(min(MOST, max(1, len(asked.bundle.classes))))


def _place(asked: Asked) -> tuple[int, int] | None:
    place = asked.settings.get("place")
    if place is None:
        return None
    if len(place) != 2:
        raise UsageError(f"`place` (={','.join(map(str, place))}) must be a row and a column, for example 3,5.")
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

"""From a float core and samples to the core in int8 that is written, judged by score and by speed."""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import onnx

from fovea.display import Display
from fovea.errors import DropError
from fovea.exporting.int8.calibration import METHODS, observe
from fovea.exporting.int8.graph import Graph
from fovea.exporting.int8.layers import layer_names, named
from fovea.exporting.int8.quantising import Observations, quantised
from fovea.exporting.int8.rewriting import fold
from fovea.exporting.int8.samples import Samples, outputs
from fovea.exporting.int8.scoring import Cost, Logits, cost, distance
from fovea.exporting.int8.search import fewest, ranked
from fovea.exporting.int8.selection import select
from fovea.exporting.int8.settings import AUTO, Int8Settings
from fovea.exporting.int8.speed import Speed, compared
from fovea.tasks.task import Task

VALIDATION_S = 60.0
"""About so many seconds may a pass over the validation samples take in float."""
FEWEST = 200
"""So many are seen whatever it takes."""
JUDGED_ON = 512
"""Samples by which the way to choose ranges is chosen."""


@dataclass(frozen=True, kw_only=True)
class Int8Core:
    """A core in int8, and what is known of it."""

    model: onnx.ModelProto
    """Output `logits` float32 (N, K); the input is called as asked where it takes stored images, else `input`."""
    kept: tuple[str, ...]
    """Layers that stay float."""
    ranges: str
    """How the ranges of activations were chosen."""
    layers: int
    """With weights, those in float counted."""
    cost: Cost
    max_drop: float
    """That was allowed."""
    speed: Speed

    @property
    def is_faster(self) -> bool:
        """Whether it is worth its name here: not slower than float."""
        return self.speed.ratio >= 1

    def facts(self) -> dict[str, Any]:
        """Return what a card says of it, as JSON values."""
        return {
            "kept_float": list(self.kept),
            "ranges": self.ranges,
            "max_drop": self.max_drop,
            "speed": self.speed.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a network is brought to int8 with."""

    target: Task
    calibration: Samples
    """Of the training split; no labels needed."""
    validation: Samples
    """With labels: what the score is measured on."""
    images: str = ""
    """What the input of stored images is called; empty if the core keeps its float input."""


def int8_core(core: onnx.ModelProto, material: Material, settings: Int8Settings, display: Display) -> Int8Core:
    """Return a float core in int8.

    Raises:
        DropError: it loses more than `settings.max_drop`, whatever may stay float.
        UsageError: a name of `settings.keep` that means no layer, or a task without a score.
    """
    folded = fold(core)
    by_hand = named(folded, settings.by_hand)
    material = replace(material, validation=_affordable(folded, material.validation, display))
    found = _observed(folded, material.calibration, display)
    _warn_of_few(material, settings, display)
    before = outputs(folded, material.validation, progress=display.counter("validating float"))
    ways = tuple(METHODS) if settings.ranges == AUTO else (settings.ranges,)
    trial = _Trial(found, material, before, ways[0])
    trial = _best(trial, ways, by_hand)
    model, lost = trial.judged(by_hand, display)
    kept = by_hand
    if lost.drop > settings.max_drop and settings.keep == (AUTO,):
        model, lost, kept = _searched(trial, settings, display)
    if lost.drop > settings.max_drop:
        raise DropError(too_much(lost, settings, material.target))
    return Int8Core(
        model=model,
        kept=tuple(kept),
        ranges=trial.ranges,
        layers=len(layer_names(folded)),
        cost=lost,
        max_drop=settings.max_drop,
        speed=compared(core, model, material.validation),
    )


@dataclass(frozen=True)
class _Trial:
    """Cores in int8 of one network, to be compared."""

    found: Observations
    material: Material
    before: Logits
    ranges: str

    def written(self, kept: Collection[str]) -> onnx.ModelProto:
        """Return the core with these layers in float."""
        return quantised(self.found, METHODS[self.ranges], kept=kept, images=self.material.images)

    def judged(self, kept: Collection[str], display: Display) -> tuple[onnx.ModelProto, Cost]:
        """Return the core with these layers in float, and what it costs on all of validation."""
        model = self.written(kept)
        after = outputs(model, self.material.validation, progress=display.counter("validating int8"))
        return model, cost(self.material.target, self.before, after, self.material.validation)


def _affordable(folded: onnx.ModelProto, validation: Samples, display: Display) -> Samples:
    """Return as many samples as a float network sees in the time that it may take."""
    few = validation.first(validation.batch)
    outputs(folded, few)  # the first run takes longer
    begun = time.perf_counter()
    outputs(folded, few)
    most = max(len(few), FEWEST, int(VALIDATION_S / (time.perf_counter() - begun) * len(few)))
    if most < len(validation):
        display.note(f"validating on {most:,} of {len(validation):,} samples, because the network is slow")
    return validation.first(most)


def _warn_of_few(material: Material, settings: Int8Settings, display: Display) -> None:
    """Say where a single sample counts more than what may be lost."""
    one = 100 / len(material.validation)
    if material.target.metric.share and 0 < settings.max_drop < one:
        display.note(
            f"validation has {len(material.validation):,} samples, so one sample is {one:.2g} points, and the limit "
            f"is {settings.max_drop:g}; use more samples or a larger `--max-drop` for a more reliable decision"
        )


def _observed(folded: onnx.ModelProto, calibration: Samples, display: Display) -> Observations:
    graph = Graph.of(folded)
    values = select(graph, stored=(graph.inputs[0].name,)).values - graph.constants.keys()
    seen = observe(folded, values | {graph.inputs[0].name}, calibration, progress=display.counter("calibrating"))
    return Observations(core=folded, seen=seen, preprocess=calibration.preprocess)


def _best(trial: _Trial, ways: Collection[str], kept: Collection[str]) -> _Trial:
    """Return the trial whose way to choose ranges moves the logits of some validation samples least."""
    trials = [replace(trial, ranges=way) for way in ways]
    if len(trials) == 1:
        return trials[0]
    few = trial.material.validation.first(JUDGED_ON)
    return min(trials, key=lambda each: distance(trial.before[: len(few)], outputs(each.written(kept), few)))


def _searched(trial: _Trial, settings: Int8Settings, display: Display) -> tuple[onnx.ModelProto, Cost, list[str]]:
    """Return the core with as few layers in float as the allowed drop asks for; with all where that is not enough."""
    names = layer_names(trial.found.core)
    display.note(f"int8 loses more than {settings.max_drop:g}; finding layers to keep in float")
    counter = display.counter("ranking layers")
    order = ranked(
        names, trial.written, trial.material.validation, trial.before, seconds=settings.search_s, progress=counter
    )
    judged: dict[int, tuple[onnx.ModelProto, Cost]] = {}

    def suffices(kept: Collection[str]) -> bool:
        judged[len(kept)] = trial.judged(kept, display)
        return judged[len(kept)][1].drop <= settings.max_drop

    found = fewest(order, suffices)
    kept = order if found is None else found
    return *judged[len(kept)], kept


def too_much(lost: Cost, settings: Int8Settings, target: Task) -> str:
    """Return that int8 loses more than is allowed, and the ways out."""
    points = "points" if target.metric.share else "percent"
    text = target.metric.text
    way = "give sensitive layers with `--keep`" if settings.keep != (AUTO,) else "give more images"
    return (
        f"int8 loses {lost.drop:.2f} {points} of {target.metric.title} on {lost.where} ({text(lost.before)} in "
        f"float, {text(lost.after)} in int8), and the limit is {settings.max_drop:g}; no file is written. Raise the "
        f"limit with `--max-drop`, {way}, or export in float."
    )

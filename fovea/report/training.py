"""The page of a training: how it went, what happened inside the network, and what came of it."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fovea.evaluation.outcome import Outcome
from fovea.report.charts import Axis, Chart, Line, Point
from fovea.report.evaluation import card_values
from fovea.report.page import picture, render
from fovea.report.rasters import heat_map, heat_strip
from fovea.report.results import result_values
from fovea.tasks.score import ACCURACY, Metric
from fovea.texts import percent
from fovea.training.diagnosis import PERCENTILES, Look

LINES = 5
"""Layers whose gradients are drawn as lines, spread over the network."""
LEAST_LOOKS = 3
"""Looks into the network below which neither charts nor a verdict are made of them."""
LABELLED = 40
"""Layers up to which all have their names beside the map."""
DECADES = 8
"""Gradients this many powers of ten below the largest have the colour of the lowest."""
FAR_APART = 1000.0
"""A first layer's gradient so many times smaller or larger than the last one's has vanished or exploded."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that the page of a training tells."""

    card: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    """The lines of metrics.jsonl."""
    looks: Sequence[Look]
    layer: str
    """Whose inputs were watched."""
    followed: Metric = ACCURACY
    """The score that was followed beside the loss, if any."""
    outcomes: Sequence[Outcome] = ()
    """What the final network says of each part that was not trained on; the last is shown in full."""
    filters: NDArray[np.float32] | None = None
    parameters: int
    data: Sequence[tuple[str, str]] = ()
    """Further facts of the data set."""
    best_epoch: int | None = None
    """The epoch whose weights were kept; None for the last."""
    ended: str = ""
    """Why the training ended before its time."""


def training_page(story: Story) -> str:
    """Return the page as HTML."""
    values = card_values(story.card, story.filters)
    values["facts"]["data"] += story.data
    enough = len({look.step for look in story.looks}) >= LEAST_LOOKS
    looks = story.looks if enough else ()
    return render(
        "training.html",
        story=story,
        results=[result_values(outcome) for outcome in story.outcomes],
        curves=curves(story),
        only=[] if len(story.history) != 1 else single_epoch(story.history[0], story.followed),
        percentiles=percentile_chart(looks, story.layer) if looks else None,
        gradients=gradient_values(looks) if any(look.gradients for look in looks) else None,
        **values,
    )


def curves(story: Story) -> list[Chart]:
    """Return loss, the followed score and learning rate over the epochs; none of a single epoch."""
    mark = None if story.best_epoch is None else story.best_epoch + 1.0
    drawn = [_over_epochs("Loss", story.history, "loss", mark=mark, zero=True)]
    followed = story.followed
    scale = float(followed.scale)
    drawn.append(
        _over_epochs(followed.axis, story.history, followed.name, mark=mark, scale=scale, share=followed.share)
    )
    rates = [(line["epoch"] + 1.0, line["lr"]) for line in story.history]
    drawn.append(_chart("Learning rate", [Line("learning rate", rates)], zero=True))
    return [chart for chart in drawn if any(len(line.points) > 1 for line in chart.lines)]


def single_epoch(line: Mapping[str, Any], followed: Metric) -> list[tuple[str, str]]:
    """Return the figures of the only epoch of a training as rows of text, in place of curves."""
    rows = []
    for name, values in (("training", line), ("validation", line["val"] or {})):
        if values.get("loss") is not None:
            rows.append((f"{name} loss", f"{values['loss']:.4g}"))
        if (score := values.get(followed.name)) is not None:
            rows.append((f"{name} {followed.title}", percent(score) if followed.share else f"{score:.4g}"))
    return rows


def _over_epochs(
    title: str, history: Iterable[Mapping[str, Any]], key: str, *, scale: float = 1.0, **more: Any
) -> Chart:
    train: list[Point] = []
    val: list[Point] = []
    for line in history:
        for points, values in ((train, line), (val, line["val"] or {})):
            if values.get(key) is not None:
                points.append((line["epoch"] + 1.0, scale * values[key]))
    return _chart(title, [Line("train", train), Line("val", val)], **more)


def _chart(
    title: str, lines: Sequence[Line], *, log: bool = False, zero: bool = False, share: bool = False, **more: Any
) -> Chart:
    """Return the chart of lines over the epochs; its y axis holds 0 with `zero`, and is 0 to 100 % for a `share`."""
    x, values = ([point[axis] for line in lines for point in line.points] for axis in (0, 1))
    y = Axis.percent("") if share else Axis.over("", values, log=log, zero=zero)
    return Chart(title=title, lines=lines, x=Axis.over("epoch", x, zero=True), y=y, **more)


def percentile_chart(looks: Sequence[Look], layer: str) -> Chart:
    """Return the percentiles of the watched layer's inputs over the training."""
    lines = [
        Line(f"{percentile}th percentile", [(look.epoch, look.percentiles[index]) for look in looks])
        for index, percentile in enumerate(PERCENTILES)
    ]
    return _chart(f"Inputs of {layer or 'the network'}", lines, banded=True)


def gradient_values(looks: Sequence[Look]) -> dict[str, Any]:
    """Return what the page shows of the gradients' norms: some layers as lines, all as a map, and a verdict."""
    layers = list(looks[-1].gradients)
    table = [[look.gradients.get(layer) for look in looks] for layer in layers]
    found = [value for row in table for value in row if value] or [1.0]
    low, high = max(min(found), max(found) / 10**DECADES), max(found)
    last = len(layers) - 1
    chosen = sorted({round(last * number / (LINES - 1)) for number in range(LINES)}) if last else [0]
    lines = [
        Line(layers[index], [(look.epoch, value) for look, value in zip(looks, table[index], strict=True) if value])
        for index in chosen
    ]
    return {
        "chart": _chart("Some layers, first to last", lines, log=True),
        "layers": len(layers),
        "labels": layers if len(layers) <= LABELLED else [layers[0], layers[-1]],
        "map": picture(heat_map(table, low=low, high=high), side=max(len(layers), len(looks))),
        "strip": picture(heat_strip()),
        "low": f"{low:.1g}",
        "high": f"{high:.1g}",
        "verdict": verdict(looks),
    }


def verdict(looks: Sequence[Look]) -> str:
    """Return whether gradients vanish or explode from the last layer to the first, by the median over the training."""
    first, *_, last = [*looks[-1].gradients] * 2
    pairs = [(look.gradients.get(first), look.gradients.get(last)) for look in looks]
    ratios = [a / b for a, b in pairs if a and b]
    if first == last or not ratios:
        return ""
    ratio = statistics.median(ratios)
    said = f"Over the training, the gradient of the first layer was {ratio:.2g} times that of the last (median): "
    if ratio < 1 / FAR_APART:
        return said + "it vanishes on its way back. Batch normalisation, shortcuts, ReLU or He initialisation help."
    if ratio > FAR_APART:
        return said + "it explodes on its way back. Batch normalisation, clipping or a smaller initialisation help."
    return said + "it neither vanishes nor explodes."

"""What a model file is, in a few lines of words; its card may come from anywhere, so nothing is taken for granted."""

from collections.abc import Mapping, Sequence
from typing import Any

from fovea import tasks
from fovea.card import licences_of
from fovea.fields import is_number
from fovea.report.facts import Rows, section, text
from fovea.tasks.score import Metric

FIRST = ("test", "val", "whole")
"""The order of results by their split; others follow."""
NAMED_CLASSES = 8
"""So many classes are named; of more the first ones."""
MINUTE, HOUR = 60, 3600


def brief(card: Mapping[str, Any], *, values: int, size: int) -> Rows:
    """Return (what, text) for a person: the results first; `values` numbers are stored in a file of `size` bytes."""
    classes, training = card.get("classes"), section(card, "training")
    rows = [
        ("Result", _results(card)),
        ("Network", f"{text(card.get('architecture'))}, {values:,} parameters and buffers, {size / 1e6:,.1f} MB"),
        ("Predicts", _predicts(card, classes if isinstance(classes, list) else [])),
        ("Input", _input(section(card, "preprocess"))),
        ("Data", _data(section(training, "data"))),
        ("Training", _training(training)),
        ("Weights", _origin(section(card, "origin"))),
        ("Licences", licences(card)),
    ]
    return [(name, value) for name, value in rows if value]


def licences(card: Mapping[str, Any]) -> str:
    """Return the licences of weights and data in one line."""
    return "; ".join(f"{name}: {value}" for name, value in sorted(licences_of(card).items(), reverse=True))


def _results(card: Mapping[str, Any]) -> str:
    metric = _metric(card)
    listed = card.get("results")
    found = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    found.sort(key=lambda entry: FIRST.index(entry["split"]) if entry.get("split") in FIRST else len(FIRST))
    said = [line for entry in found if (line := _result(entry, metric))]
    return "; ".join(said) or "none in the file; `fovea evaluate` measures it"


def _metric(card: Mapping[str, Any]) -> Metric | None:
    name = card.get("task")
    return tasks.kind(name).metric if isinstance(name, str) and name in tasks.names() else None


def _result(entry: Mapping[str, Any], metric: Metric | None) -> str:
    value = entry.get(metric.name) if metric else None
    if metric is None or not is_number(value):
        return ""
    ends = entry.get("interval") or ()
    interval = f" ({_range(*map(metric.text, ends))})" if _is_interval(ends) else ""
    images = entry.get("images")
    count = f", {text(images)} images" if is_number(images) else ""
    return f"{metric.title} {metric.text(value)} on {text(entry.get('split'))}{interval}{count}"


def _range(low: str, high: str) -> str:
    """Return both ends of an interval, the unit after the second alone."""
    return f"{low.removesuffix(' %') if high.endswith(' %') else low} to {high}"


def _is_interval(ends: object) -> bool:
    return isinstance(ends, Sequence) and len(ends) == 2 and all(map(is_number, ends))


def _predicts(card: Mapping[str, Any], classes: Sequence[object]) -> str:
    task = text(card.get("task"))
    if len(classes) > NAMED_CLASSES and [str(name) for name in classes] == [str(n) for n in range(len(classes))]:
        return f"{task}: 0 to {len(classes) - 1:,}"
    more = f", ... ({len(classes):,} in all)" if len(classes) > NAMED_CLASSES else ""
    named = ", ".join(map(str, classes[:NAMED_CLASSES]))
    return f"{task}: {named}{more}" if named else task


def _input(preprocess: Mapping[str, Any]) -> str:
    sizes = preprocess.get("size")
    listed = sizes if isinstance(sizes, list) else [sizes]
    shape = " x ".join(str(size) for size in listed if is_number(size))
    if not shape:
        return ""
    channels = preprocess.get("channels")
    return shape + (f", {text(channels)} channel{'' if channels == 1 else 's'}" if is_number(channels) else "")


def _data(data: Mapping[str, Any]) -> str:
    images = section(data, "images")
    counts = ", ".join(f"{text(count)} {name}" for name, count in images.items() if is_number(count))
    return f"{text(data.get('name'))}{f': {counts}' if counts else ''}" if data.get("name") else ""


def _training(training: Mapping[str, Any]) -> str:
    seconds, epochs = training.get("seconds"), training.get("epochs")
    if not is_number(seconds):
        return ""
    took = f"{time_text(seconds)} on {text(training.get('device'))}"
    recipe = section(training, "recipe")
    if recipe.get("probe") is True or recipe.get("class_means") is True:
        return f"the last layer fitted in closed form in {took}"
    return f"{text(epochs)} epoch{'' if epochs == 1 else 's'} in {took}, seed {text(training.get('seed'))}"


def time_text(seconds: float) -> str:
    """Return a time in the unit in which people say it.

    >>> time_text(9.2), time_text(1891), time_text(8000)
    ('9 s', '32 min', '2.2 h')
    """
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"


def _origin(origin: Mapping[str, Any]) -> str:
    return f"from {text(origin.get('file'))}" if origin.get("file") else ""

"""What recipe.toml says, checked when it is read: the training that a run began."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fovea import inputs
from fovea.data.sources.source import NAMES, DataSource
from fovea.errors import FoveaError, UsageError, first_line
from fovea.fields import Fields
from fovea.inputs.interface import Preprocessing
from fovea.model.weights import IMAGENET
from fovea.plans.plan import Plan
from fovea.runs.folder import Run
from fovea.training.changes import MOST_CHANGES, Change, changed
from fovea.training.recipe import Recipe

LISTS, SWITCHES = ("label_columns", "order", "known"), ("allow_bad",)
"""Fields of a `DataSource` that are no text."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A training as recipe.toml describes it."""

    source: DataSource
    """Its path leads there from the working folder."""
    fingerprint: str
    contents: str | None
    """The digest of the decoded images; None in runs of versions that did not write it."""
    preprocess: Preprocessing
    plan: Plan
    device: str
    origin: Mapping[str, str] | None
    changes: tuple[Change, ...] = ()
    """What was changed while it ran, by step."""
    report: Mapping[str, Any]
    """`images` and `watch`, what the user asked of the report."""


def read_stored(run: Run, values: Mapping[str, Any], *, model: str | None = None) -> Stored:
    """Return what the recipe `values` of `run` say; `model` stands for the network where that is a file of Python.

    Raises:
        UsageError: a field is missing, unknown or wrong.
    """
    recipe = Fields(values, lambda wrong: UsageError(f"`{run.recipe}`: {wrong}; start a new run without --resume."))
    data, network = recipe.table("data"), recipe.table("network")
    began_in = run.folder / recipe.text("began_in", default="") if "began_in" in values else Path()
    source = _source(data.table("source"), began_in)
    plan = _plan(recipe, network, model=model, start=_found(network.text("start"), began_in))
    report = recipe.table("report", default={})
    origin = recipe.table("origin", default={})
    return Stored(
        source=source,
        fingerprint=data.text("fingerprint"),
        contents=data.text("contents") if "contents" in data.values else None,
        preprocess=_preprocess(recipe, plan),
        plan=plan,
        device=recipe.text("device"),
        origin={name: origin.text(name) for name in origin.values} or None,
        changes=read_changes(recipe, plan.recipe),
        report={
            "images": report.switch("images", default=True),
            "watch": report.text("watch") if "watch" in report.values else None,
        },
    )


def read_changes(recipe: Fields, begun: Recipe) -> tuple[Change, ...]:
    """Return what a recipe says was changed while it ran, by step; the error of a wrong one is that of `recipe`."""
    found = recipe.values.get("changes", [])
    if not isinstance(found, list) or len(found) > MOST_CHANGES:
        raise recipe.fault(f"`changes` must be a list of at most {MOST_CHANGES:,} tables")
    changes: list[Change] = []
    for number, values in enumerate(found):
        place = f"changes.{number}"
        if not isinstance(values, dict):
            raise recipe.fault(f"`{place}` must be a table")
        change = Change.from_fields(Fields(values, recipe.fault, f"{place}."))
        if changes and change.step <= changes[-1].step:
            raise recipe.fault(f"`{place}.step` (={change.step}) must be above that of the change before")
        try:
            begun = changed(begun, change.values)
        except UsageError as error:
            raise recipe.fault(f"`{place}`: {first_line(error).rstrip('.')}") from error
        changes.append(change)
    return tuple(changes)


def _source(table: Fields, began_in: Path) -> DataSource:
    table.only([field.name for field in fields(DataSource)])
    given: dict[str, Any] = {}
    for name in table.values:
        read = table.texts if name in LISTS else table.switch if name in SWITCHES else table.text
        given[name] = read(name)
    return DataSource(**{**given, "data": _found(table.text("data"), began_in)})


def _found(path: str, began_in: Path) -> str:
    """Return the path that a relative one meant where the run began; as it is where nothing is there."""
    there = began_in / path
    if (
        path in ("", IMAGENET, *NAMES)
        or began_in == Path()
        or Path(path).expanduser().is_absolute()
        or not there.exists()
    ):
        return path
    here, shortest = Path(path), Path(os.path.normpath(there))
    if here.exists() and here.samefile(there):
        return path
    # behind a link `..` leads elsewhere
    return str(shortest if shortest.exists() and shortest.samefile(there) else there)


def _plan(recipe: Fields, network: Fields, *, model: str | None, start: str) -> Plan:
    network.only(("model", "arguments", "size", "fit", "start", "grow"))
    training = recipe.table("training")
    try:
        return Plan(
            recipe=Recipe.from_dict(training.values),
            val_fraction=recipe.table("data").number("val_fraction"),
            fraction=recipe.table("data").number("fraction") if "fraction" in recipe.table("data").values else 1.0,
            model=model or network.text("model"),
            arguments=network.table("arguments", default={}).values,
            size=network.whole("size", least=1),
            fit=network.text("fit"),
            start=start,
            grow=network.text("grow"),
        )
    except UsageError as error:
        if "recipe.toml" in (text := first_line(error)):
            raise
        raise recipe.fault(text.rstrip(".")) from error


def _preprocess(recipe: Fields, plan: Plan) -> Preprocessing:
    table = recipe.table("preprocess")
    if "channels" in table.values:
        table.whole("channels", least=1)
    try:
        preprocess = inputs.from_dict(table.values)
    except (FoveaError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise recipe.fault(f"`preprocess` cannot be used ({first_line(error).rstrip('.')})") from error
    if "size" in table.values and table.values["size"] != [plan.size, plan.size]:
        raise recipe.fault(f"`preprocess.size` must be that of `network.size` (={plan.size})")
    return preprocess

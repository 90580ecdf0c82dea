"""From what the user asks for to a training that is ready to start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fovea.data.sources.source import DataSource, Reading
from fovea.devices import device_named
from fovea.display import Display
from fovea.errors import UsageError
from fovea.plans.choosing import Request
from fovea.plans.plan import Plan
from fovea.runs.preparation import Prepared, prepare
from fovea.training.distributed import own_device
from fovea.training.recipe import FIELDS, Recipe, parse

READING = tuple(Reading.__annotations__)


def prepared(
    data: str | Path | None,
    *,
    display: Display,
    device: str = "auto",
    model: str | None = None,
    recipe: str | None = None,
    start: str | Path | None = None,
    budget: str | float | None = None,
    task: str = "classes",
    allow_bad: bool = False,
    watch: str | None = None,
    **fields: Any,
) -> Prepared:
    """Return the training that `train` would start.

    `model` is a name of the zoo or `file.py:Class`; `recipe` a named plan; `budget` seconds, or text as `5m`, from the
    start of the command to its end; `fields` are those of `Reading`, and replace fields of the plan (`size`, `fit`,
    `val_fraction`), of its `Recipe`, and arguments of its network; they may be text, and None stands for what is not
    given. `start` is a weights file, a model file, `imagenet`, or `none` for random weights; photographs start from
    ImageNet weights that lie at hand where neither this nor network nor recipe is given. `watch` is a layer that the
    network must have.

    Raises:
        UsageError, DataError: what is asked for, or the data, cannot be used.
    """
    if data is None:
        raise UsageError("Name the data to train on: a folder, a manifest, an archive or a name such as `digits`.")
    given = {name: value for name, value in fields.items() if value is not None}
    reading: Reading = {name: given.pop(name) for name in READING if name in given}  # type: ignore[assignment]
    source = DataSource(data=str(data), task=task, allow_bad=allow_bad, **reading)
    changes = _parsed(given)
    if budget is not None:
        if "epochs" in changes:
            raise UsageError("`--budget` and `--epochs` cannot be used together; give one of them.")
        changes |= {"budget_s": seconds(budget), "epochs": 0}
    elif changes.get("probe") or changes.get("class_means"):
        changes.setdefault("epochs", 0)
    request = Request(
        model=model,
        recipe=recipe,
        start=None if start is None else str(start),
        changes=changes,
        budget_s=0.0 if budget is None else seconds(budget),
    )
    return prepare(source, request, device=own_device(device_named(device)), display=display, watch=watch)


def seconds(budget: str | float) -> float:
    """Return a time as seconds: a number, or text as `90s`, `5m`, `1.5h`.

    >>> seconds("5m"), seconds("90s"), seconds(30)
    (300.0, 90.0, 30.0)
    """
    text = str(budget).strip().lower()
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:], 0.0)
    try:
        value = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"`--budget {budget}` must be a time above 0, as 90s, 5m or 1h.")
    return value


def _parsed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` with text, as from `--set key=value`, turned into the type of its field; others may be known."""
    texts = {name: value for name, value in fields.items() if isinstance(value, str) and name in FIELDS}
    values = Recipe.parsed(texts)
    for name in ("standardise", "fraction"):
        if isinstance(text := fields.get(name), str):
            values[name] = parse(name, text, default=getattr(Plan, name))
    return {**fields, **values}

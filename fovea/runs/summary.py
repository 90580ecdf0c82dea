"""What a run folder says of its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from fovea import tasks
from fovea.errors import UsageError
from fovea.fields import Fields
from fovea.model.container import Header, read_header
from fovea.runs.folder import Run
from fovea.tasks.task import Task
from fovea.texts import command, flattened

NOT_DONE = ("seed", "threads", "checkpoint_minutes")
"""Fields of a recipe that change where and how fast a training runs, or only its seed."""
NOT_KNOWN = ("source", "contents")
"""What a recipe says of data beside what tells one data set from another: its place, and the splits drawn from it."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the names of what batch norm keeps beside its parameters."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A training as its folder tells it."""

    folder: Path
    seed: int
    settings: Mapping[str, Any]
    """All that makes this training, by dotted name: network, recipe and data, without the seed."""
    budget_s: float
    """Seconds from the start of the command to its end, which training has a share of; 0 where none were asked for."""
    network: str
    task: str
    """The name of the kind of target."""
    data: str
    """The name of the data set."""
    fingerprint: str
    val_fraction: float
    results: Mapping[str, Mapping[str, Any]]
    """Of the final network by part: `images`, and the scores of the task, as in the card."""
    epochs: int
    seconds: float
    pflop: float
    parameters: int
    """Numbers in the model file, the statistics of batch norm aside."""
    device: str
    threads: int
    history: Sequence[Mapping[str, Any]]
    """The lines of metrics.jsonl."""

    @property
    def kind(self) -> type[Task]:
        """The kind of target."""
        return tasks.kind(self.task)

    @property
    def alike(self) -> dict[str, Any]:
        """The settings that the seeds of one training share: of a budget the time that was asked for."""
        settings = dict(self.settings)
        if self.budget_s:
            settings["budget_s"] = self.budget_s
            settings.pop("training.budget_s", None)
        return settings

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        names = ("seed", "epochs", "seconds", "pflop", "device", "threads", "results")
        return {"folder": str(self.folder), **{name: getattr(self, name) for name in names}}


def read_summary(folder: str | Path) -> RunSummary:
    """Return the training in a run folder.

    Raises:
        UsageError: it is no run, its recipe is incomplete, or it has no model yet.
        BundleError: its model file is damaged.
    """
    run = Run.open(folder)
    values = run.read_recipe()
    if not run.model.exists():
        again = command("fovea", "train", "--resume", folder)
        raise UsageError(f"`{folder}` has no model yet; resume it with `{again}`, or leave it out.")

    def fault(wrong: str) -> UsageError:
        return UsageError(f"`{folder}` is an incomplete run: {wrong}; leave it out.")

    recipe = Fields(values, lambda wrong: fault(f"in its recipe {wrong}"))
    header = read_header(run.model)
    card = Fields(header.card, lambda wrong: fault(f"in its model's card {wrong}"))
    return _summary(run, recipe, card, header)


def _summary(run: Run, recipe: Fields, card: Fields, header: Header) -> RunSummary:
    recorded, training, data = card.table("training"), recipe.table("training"), recipe.table("data")
    done = {name: value for name, value in training.values.items() if name not in NOT_DONE}
    known = {name: value for name, value in data.values.items() if name not in NOT_KNOWN}
    settings = {"network": recipe.table("network").values, "training": done, "data": known}
    changes = recipe.values.get("changes")
    return RunSummary(
        folder=run.folder,
        seed=training.whole("seed"),
        settings={**dict(flattened(settings)), **({"changes": str(changes)} if changes else {})},
        budget_s=recipe.number("budget_s", least=0) if "budget_s" in recipe.values else 0.0,
        network=header.card.architecture,
        task=header.card.target.name,
        data=recorded.table("data").text("name"),
        fingerprint=data.text("fingerprint"),
        val_fraction=data.number("val_fraction"),
        results=_results(card, header.card.target),
        epochs=recorded.whole("epochs"),
        seconds=recorded.number("seconds", least=0),
        pflop=recorded.number("pflop", least=0),
        parameters=sum(prod(shape) for name, shape in header.shapes.items() if not name.endswith(STATISTICS)),
        device=recorded.text("device"),
        threads=recorded.whole("threads"),
        history=run.read_metrics(),
    )


def _results(card: Fields, target: Task) -> dict[str, Mapping[str, Any]]:
    """Return the results by split; what is compared of each is checked."""
    found = {}
    for number, values in enumerate(card.values.get("results", [])):
        result = Fields(values, card.fault, f"results.{number}.")
        result.number(target.metric.name)
        result.whole("images", least=1)
        result.switch("flip", default=False)
        if values.get("interval") is not None:
            result.interval("interval")
        found[result.text("split")] = values
    return found

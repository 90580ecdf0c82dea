"""What a run folder says of its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from fovea import tasks
from fovea.errors import UsageError
from fovea.model.container import Header, read_header
from fovea.runs.folder import Run
from fovea.tasks.task import Task
from fovea.texts import flattened

NOT_DONE = ("seed", "threads", "checkpoint_minutes")
"""Fields of a recipe that change where and how fast a training runs, or only its seed."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the names of what batch norm keeps beside its parameters."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A training as its folder tells it."""

    folder: Path
    seed: int
    settings: Mapping[str, Any]
    """All that makes this training, by dotted name: network, recipe and data, without the seed."""
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
    recipe = run.read_recipe()
    if not run.model.exists():
        raise UsageError(f"`{folder}` has no model yet; go on with `fovea train --resume {folder}`, or leave it out.")
    try:
        return _summary(run, recipe, read_header(run.model))
    except KeyError as error:
        raise UsageError(f"`{folder}` is no whole run: its recipe or its model's card lacks {error}.") from error


def _summary(run: Run, recipe: Mapping[str, Any], header: Header) -> RunSummary:
    card = header.card
    training, data = card["training"], recipe["data"]
    done = {name: value for name, value in recipe["training"].items() if name not in NOT_DONE}
    kept = {"network": recipe["network"], "training": done, "data": {k: v for k, v in data.items() if k != "source"}}
    return RunSummary(
        folder=run.folder,
        seed=recipe["training"]["seed"],
        settings=dict(flattened(kept)),
        network=card["architecture"],
        task=card["task"],
        data=training["data"]["name"],
        fingerprint=data["fingerprint"],
        val_fraction=data["val_fraction"],
        results={result["split"]: result for result in card.get("results", [])},
        epochs=training["epochs"],
        seconds=training["seconds"],
        pflop=training["pflop"],
        parameters=sum(prod(shape) for name, shape in header.shapes.items() if not name.endswith(STATISTICS)),
        device=training["device"],
        threads=training["threads"],
        history=run.read_metrics(),
    )

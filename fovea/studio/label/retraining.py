"""Training again from what was labelled, in a process of its own that continues when the page is closed."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from fovea.data.annotating.kinds import kind_named
from fovea.errors import UsageError
from fovea.runs.folder import Run
from fovea.runs.launching import Launcher, said
from fovea.studio.label.labelling import Labelling

BUDGETS = ("30s", "1m", "2m", "5m", "15m", "1h")
USUAL = "2m"
FEWEST = 4
"""Labels: with fewer nothing can be set aside to validate on."""
LONGEST = 500
"""Characters of what a training said that are shown."""


@dataclass(kw_only=True)
class Retraining:
    """A training that was started."""

    run: Run
    launcher: Launcher
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.began

    @property
    def ended(self) -> bool:
        """Whether it has come to an end, whichever."""
        return not self.launcher.is_alive(self.run)

    @property
    def fault(self) -> str:
        """Why there is no network of it; empty where there is one."""
        if self.launcher.code(self.run) == 0 and self.run.model.is_file():
            return ""
        return said(self.run)[-LONGEST:].strip() or "it was ended."


STARTED: dict[Path, Retraining] = {}
"""The last training from each file of labels: a page that is opened again finds it."""


def retrained(labelling: Labelling, launcher: Launcher, *, budget: str, start: Path | None) -> Retraining:
    """Start a training from the labels, within `budget`, from the weights of `start` where there is one.

    Raises:
        UsageError: a budget that is none of BUDGETS, too few labels, or too many trainings at once.
        StorageError: the folder of the run cannot be made.
    """
    if budget not in BUDGETS:
        raise UsageError(f"The budget must be one of {', '.join(BUDGETS)}.")
    if labelling.done < FEWEST:
        raise UsageError(f"Label at least {FEWEST} images first; {labelling.done} have a label.")
    file = labelling.kept.file
    options = training_options(labelling, budget=budget, start=start)
    run = launcher.start(str(labelling.kept.data), options, name=f"labelled-{file.stem}")
    STARTED[file] = Retraining(run=run, launcher=launcher)
    return STARTED[file]


def training_options(labelling: Labelling, *, budget: str, start: Path | None) -> list[str]:
    """Return the options of `fovea train` for the labels."""
    options = ["--task", kind_named(labelling.name).task, "--budget", budget]
    if labelling.name == "grade":
        options += ["--order", ",".join(labelling.classes)]
    if start is not None:
        options += ["--from", str(start.resolve())]
    # rows that wait for a label are left out, however many they are
    return [*options, "--allow-bad"] if labelling.kept.without_label else options

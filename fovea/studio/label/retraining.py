"""Training again from what was labelled, in a process of its own that goes on when the page is closed."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from fovea.data.annotating.kinds import kind_named
from fovea.errors import UsageError
from fovea.studio.label.labelling import Labelling

BUDGETS = ("30s", "1m", "2m", "5m", "15m", "1h")
FEWEST = 4
"""Labels: with fewer nothing can be set aside to validate on."""
LONGEST = 2_000
"""Characters of what a training said that are shown."""


@dataclass(kw_only=True)
class Retraining:
    """A training that was started."""

    run: Path
    """Its folder."""
    process: "subprocess.Popen[bytes]"
    log: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.began

    @property
    def model(self) -> Path:
        """The file of the network that comes of it."""
        return self.run / "model.safetensors"

    @property
    def ended(self) -> bool:
        """Whether it has come to an end, whichever."""
        return self.process.poll() is not None

    @property
    def failed(self) -> bool:
        """Whether it has ended without a network."""
        return self.ended and (self.process.returncode != 0 or not self.model.is_file())

    def said(self) -> str:
        """Return the last that it said."""
        try:
            return self.log.read_text(errors="replace")[-LONGEST:].strip()
        except OSError:
            return ""


STARTED: dict[Path, Retraining] = {}
"""The last training from each file of labels: a page that is opened again finds it."""


def retrained(labelling: Labelling, *, budget: str, start: Path | None, folder: Path) -> Retraining:
    """Start a training from the labels, within `budget`, from the weights of `start` where there is one.

    Raises: UsageError for a budget that is none of BUDGETS, and for too few labels.
    """
    if budget not in BUDGETS:
        raise UsageError(f"The budget must be one of {', '.join(BUDGETS)}.")
    if labelling.done < FEWEST:
        raise UsageError(f"Label at least {FEWEST} images first; {labelling.done} have a label.")
    run = _free(folder / "runs", f"labelled-{labelling.kept.file.stem}")
    run.parent.mkdir(exist_ok=True)
    log = run.with_suffix(".log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            training_command(labelling, budget=budget, start=start, run=run),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C ends the studio, not the training
        )
    STARTED[labelling.kept.file] = Retraining(run=run, process=process, log=log)
    return STARTED[labelling.kept.file]


def training_command(labelling: Labelling, *, budget: str, start: Path | None, run: Path) -> list[str]:
    """Return the command that trains from the labels."""
    command = [sys.executable, "-m", "fovea", "train", str(labelling.kept.file)]
    command += ["--task", kind_named(labelling.name).task, "--budget", budget, "--out", str(run)]
    if labelling.name == "grade":
        command += ["--order", ",".join(labelling.classes)]
    if start is not None:
        command += ["--from", str(start)]
    # rows that wait for a label are left out, however many they are
    return [*command, "--allow-bad"] if labelling.kept.without_label else command


def _free(folder: Path, name: str) -> Path:
    """Return the path of a run that is not there."""
    number = 1
    while (path := folder / f"{name}-{number}").exists() or path.with_suffix(".log").exists():
        number += 1
    return path

"""The runs of a folder as a table: what each trains, how far it is, and how good."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fovea.errors import FoveaError, first_line
from fovea.fields import is_number
from fovea.runs.folder import Run
from fovea.runs.launching import LOG, Launcher
from fovea.runs.steering import PAUSED, read_request
from fovea.runs.summary import RunSummary, read_summary

STARTING, TRAINING, PAUSING, FINISHED, UNFINISHED, FAILED, KILLED = (
    *("starting", "training", "paused", "finished", "not finished", "failed", "killed"),
)
MOST_RUNS = 200
GOES_ON = (UNFINISHED, KILLED)
"""States from which a run is resumed."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A run, as a row."""

    run: Run
    state: str
    network: str = ""
    data: str = ""
    epochs: int = 0
    result: str = ""
    """Of the model that is kept, for a person."""
    report: bool = False
    model: bool = False
    fault: str = ""
    """Why nothing more is known of it."""


def runs_in(folder: Path, launcher: Launcher) -> list[Listed]:
    """Return the runs in a folder and in `runs` below it, the newest first, at most 200."""
    found: dict[Path, float] = {}
    for place in (folder, folder / "runs"):
        try:
            inside = [path for path in place.iterdir() if path.is_dir() and not path.is_symlink()]
        except OSError:
            continue
        for path in inside:
            marks = [path / name for name in (LOG, "recipe.toml") if (path / name).is_file()]
            if marks:
                found[path] = min(mark.stat().st_ctime for mark in marks[:1])
    newest = sorted(found, key=lambda path: found[path], reverse=True)[:MOST_RUNS]
    return [listed(Run(path), launcher) for path in newest]


def listed(run: Run, launcher: Launcher) -> Listed:
    """Return a run as a row."""
    known = _known(run, *(_stamp(path) for path in (run.recipe, run.metrics, run.model, run.report)))
    return dataclasses.replace(known, state=_state(run, launcher, finished=known.state == FINISHED))


def _state(run: Run, launcher: Launcher, *, finished: bool) -> str:
    if run.is_held:
        return PAUSING if read_request(run).state == PAUSED else TRAINING
    if launcher.is_alive(run):
        return STARTING
    code = launcher.code(run)
    if code is not None and code < 0:
        return KILLED
    if code not in (None, 0, 130):
        return FAILED
    if code == 0 or finished:
        return FINISHED
    return UNFINISHED if run.recipe.exists() else FAILED


@lru_cache(maxsize=2 * MOST_RUNS)
def _known(run: Run, *stamps: tuple[int, int]) -> Listed:
    """Return what the files of a run say, which the stamps tell from other content."""
    report, model = run.report.exists(), run.model.exists()
    if not run.recipe.exists():
        return Listed(run=run, state=UNFINISHED)
    try:
        summary = read_summary(run.folder)
    except FoveaError as error:
        return Listed(run=run, state=UNFINISHED, fault=first_line(error) if model else "", report=report, model=model)
    split, result = next(reversed([*summary.results.items()]), ("", {}))
    return Listed(
        run=run,
        state=FINISHED if is_complete(summary.settings, summary.history) and result else UNFINISHED,
        network=summary.network,
        data=summary.data,
        epochs=max(summary.epochs, len(summary.history)),
        result=summary.kind.result_text(result) if split else so_far(summary),
        report=report,
        model=model,
    )


def so_far(summary: RunSummary) -> str:
    """Return how good a training is that has not been evaluated yet: its best validation, or its last epoch."""
    history, followed = summary.history, summary.kind.followed
    best = next((line for line in reversed(history) if line.get("improved")), None)
    if best and best.get("val") and best["val"].get(followed.name) is not None:
        return f"validation {followed.title} {followed.text(best['val'][followed.name])}, epoch {best['epoch'] + 1}"
    last = history[-1] if history else {}
    if last.get(followed.name) is not None:
        return f"training {followed.title} {followed.text(last[followed.name])}, epoch {last['epoch'] + 1}"
    return f"loss {last['loss']:.4g}, epoch {last['epoch'] + 1}" if is_number(last.get("loss")) else ""


def is_complete(settings: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a training has done all that its `settings` ask for: epochs, time, or patience."""
    if not history:
        return not settings.get("training.epochs") and not settings.get("training.budget_s")
    since = next((count for count, line in enumerate(reversed(history)) if line.get("improved")), 0)
    patience = settings.get("training.patience") or 0
    if patience and since >= patience:
        return True
    if budget := settings.get("training.budget_s"):
        return float(history[-1].get("elapsed_s") or 0) >= float(budget)
    return len(history) >= int(settings.get("training.epochs") or 0)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)

"""`fovea train`: from images to a bundle in a run folder; and what helps before: a preview, a learning rate."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fovea.data.dataset import Task
from fovea.drawing.contact_sheet import SHEETS, contact_sheet
from fovea.errors import DataError, UsageError
from fovea.jobs.choosing import Wish
from fovea.jobs.custom import call_of, custom_name
from fovea.jobs.interruption import Interruption
from fovea.jobs.preparation import (
    Begun,
    Prepared,
    Source,
    device_named,
    find_data,
    prepare,
    ready,
    resolved_recipe,
)
from fovea.jobs.progress import Display
from fovea.jobs.runs import Run
from fovea.jobs.session import EventWriter, ReportWish, Session, event_writer
from fovea.preprocess import Fit, Preprocess
from fovea.recipes import Plan
from fovea.storage import picture_path
from fovea.training.checkpoint import restore, state_of
from fovea.training.diagnosis import watched_layer
from fovea.training.distributed import agreed, joined, rank, world_size
from fovea.training.losses import output_count
from fovea.training.recipe import FIELDS, Recipe, parse
from fovea.training.tuning import Sweep, sweep_rates

PREVIEW_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training has come to."""

    run: Path
    """The run folder."""
    model: Path
    """The bundle."""
    report: Path | None
    """The page; None where it could not be written."""
    results: tuple[Mapping[str, Any], ...]
    """One entry per part that was evaluated: `split`, `accuracy`, `interval`, `images`, ..."""
    seconds: float
    """Training time over all sessions of the run."""
    pflop: float
    """6 x MACs x images seen, in 1e15."""
    data: str
    interrupted: bool
    custom: str = ""
    """How a network of one's own is made in Python, as `Net(classes=3)`: its code never runs from a model file."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = dataclasses.asdict(self)
        paths = {name: path and str(path) for name, path in values.items() if name in ("run", "model", "report")}
        return {**values, **paths, "results": [dict(r) for r in self.results]}

    def summary(self) -> list[str]:
        """Return lines for a person: where the run is, its results, its time, what to do next."""
        lines = [f"Run      {self.run}"]
        lines += [f"Result   {_described(result)}" for result in self.results]
        lines.append(f"Time     {self.seconds:.0f} s, {self.pflop:.4g} PFLOP")
        if self.report is not None:
            lines.append(f"Report   {self.report}")
        if self.interrupted:
            return [*lines, f"Stopped before the end. Next: fovea train --resume {self.run}"]
        if self.custom:
            loaded = f'fovea.load("{self.model}", model={self.custom})'
            return [
                *lines,
                f'Next     in Python: fovea.evaluate({loaded}, "{self.data}")',
                f"         fovea info {self.model}",
            ]
        return [
            *lines,
            f"Next     fovea evaluate {self.model} {self.data}",
            f"         fovea predict {self.model} IMAGE...",
            f"         fovea info {self.model}",
        ]


def train(
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    tensorboard: bool = False,
    watch: str | None = None,
    images: bool = True,
    device: str = "auto",
    display: Display | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a network on `data` (a folder, manifest, archive or name) and return where it is and how good.

    `options` are those of `prepared`: what to train (`model`, `recipe`, `budget`, `size`, `fit`), how to read the data
    (`label_from`, `task`, ...) and every field of `Recipe` (`epochs`, `batch`, `lr`, ...). `out` is the run folder;
    `resume` continues one, and takes no other option. `tensorboard` writes event files into it too. The run's report
    shows percentiles of the inputs of the layer `watch` (the middle activation), and thumbnails where `images` is set.
    Of the processes that `torchrun` starts, the first does all this and the others train along; all return the same.

    Raises:
        FoveaError: of the kind that says what is wrong: UsageError, DataError, TrainingError, StorageError.
    """
    with joined(), display or Display() as shown:
        if rank() > 0:
            return _train_along(device)
        events = event_writer() if tensorboard else None
        if resume is not None:
            if data is not None or options or out is not None or watch is not None or not images:
                raise UsageError("--resume continues a run as it was begun; leave out DATA and the other options.")
            return _run(_resumed(Run.open(resume), display=shown, device=device, events=events))
        Run.check_free(out)
        training = prepared(data, device=device, display=shown, **options)
        report = ReportWish(images=images, watch=watched_layer(training.model, watch))
        trainer = training.trainer()  # raises before there is a folder
        run = Run.create(out, name=f"{_word(training.dataset.name)}-{_word(training.architecture)}")
        run.write_recipe({**resolved_recipe(training), "report": dataclasses.asdict(report)})
        return _run(Session(training, trainer, run, display=shown, events=events, report=report))


def prepared(
    data: str | Path | None,
    *,
    display: Display,
    device: str = "auto",
    model: str | None = None,
    recipe: str | None = None,
    start: str | Path | None = None,
    budget: str | float | None = None,
    size: int | None = None,
    fit: Fit | None = None,
    val_fraction: float | None = None,
    label_from: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    task: Task = "classes",
    allow_bad: bool = False,
    **fields: Any,
) -> Prepared:
    """Return the training that `train` would start.

    `model` is a name of the zoo or `file.py:Class`; `recipe` a named plan; `budget` seconds, or text as `5m`; `fields`
    replace fields of the plan's `Recipe` and arguments of its network, and may be text. `start` is a weights file, a
    model file, `imagenet`, or `none` for random weights; photographs start from ImageNet weights that lie at hand where
    neither this nor network nor recipe is given.
    """
    if data is None:
        raise UsageError("Say what to train on: a folder, a manifest, an archive or a name such as `digits`.")
    source = Source(
        data=str(data),
        label_from=label_from,
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        task=task,
        allow_bad=allow_bad,
    )
    changes = {"size": size, "fit": fit, "val_fraction": val_fraction, **_parsed(fields)}
    changes = {name: value for name, value in changes.items() if value is not None}
    if budget is not None:
        if "epochs" in changes:
            raise UsageError("`--budget` and `--epochs` exclude each other; give one of them.")
        changes |= {"budget_s": seconds(budget), "epochs": 0}
    elif changes.get("probe"):
        changes.setdefault("epochs", 0)
    wish = Wish(model=model, recipe=recipe, start=None if start is None else str(start), changes=changes)
    return prepare(source, wish, device=device_named(device), display=display)


def preview(data: str | Path | None = None, *, out: str | Path = "preview.png", **options: Any) -> Path:
    """Write the contact sheet of what the network will see in training, augmented, and return its path."""
    path = picture_path(out, suffixes=SHEETS)
    options |= {"threads": torch.get_num_threads(), "precision": "float32"}  # nothing is computed that is worth timing
    with Display() as display:
        trainer = prepared(data, display=display, **options).trainer()
        indices = next(trainer.batches())[:PREVIEW_IMAGES]
        images, _ = trainer.load(indices, torch.Generator(trainer.device).manual_seed(trainer.recipe.seed))
        return contact_sheet(trainer.normalise.undo(images).cpu(), path)


def find_lr(data: str | Path | None = None, *, out: str | Path = "learning-rate.png", **options: Any) -> Sweep:
    """Return the losses over a sweep of learning rates, and the rate to start from; its picture goes to `out`."""
    from fovea.drawing.sweep import sweep_picture

    path = picture_path(out)
    with Display() as display:
        trainer = prepared(data, display=display, **options).trainer()
        sweep = sweep_rates(trainer, progress=display.counter("sweeping the learning rate"))
    sweep_picture(sweep, path)
    return sweep


def _resumed(run: Run, *, display: Display, device: str, events: EventWriter | None) -> Session:
    stored = run.read_recipe()
    with _complete(run):
        report = ReportWish(**stored.get("report", {}))
    training = _as_begun(run, stored, device=device, display=display, checkpoint=run.last.exists())
    session = Session(training, training.trainer(), run, display=display, events=events, report=report)
    session.resume()
    return session


def _as_begun(run: Run, stored: Mapping[str, Any], *, device: str, display: Display, checkpoint: bool) -> Prepared:
    """Return the training that `run` began with the recipe `stored`; with a `checkpoint` its weights stay open.

    Raises:
        UsageError: the recipe is incomplete.
        DataError: the data has changed.
    """
    with _complete(run):
        source = Source(**stored["data"]["source"])
        preprocess = Preprocess.from_dict(stored["preprocess"])
        recipe = Recipe.from_dict(stored["training"])
        plan = Plan(training=recipe, val_fraction=stored["data"]["val_fraction"], **stored["network"])
        chosen = device_named(stored["device"] if device == "auto" else device)
        fingerprint = stored["data"]["fingerprint"]
    dataset = find_data(source, display)
    if dataset.fingerprint != fingerprint:
        raise DataError(f"`{source.data}` has changed since {run.folder} began; start a new run without --resume.")
    begun = Begun(preprocess, stored.get("origin"), checkpoint=checkpoint)
    return ready(dataset, plan, source=source, device=chosen, display=display, begun=begun)


@contextmanager
def _complete(run: Run) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError) as error:
        raise UsageError(f"`{run.recipe}` is incomplete ({error}); start again without --resume.") from error


def _run(session: Session) -> TrainingResult:
    if world_size() > 1:
        agreed((session.run, session.run.read_recipe(), state_of(session.trainer)))
    session.train()
    results = session.finish()
    session.write_report()
    result = TrainingResult(
        run=session.run.folder,
        model=session.run.model,
        report=session.run.report if session.run.report.exists() else None,
        results=tuple(results),
        seconds=session.trainer.clock.elapsed_s,
        pflop=session.pflop,
        data=session.prepared.source.data,
        interrupted=session.interrupted,
        custom=_custom(session.prepared),
    )
    agreed(result)
    return result


def _custom(prepared: Prepared) -> str:
    """Return how the network was made, where it is one's own."""
    found = custom_name(prepared.plan.model)
    outputs = output_count(prepared.plan.training.loss, len(prepared.dataset.classes))
    return call_of(found[1], prepared.model, classes=outputs, c_in=prepared.preprocess.channels) if found else ""


def _train_along(device: str) -> TrainingResult:
    """Do another process's share of the training that the first one runs in `_run`, and return its result."""
    run, stored, state = agreed(None)
    display = Display(quiet=True)
    trainer = _as_begun(run, stored, device=device, display=display, checkpoint=True).trainer()
    restore(trainer, state)
    with Interruption(display) as interruption:
        trainer.fit(on_step=lambda _: None, on_epoch=lambda *_: None, stopped=lambda: interruption.requested)
    result: TrainingResult = agreed(None)
    return result


def _parsed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return `fields` with text, as from `--set key=value`, turned into the type of its field; others may be known."""
    texts = {name: value for name, value in fields.items() if isinstance(value, str) and name in FIELDS}
    values = Recipe.parsed(texts)
    if isinstance(text := fields.get("standardise"), str):
        values["standardise"] = parse("standardise", text, default=Plan.standardise)
    return {**fields, **values}


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


def _word(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name) or "run"


def _described(result: Mapping[str, Any]) -> str:
    if "accuracy" not in result:
        return f"mean absolute error {result['mae']:.4g} on {result['split']} ({result['images']:,} images)"
    low, high = result["interval"]
    mirrored = ", mirrored copies averaged" if result.get("flip") else ""
    return (
        f"{100 * result['accuracy']:.2f} % accuracy on {result['split']}, "
        f"95 % interval {100 * low:.2f} to {100 * high:.2f} % ({result['images']:,} images{mirrored})"
    )

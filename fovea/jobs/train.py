"""`fovea train`: from images to a bundle in a run folder."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fovea import tasks
from fovea.custom import call_of, custom_name
from fovea.display import Display
from fovea.errors import UsageError
from fovea.jobs.train_parameters import MEANINGS
from fovea.notebook import Cells, Tabular
from fovea.runs.folder import Run, check_utf8
from fovea.runs.interruption import Interruption
from fovea.runs.lines import history
from fovea.runs.next_steps import after_training, to_resume
from fovea.runs.preparation import Prepared, began_in, resolved_recipe
from fovea.runs.process import as_found
from fovea.runs.request import prepared
from fovea.runs.resuming import as_begun, recipe_with, resumed
from fovea.runs.session import ReportRequest, Session, event_writer
from fovea.runs.stored import read_stored
from fovea.runs.timekeeping import planned_lines, within_budget
from fovea.signatures import described
from fovea.texts import flattened
from fovea.training.checkpoint import restore, state_of
from fovea.training.diagnosis import watched_layer
from fovea.training.distributed import agreed, joined, rank, world_size
from fovea.training.recipe import Optimisation, Running, Transfer


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainingResult(Tabular):
    """What a training has come to."""

    run: Path
    """The run folder."""
    model: Path
    """The bundle."""
    report: Path | None
    """The page; None if it could not be written."""
    results: tuple[Mapping[str, Any], ...]
    """One entry per split that was evaluated: `split`, `accuracy`, `interval`, `images`, ..."""
    seconds: float
    """Training time over all sessions of the run; of a head that was fitted in closed form, what that took."""
    pflop: float
    """1e15 operations of the training: `fovea.training.arithmetic`."""
    data: str
    interrupted: bool
    task: str
    """The name of the kind of target."""
    custom: str = ""
    """How a network of one's own is made in Python, as `Net(classes=3)`: its code never runs from a model file."""
    fitted: bool = False
    """Whether the head was fitted in closed form, and nothing trained."""
    following: tuple[str, ...] = ()
    """Commands that go on from here, as a shell takes them."""

    @property
    def headline(self) -> str:
        """The run and its last result."""
        results = [tasks.kind(self.task).result_text(result) for result in self.results[-1:]]
        return ", ".join([str(self.run), *(results or ["stopped before the end" if self.interrupted else "no result"])])

    def cells(self) -> Cells:
        """Return the results, a row for each split that was not trained on."""
        metric = tasks.kind(self.task).metric
        names = ("split", metric.name, "interval", "images")
        records = [{name: result.get(name) for name in names} for result in self.results]
        shares = (metric.name, "interval") if metric.share else ()
        return Cells.of(
            records, shares=shares, notes=[line for line in self.summary() if not line.startswith("Result")]
        )

    def records(self) -> list[dict[str, Any]]:
        """Return a row per epoch, as metrics.jsonl has them."""
        return [dict(flattened(line)) for line in self._history]

    def curve(self) -> list[float]:
        """Return the training loss of each epoch that has one."""
        return [line["loss"] for line in self._history if line["loss"] is not None]

    @property
    def _history(self) -> list[dict[str, Any]]:
        return history(self.run / "metrics.jsonl")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in ("task", "following", "fitted")
        }
        paths = {name: path and str(path) for name, path in values.items() if name in ("run", "model", "report")}
        return {**values, **paths, "results": [dict(r) for r in self.results]}

    def summary(self) -> list[str]:
        """Return lines for the terminal: where the run is, its results, its time, what to do next."""
        lines = [f"Run      {self.run}"]
        lines += [f"Result   {tasks.kind(self.task).result_text(result)}" for result in self.results]
        if self.fitted:
            lines.append(f"Time     fitted in closed form in {self.seconds:.0f} s")
        else:
            lines.append(f"Time     {self.seconds:.0f} s, {self.pflop:.4g} PFLOP")
        if self.report is not None:
            lines.append(f"Report   {self.report}")
        if self.interrupted:
            return [*lines, f"Stopped before the end. Next: {self.following[0]}"]
        return [*lines, *(f"{'' if i else 'Next':9}{step}" for i, step in enumerate(self.following))]


@described(MEANINGS, Optimisation, Transfer, Running)
def train(
    data: str | Path | None = None,
    *,
    recipe: str | None = None,
    model: str | None = None,
    start: str | Path | None = None,
    grow: str | None = None,
    freeze: str | None = None,
    pretrain: int | None = None,
    probe: bool = False,
    class_means: bool = False,
    budget: str | float | None = None,
    epochs: int | None = None,
    size: int | None = None,
    fit: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    batch: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    precision: str | None = None,
    val_fraction: float | None = None,
    augment: Sequence[str] | str | None = None,
    input: str | None = None,
    label_from: str | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    label_separator: str | None = None,
    label_columns: str | Sequence[str] | None = None,
    order: str | Sequence[str] | None = None,
    task: str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    allow_bad: bool = False,
    tensorboard: bool = False,
    watch: str | None = None,
    images: bool = True,
    compile: bool = False,
    patience: int | None = None,
    display: Display | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train a network on `data` (a folder, manifest, archive or name) and return where it is and how good.

    What is None is chosen. `recipe` is a named plan, as `cifar10-94`; `model` a network of `fovea.names()` or
    `file.py:Class`; `start` a weights file, a model file, `imagenet`, or `none` for random weights. `budget` is the
    time from this call to its end, in seconds or as `5m`, instead of `epochs`. `grow` (`identity`, `vgg`) makes the
    network of `start` deeper, `freeze` names what stays as it is, `pretrain` counts epochs per layer without labels,
    `probe` fits the head in closed form, `class_means` sets it to the mean features of the classes. `size` is the side
    of the input in pixels, `fit` how images get it: `crop`, `letterbox`, `squash`, or `tile`, windows of them as they
    are. `mean` and `std`, one number or one per channel, normalise pixels from 0 to 1; without them the weights or the
    images decide. `settings` are all other fields of `fovea.training.recipe.Recipe` and of `fovea.plans.plan.Plan`, and
    arguments of preprocessing and network.

    `input` (images, series, spectrograms, clips), `label_from`, `path_column`, `label_column`, `split_column`,
    `label_separator`, `label_columns`, `order`, `task` and `allow_bad` say how the data is read, as for `fovea.find`.
    `out` is the run folder; `resume` continues one, and takes no other option but `model`, where that is a file of
    Python: such code runs only where it is named again. `tensorboard` writes event files into the run too. Its report
    shows percentiles of the inputs of the layer `watch` (the middle activation), and thumbnails where `images` is set.

    Of the processes that `torchrun` starts, the first does all this and the others train along; all return the same.
    Thread count and random state of the process are left as they were.

    Raises:
        FoveaError: of the kind that says what is wrong: UsageError, DataError, TrainingError, StorageError.
    """
    given = _given(locals())
    with as_found(), joined(), display or Display() as shown:
        if rank() > 0:
            return _train_along(device)
        events = event_writer() if tensorboard else None
        if resume is not None:
            begun = data is not None or given.keys() - {"model"} or settings or out is not None
            if begun or watch is not None or not images:
                raise UsageError(
                    "--resume continues a run with its own settings; leave out DATA and the other options."
                )
            run = Run.open(resume)
            with _held(run, shown):
                return _run(resumed(run, display=shown, device=device, events=events, model=model))
        Run.check_free(out)
        check_utf8((model, start, began_in(Path(out or "runs"))))
        training = prepared(data, device=device, display=shown, watch=watch, **given, **settings)
        training, step_s = within_budget(training, shown)
        report = ReportRequest(images=images, watch=watched_layer(training.model, watch))
        return _begin(training, out, report, display=shown, events=events, step_s=step_s)


_PASSED_ON = (
    *("recipe", "model", "start", "grow", "freeze", "pretrain", "probe", "class_means", "budget", "epochs"),
    *("size", "fit", "mean", "std", "batch"),
    *("lr", "seed", "threads", "precision", "val_fraction", "augment", "input", "label_from", "path_column"),
    *("label_column",),
    *("split_column", "label_separator", "label_columns", "order", "task", "allow_bad", "compile", "patience"),
)
"""Parameters of `train` that `prepared` takes as they are."""


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `_PASSED_ON` that were given."""
    return {name: options[name] for name in _PASSED_ON if options[name] is not None and options[name] is not False}


def _begin(
    training: Prepared, out: str | Path | None, report: ReportRequest, *, display: Display, events: Any, step_s: float
) -> TrainingResult:
    """Train in a new run folder."""
    trainer = training.trainer()  # raises before there is a folder
    for line in planned_lines(training, trainer, step_s=step_s):
        display.note(f"plan: {line}")
    run = Run.create(out, name=f"{_word(training.dataset.name)}-{_word(training.architecture)}")
    with _held(run, display):
        Run.check_free(run.folder)  # another process may have been first
        resolved = resolved_recipe(training, folder=run.folder)
        run.write_recipe({**resolved, "report": dataclasses.asdict(report)})
        return _run(Session(training, trainer, run, display=display, events=events, report=report))


@contextmanager
def _held(run: Run, display: Display) -> Iterator[None]:
    """Keep other processes out of a run, and say where that cannot be done."""
    with run.held() as locked:
        if not locked:
            display.note(
                f"run: the disk of {run.folder} has no file locks; make sure that no other process trains this run"
            )
        yield


def _run(session: Session) -> TrainingResult:
    if world_size() > 1:
        recipe = recipe_with(session.run, model=session.prepared.plan.model)
        agreed((session.run, recipe, state_of(session.trainer)))
    session.train()
    results = session.finish()
    session.write_report()
    folder, prepared = session.run.folder, session.prepared
    following = [to_resume(folder, prepared)] if session.interrupted else after_training(session.run.model, prepared)
    result = TrainingResult(
        run=session.run.folder,
        model=session.run.model,
        report=session.run.report if session.run.report.exists() else None,
        results=tuple(results),
        seconds=session.trainer.clock.elapsed_s,
        pflop=session.pflop,
        data=str(session.prepared.source.data),
        task=session.target.name,
        interrupted=session.interrupted,
        custom=_custom(session.prepared),
        fitted=session.recipe.probe or session.recipe.class_means,
        following=tuple(following),
    )
    agreed(result)
    return result


def _custom(prepared: Prepared) -> str:
    """Return how the network was made, where it is one's own."""
    found = custom_name(prepared.plan.model)
    return (
        call_of(found[1], prepared.model, classes=prepared.target.outputs, c_in=prepared.preprocess.channels)
        if found
        else ""
    )


def _train_along(device: str) -> TrainingResult:
    """Do another process's share of the training that the first one runs in `_run`, and return its result."""
    run, recipe, state = agreed(None)
    display, stored = Display(quiet=True), read_stored(run, recipe)
    trainer = as_begun(run, stored, device=device, display=display, checkpoint=True).trainer()
    restore(trainer, state)
    with Interruption(display) as interruption:
        trainer.fit(on_step=lambda _: None, on_epoch=lambda *_: None, stopped=lambda: interruption.requested)
    result: TrainingResult = agreed(None)
    return result


def _word(name: str) -> str:
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name) or "run"

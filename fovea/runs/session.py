"""One training as it runs: the network, its data and its run folder put together, and what happens at each epoch."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

import fovea
from fovea.card import Card, DataRecord, TrainingRecord
from fovea.data.dataset import Dataset, Part
from fovea.display import Display
from fovea.drift import SECTION, Reference
from fovea.errors import BundleError, MissingDependencyError, TrainingError, first_line
from fovea.evaluation.outcome import Outcome
from fovea.evaluation.parts import outcome_of
from fovea.evaluation.validation import reference_by, reference_of
from fovea.inputs.views import Protocol
from fovea.model.bundle import Bundle, load, save_bundle
from fovea.report.page import write_page
from fovea.report.training import Story, training_page
from fovea.runs.folder import Run
from fovea.runs.heads import kept, refit_head
from fovea.runs.interruption import Interruption
from fovea.runs.live import Live
from fovea.runs.networks import check_batch
from fovea.runs.preparation import Prepared
from fovea.runs.steering import Steering, refuse_steering
from fovea.tasks.task import Task
from fovea.training.checkpoint import load_checkpoint, save_checkpoint
from fovea.training.clock import EpochResult
from fovea.training.diagnosis import Diagnosis, restored, watched_layer
from fovea.training.distributed import world_size
from fovea.training.engine import Trainer
from fovea.training.recipe import Recipe

UNVALIDATED = "no validation split, which the temperature needs"
EventWriter = Callable[[str], Any]
"""TensorBoard's writer of event files, made with a folder."""


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """What the user asked of the report."""

    images: bool = True
    """Whether it shows thumbnails of the images."""
    watch: str | None = None
    """The layer whose inputs are watched; None for the middle activation."""


class Session:
    """A trainer at work in its run folder."""

    def __init__(
        self,
        prepared: Prepared,
        trainer: Trainer,
        run: Run,
        *,
        display: Display,
        events: EventWriter | None = None,
        report: ReportRequest = ReportRequest(),  # noqa: B008 (frozen)
    ) -> None:
        self.prepared, self.trainer, self.run = prepared, trainer, run
        self.display, self.report = display, report
        self.diagnosis = Diagnosis(self.trainer, watched_layer(self.trainer.model, report.watch))
        self.looking = True
        self.target = prepared.target
        self.outcomes: list[Outcome] = []
        self.reference: Reference | None = None
        self.interruption = Interruption(display)
        self.steering = Steering(run, trainer, display=display, check=self._check, snap=self._snap)
        self.live = Live(run, trainer, self.steering)
        self.recipe = trainer.recipe  # as it was begun
        self.began_at = self.saved_at = time.monotonic()
        self.began_seen = 0
        self.events = events(str(run.folder)) if events else None

    def resume(self) -> None:
        """Continue from the run's checkpoint; from the beginning where it was killed before there was one."""
        if self.run.last.exists():
            load_checkpoint(self.run.last, self.trainer)
        lost = self.run.rewind(self.trainer.clock.epoch, steps=self.trainer.clock.total_steps)
        if lost:
            self.display.note(
                f"report: {lost} of {self.trainer.clock.epoch} epochs cannot be read, and the report leaves them out"
            )
        self.diagnosis.looks = restored(self.run.read_looks())
        self.began_seen = self.images_seen
        self.display.note(f"resuming {self.run.folder} in epoch {self.trainer.clock.epoch + 1}")

    def train(self) -> None:
        """Run the training to its end, an interrupt, or a divergence; keep what is good in the run folder."""
        if self.trainer.clock.total_steps == 0:
            if self.keeps_best:  # the fitted head is what training has to surpass
                self.save_model([])
            save_checkpoint(self.run.last, self.trainer)
        self._look()
        if world_size() == 1:
            self.trainer.observe = self.live.observe
        else:
            refuse_steering(self.run, processes=world_size())
        with self.interruption:
            try:
                self.trainer.fit(on_step=self._on_step, on_epoch=self._on_epoch, stopped=lambda: self.interrupted)
            except TrainingError as error:
                self.write_report(ended=str(error))
                kept = f" The last good network is kept in {self.run.model}." if self.run.model.exists() else ""
                raise TrainingError(f"{error}{kept}") from error
            finally:
                if self.events:
                    self.events.close()
        if self.interrupted:
            self._save_checkpoint()
        elif self.trainer.out_of_patience:
            self.display.note(f"stopped: {self.trainer.recipe.patience} epochs without a better validation result")
        if not self.run.model.exists():
            self.save_model([])

    def finish(self) -> list[dict[str, Any]]:
        """Return the results of the final network on each split that was not trained on, and write them to its card."""
        self._load_best()
        names = ["val"] if self.interrupted else ["val", "test"]
        parts = {name: part for name in names if (part := self.prepared.dataset.parts.get(name))}
        flip, outcomes = self.trainer.recipe.test_flip, dict[str, Outcome]()
        if "val" in parts:
            outcomes["val"] = self._outcome("val", parts["val"], flip=flip)
        if "val" in parts and self.target.calibrates:
            plain = self._outcome("val", parts["val"], flip=False) if flip else outcomes["val"]
            self.target = self.target.calibrated(plain.outputs, plain.labels)
        elif self.target.calibrates:
            self.target = self.target.uncalibrated_for(UNVALIDATED)
            self.display.note(f"confidence: not calibrated, as there is {UNVALIDATED}")
        self._refit_head()
        if "test" in parts:
            outcomes["test"] = self._outcome("test", parts["test"], flip=flip)
        self.outcomes = [replace(outcome, target=self.target) for outcome in outcomes.values()]
        if self.outcomes:  # validation, or the test split where there is none
            first = self.outcomes[0]
            part = parts[first.split]
            if part.tiles is None:
                rows = first.target.watched(first.rows)
                self.reference = reference_of(first.split, part.decoded, rows, self.prepared.preprocess)
            else:  # a server sees tiles
                self.reference = reference_by(self.predictor, first.split, part.decoded)
        results = [outcome.result for outcome in self.outcomes]
        self.save_model(results)
        return results

    def _load_best(self) -> None:
        """Take the best network on validation; where its head was refitted already, the one from before."""
        if self.keeps_best:
            best = self.run.before_refit if self.run.before_refit.exists() else self.run.model
            load(best, model=self.trainer.evaluated_model, device=str(self.prepared.device))
        if self.keeps_best and self.recipe.fit_head and not self.recipe.probe:
            self.display.note(f"kept: {kept(self.trainer.clock.best_epoch)}")

    def _refit_head(self) -> None:
        """Fit the head to the validation images too, where the recipe says so and all else is done."""
        if not self.recipe.refit_head or self.interrupted or "val" not in self.prepared.dataset.parts:
            return
        save_bundle(self.run.before_refit, self.trainer.evaluated_model, self._card([]))
        trained = self.trainer.clock.best_epoch >= 0 or not self.keeps_best
        refit_head(self.prepared, self.trainer.evaluated_model, trained=trained, display=self.display)

    def write_report(self, *, ended: str = "") -> None:
        """Write the page of the run, or say why it cannot be written: a training is never lost to its report."""
        with self._reporting("the page is not written; everything else is"):
            shown = self.outcomes if self.report.images else [replace(o, picture=None) for o in self.outcomes]
            story = Story(
                card=self._card([]),
                history=self.run.read_metrics(),
                looks=self.diagnosis.looks,
                layer=self.diagnosis.layer,
                outcomes=shown,
                followed=self.target.followed,
                filters=self.predictor.first_layer(),
                parameters=sum(parameter.numel() for parameter in self.trainer.model.parameters()),
                data=self._facts(),
                best_epoch=self._best_epoch,
                ended=ended,
            )
            write_page(self.run.report, training_page(story))

    def _facts(self) -> list[tuple[str, str]]:
        """Return what the report says of the data, and of the head, beside the card."""
        facts = _data_facts(self.prepared.dataset, self.target)
        if self.prepared.head is not None:
            facts.append(("fitted head", self.prepared.head.described()))
        if self.recipe.fit_head and self.keeps_best:
            facts.append(("kept", kept(self.trainer.clock.best_epoch)))
        if self.run.before_refit.exists():
            facts.append(
                ("head of the model file", "fitted to train and val at the end; results on val are from before that")
            )
        return facts

    @property
    def interrupted(self) -> bool:
        """Whether the training was asked to stop before its end."""
        return self.interruption.requested or self.steering.stops

    @property
    def keeps_best(self) -> bool:
        """Whether the run's network is the best on the validation split rather than the last."""
        return self.trainer.recipe.keep_best and self.trainer.clock.best is not None

    @property
    def _best_epoch(self) -> int | None:
        """The epoch whose network is kept; None for the last, or for none."""
        best = self.trainer.clock.best_epoch
        return best if self.keeps_best and best >= 0 else None

    @property
    def images_seen(self) -> int:
        """Images trained on, with repetition."""
        return self.trainer.images_seen

    def save_model(self, results: list[dict[str, Any]]) -> None:
        """Write the network as it is to the run's bundle."""
        save_bundle(self.run.model, self.trainer.evaluated_model, self._card(results))

    def _look(self) -> None:
        """Look inside the network where it is time to, until that fails once."""
        if self.looking:
            self.looking = False
            with self._reporting("no further measurements inside the network"):
                if self.diagnosis.due:
                    self.run.append_look(asdict(self.diagnosis.look()))
                self.looking = True

    @contextmanager
    def _reporting(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever goes wrong with a report must not stop the training
            self.display.note(f"report: {consequence} ({type(error).__name__}: {first_line(error)})")

    def _on_step(self, trainer: Trainer) -> None:
        self._look()
        clock, now = trainer.clock, time.monotonic()
        seen = self.images_seen - self.began_seen
        rate = seen / max(now - self.began_at - self.steering.waited_s, 1e-9)
        last = f"/{trainer.recipe.epochs}" if trainer.recipe.epochs else ""
        detail = (
            f"epoch {clock.epoch + 1}{last}  step {clock.step}/{trainer.steps_per_epoch}  {rate:,.0f} images/s  "
            f"loss {clock.loss_sum / clock.step:.3f}"
        )
        if trainer.value is not None:
            followed = trainer.target.followed
            detail += f"  {followed.title} {followed.scale * trainer.value:.1f}{followed.unit}"
        self.display.advance("training", trainer.progress, 1.0, detail=detail)
        if now - self.saved_at > 60 * trainer.recipe.checkpoint_minutes:
            self._save_checkpoint()
        if world_size() == 1:  # the others would count the time that one waits
            self.steering.obey(stopped=lambda: self.interrupted, pausing=self._save_checkpoint, waiting=self.live.wait)

    def _on_epoch(self, trainer: Trainer, result: EpochResult) -> None:
        self.run.append_metrics(result.to_dict())
        if self.events:
            for name, value in _scalars(result).items():
                self.events.add_scalar(name, value, result.epoch + 1)
        self.display.note(_epoch_line(result, validated=trainer.val_part is not None))
        if result.improved or not self.keeps_best:
            self.save_model([])
        self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        save_checkpoint(self.run.last, self.trainer)
        self.saved_at = time.monotonic()

    def _snap(self) -> None:
        """Write the network as it is beside the run's bundle, under the number of its last step."""
        path = self.run.snapshot(self.trainer.clock.total_steps)
        save_bundle(path, self.trainer.evaluated_model, self._card([]))
        self.display.note(f"snapshot: {path}")

    def _check(self, recipe: Recipe) -> None:
        """Raise UsageError where the network cannot go on by a recipe that was changed."""
        plan = replace(self.prepared.plan, recipe=recipe)
        check_batch(self.trainer.model, plan, shape=self.prepared.preprocess.shape)

    @property
    def predictor(self) -> Bundle:
        """The network as it is, as its model file will give it back."""
        return Bundle(model=self.trainer.evaluated_model, card=self._card([]), device=self.prepared.device)

    def _outcome(self, split: str, part: Part, *, flip: bool) -> Outcome:
        try:
            return outcome_of(
                self.predictor,
                replace(self.prepared.dataset, parts={split: part}),
                split=split,
                protocol=Protocol(flip=flip),
                batch=self.trainer.inference_batch,
                progress=self.display.counter(f"evaluating on {split}"),
            )
        except BundleError as error:
            raise TrainingError(f"The network's outputs on {split} are not finite; try a smaller --lr.") from error

    def _card(self, results: list[dict[str, Any]]) -> Card:
        prepared, recipe, clock = self.prepared, self.recipe, self.trainer.clock
        made = (change for change in self.trainer.changes if change.step < clock.total_steps)
        changes: list[Mapping[str, Any]] = [change.to_dict() for change in made]
        dataset, origin = prepared.dataset, prepared.origin or {}
        data = DataRecord(
            name=dataset.name,
            fingerprint=dataset.fingerprint,
            images={name: part.images for name, part in dataset.parts.items()},
            val_fraction=prepared.val_fraction,
            notes=list(dataset.notes),
        )
        versions = {"python": platform.python_version(), "torch": torch.__version__, "fovea": fovea.__version__}
        training = TrainingRecord(
            data=data,
            recipe=recipe.to_dict(),
            seed=recipe.seed,
            threads=recipe.threads,
            processes=world_size() if world_size() > 1 else None,
            device=prepared.device.type,
            versions=versions,
            epochs=clock.epoch,
            seconds=round(clock.elapsed_s, 1),
            pflop=self.pflop,
            changes=changes or None,
        )
        return Card(
            fovea=fovea.__version__,
            architecture=prepared.architecture,
            arguments=prepared.arguments,
            target=self.target,
            preprocess=prepared.preprocess,
            training=training,
            origin={key: value for key, value in origin.items() if key != "licence"},
            licences={"data": dataset.licence, "weights": origin.get("licence", "unknown")},
            results=tuple(results),
            other={SECTION: self.reference.to_dict()} if self.reference else {},
        )

    @property
    def pflop(self) -> float:
        """Arithmetic of the training so far, in 1e15 operations: `fovea.training.arithmetic`."""
        return self.trainer.clock.flop / 1e15


def _data_facts(dataset: Dataset, target: Task) -> list[tuple[str, str]]:
    """Return what a report says of the data beside its card."""
    facts = [("files left out", str(len(dataset.bad_files)))]
    facts += [("left out", f"{name}: {reason}") for name, reason in dataset.bad_files]
    return [*facts, *target.facts(dataset.parts["train"].labels)]


def _epoch_line(result: EpochResult, *, validated: bool) -> str:
    """Return an epoch as a line for a person; `validated` where there are images to validate on."""
    line = f"epoch {result.epoch + 1:3}  {result.elapsed_s:7.1f} s  loss {result.loss:.4f}"
    if result.val is None:
        title, text = result.metric.title, result.metric.text(result.value or 0.0)
        line += f"  train {title} {text}" if result.value else ""
        return line + ("  not validated this epoch" if validated else "")
    line += f"  val loss {result.val.loss:.4f}{result.val.text('  val ')}"
    return line + ("  best" if result.improved else "")


def _scalars(result: EpochResult) -> dict[str, float]:
    name = result.metric.name
    scalars = {"train/loss": result.loss, f"train/{name}": result.value, "lr": result.lr}
    if result.val is not None:
        scalars |= {"val/loss": result.val.loss, f"val/{name}": result.val.value}
    return {name: value for name, value in scalars.items() if value is not None}


def event_writer() -> EventWriter:
    """Return TensorBoard's writer; MissingDependencyError where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError("--tensorboard needs a library: pip install 'fovea-cnn[tensorboard]'.") from error
    writer: EventWriter = SummaryWriter
    return writer

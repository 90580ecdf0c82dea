"""One training as it runs: the network, its data and its run folder put together, and what happens at each epoch."""

import copy
import dataclasses
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import fovea
from fovea.bundle import load, save_bundle
from fovea.data.dataset import Part
from fovea.errors import MissingDependencyError, TrainingError
from fovea.jobs.preparation import Prepared
from fovea.jobs.progress import Display
from fovea.jobs.runs import Run
from fovea.training.checkpoint import load_checkpoint, save_checkpoint
from fovea.training.engine import EpochResult, Trainer
from fovea.training.evaluation import part_labels, predict_logits
from fovea.training.losses import chosen_classes, output_count
from fovea.training.metrics import number_scores, wilson_interval

EventWriter = Callable[[str], Any]
"""TensorBoard's writer of event files, made with a folder."""


class Session:
    """A trainer at work in its run folder."""

    def __init__(self, prepared: Prepared, run: Run, display: Display, *, events: EventWriter | None = None) -> None:
        self.prepared, self.run, self.display = prepared, run, display
        self.trainer = prepared.trainer()
        self.interrupted = False
        self.began_at = self.saved_at = time.monotonic()
        self.began_seen = 0
        self.events = events(str(run.folder)) if events else None

    def resume(self) -> None:
        """Continue from the run's checkpoint; from the beginning where it was killed before there was one."""
        if self.run.last.exists():
            load_checkpoint(self.run.last, self.trainer)
        self.run.rewind(self.trainer.clock.epoch)
        self.began_seen = self.images_seen
        self.display.note(f"resuming {self.run.folder} in epoch {self.trainer.clock.epoch + 1}")

    def train(self) -> None:
        """Run the training to its end, an interrupt, or a divergence; keep what is good in the run folder."""
        if self.trainer.clock.total_steps == 0:
            save_checkpoint(self.run.last, self.trainer)
        with self._interruptible():
            try:
                self.trainer.fit(on_step=self._on_step, on_epoch=self._on_epoch, stopped=lambda: self.interrupted)
            except TrainingError as error:
                kept = f" The last good network is kept in {self.run.model}." if self.run.model.exists() else ""
                raise TrainingError(f"{error}{kept}") from error
            finally:
                if self.events:
                    self.events.close()
        if self.interrupted:
            save_checkpoint(self.run.last, self.trainer)
        if not self.run.model.exists():
            self.save_model([])

    def finish(self) -> list[dict[str, Any]]:
        """Return the results of the final network on each part that was not trained on, and write them to its card."""
        if self.keeps_best:
            load(self.run.model, model=self.trainer.evaluated_model, device=str(self.prepared.device))
        names = ["val"] if self.interrupted else ["val", "test"]
        results = [self._result(name, part) for name in names if (part := self.prepared.dataset.parts.get(name))]
        self.save_model(results)
        return results

    @property
    def keeps_best(self) -> bool:
        """Whether the run's network is the best on the validation part rather than the last."""
        return self.trainer.recipe.keep_best and self.trainer.clock.best is not None

    @property
    def images_seen(self) -> int:
        """Images trained on, with repetition."""
        return self.trainer.clock.total_steps * self.trainer.images_per_step

    def save_model(self, results: list[dict[str, Any]]) -> None:
        """Write the network as it is to the run's bundle."""
        save_bundle(self.run.model, self.trainer.evaluated_model, self._card(results))

    def _on_step(self, trainer: Trainer) -> None:
        clock, now = trainer.clock, time.monotonic()
        seen = self.images_seen - self.began_seen
        rate = seen / max(now - self.began_at, 1e-9)
        detail = (
            f"epoch {clock.epoch + 1}  step {clock.step}/{trainer.steps_per_epoch}  {rate:,.0f} images/s  "
            f"loss {clock.loss_sum / clock.step:.3f}"
        )
        if trainer.train_part.labels.dtype == np.int64:
            detail += f"  accuracy {100 * clock.correct / clock.seen:.1f} %"
        self.display.advance("training", trainer.progress, 1.0, detail=detail)
        if now - self.saved_at > 60 * trainer.recipe.checkpoint_minutes:
            save_checkpoint(self.run.last, trainer)
            self.saved_at = now

    def _on_epoch(self, trainer: Trainer, result: EpochResult) -> None:
        self.run.append_metrics(dataclasses.asdict(result))
        if self.events:
            for name, value in _scalars(result).items():
                self.events.add_scalar(name, value, result.epoch + 1)
        self.display.note(_epoch_line(result))
        if result.improved or not self.keeps_best:
            self.save_model([])
        save_checkpoint(self.run.last, trainer)
        self.saved_at = time.monotonic()

    def _result(self, split: str, part: Part) -> dict[str, Any]:
        flip = self.trainer.recipe.test_flip
        counter = self.display.counter(f"evaluating on {split}")
        outputs = predict_logits(
            self.trainer.evaluated_model,
            part.decoded,
            self.prepared.preprocess,
            device=self.prepared.device,
            flip=flip,
            progress=counter,
        )
        if self.prepared.dataset.task == "number":
            mean, std = self.prepared.target
            scores = number_scores((outputs[:, 0] * std + mean).numpy(), part.labels.astype(np.float32))
            return {"split": split, "images": len(part), **scores._asdict()}
        right = int((chosen_classes(outputs) == part_labels(part)).sum())
        interval = wilson_interval(right, len(part))
        return {
            "split": split,
            "accuracy": right / len(part),
            "interval": list(interval),
            "images": len(part),
            "flip": flip,
        }

    def _card(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        prepared, recipe = self.prepared, self.trainer.recipe
        dataset = prepared.dataset
        mean, std = prepared.target
        return {
            "format": 1,
            "fovea": fovea.__version__,
            "architecture": prepared.architecture,
            "arguments": dict(prepared.arguments),
            "task": dataset.task,
            "outputs": output_count(recipe.loss, len(dataset.classes)),
            "loss": recipe.loss,
            "preprocess": prepared.preprocess.to_dict(),
            "classes": list(dataset.classes),
            "temperature": 1.0,
            **({"target": {"mean": mean, "std": std}} if dataset.task == "number" else {}),
            "training": {
                "data": {
                    "name": dataset.name,
                    "fingerprint": dataset.fingerprint,
                    "images": {name: len(part) for name, part in dataset.parts.items()},
                    "val_fraction": prepared.val_fraction,
                    "notes": list(dataset.notes),
                },
                "recipe": recipe.to_dict(),
                "seed": recipe.seed,
                "threads": recipe.threads,
                "device": prepared.device.type,
                "versions": {
                    "python": platform.python_version(),
                    "torch": torch.__version__,
                    "fovea": fovea.__version__,
                },
                "epochs": self.trainer.clock.epoch,
                "seconds": round(self.trainer.clock.elapsed_s, 1),
                "pflop": self.pflop,
            },
            "licences": {"data": dataset.licence, "weights": "unknown"},
            "results": results,
        }

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of one image's forward pass."""
        model = copy.deepcopy(self.trainer.evaluated_model).eval()
        shape = (1, self.prepared.preprocess.channels, *self.prepared.preprocess.size)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(shape, device=self.prepared.device))
        return int(counter.get_total_flops() // 2)

    @property
    def pflop(self) -> float:
        """Arithmetic of the training so far: 6 x MACs x images seen, in 1e15."""
        return 6 * self.macs * self.images_seen / 1e15

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn the first Ctrl-C or termination into a clean stop; the second Ctrl-C stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, _: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
            self.display.note("Stopping after this step; press Ctrl-C again to stop at once.")

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _epoch_line(result: EpochResult) -> str:
    line = f"epoch {result.epoch + 1:3}  {result.elapsed_s:7.1f} s  loss {result.loss:.4f}"
    if result.val is None:
        return line + (f"  train accuracy {100 * result.accuracy:.2f} %" if result.accuracy else "")
    line += f"  val loss {result.val.loss:.4f}"
    if result.val.accuracy is not None:
        line += f"  val accuracy {100 * result.val.accuracy:.2f} %"
    return line + ("  best" if result.improved else "")


def _scalars(result: EpochResult) -> dict[str, float]:
    scalars = {"train/loss": result.loss, "train/accuracy": result.accuracy, "lr": result.lr}
    if result.val is not None:
        scalars |= {"val/loss": result.val.loss, "val/accuracy": result.val.accuracy}
    return {name: value for name, value in scalars.items() if value is not None}


def event_writer() -> EventWriter:
    """Return TensorBoard's writer; MissingDependencyError where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError("--tensorboard needs a library: pip install 'fovea-cnn[tensorboard]'.") from error
    writer: EventWriter = SummaryWriter
    return writer

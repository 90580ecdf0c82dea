"""The steps of a chain, one after the other: each begins with what the file of the one before holds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fovea.card import Card
from fovea.compression.planning import Target
from fovea.compression.pruning.clock import Clock, EagerClock
from fovea.compression.step import Done, Work
from fovea.compression.steps import Asked
from fovea.compression.table import AS_GIVEN, Row
from fovea.display import Display
from fovea.drift import SECTION as REFERENCE
from fovea.errors import BundleError, DropError, TrainingError, UsageError
from fovea.evaluation.validation import reference_of
from fovea.exporting.clock import clock_at_hand
from fovea.layers import copied
from fovea.model.bundle import Bundle, load
from fovea.runs.chain.aimed import corrected
from fovea.runs.chain.kept import Kept, tensor_bytes
from fovea.runs.chain.material import Material
from fovea.runs.chain.measured import outputs_on, results_of, row_of, with_test
from fovea.runs.chain.pictures import picture_of

TIMED_BATCH = 16
"""Inputs of a pass by which steps time layers."""
SEEN = "the samples were used for training"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was asked for."""

    steps: tuple[Asked, ...]
    max_drop: float | None = None
    """Points of the score that may be lost against the first row; None allows any loss."""
    provenance: dict[str, Any]
    """What the card says beside the rows: the model, the data, seed and threads, teachers and members."""
    teacher: Callable[[Tensor], Tensor] | None = None
    """As in `Work`."""
    members: Sequence[nn.Module] = ()
    network: nn.Module | None = None
    """A user's own, whose code the model file does not hold."""
    target: Target | None = None
    """What is to be reached, where the steps were chosen for it."""
    in_integers: Callable[[Bundle], float] | None = None
    """The seconds of one input through a network that is written in integers, where the chain ends so."""


class Chain:
    """A chain at work."""

    def __init__(
        self,
        source: Path,
        settings: Settings,
        material: Material,
        kept: Kept,
        *,
        display: Display,
    ) -> None:
        self.source, self.settings, self.material, self.kept = source, settings, material, kept
        self.display = display
        self.bundle = material.bundle
        self.rows: list[Row] = []
        self.good = 0
        """Rows of the network that is kept as the result."""
        self.stopped = ""
        """Why the chain ended early; empty where it did not."""

    @property
    def written(self) -> list[str]:
        """The steps as the card names them."""
        return [step.text for step in self.settings.steps]

    def begin(self) -> None:
        """Measure the network as it was given."""
        began = time.monotonic()
        self.kept.unfinished.unlink(missing_ok=True)
        outputs = outputs_on(self.bundle, self.material, "val", self.display)
        row = row_of(AS_GIVEN, self.bundle, outputs, self.material, first=None)
        size, tensors = self.source.stat().st_size, tensor_bytes(self.source)
        seconds = round(time.monotonic() - began, 1)
        self.rows = [replace(row, file_bytes=size, tensor_bytes=tensors, seconds=seconds)]
        self.display.note(self.line(self.rows[0]))

    def resume(self) -> None:
        """Go on after the last finished step. Raises: UsageError where that was of another chain."""
        found, rows = self.kept.read()
        expected = self.settings.provenance
        for name in ("model", "data", "seed", "threads", "teacher", "members", "target", "recipe"):
            if found.get(name) != expected.get(name):
                raise UsageError(
                    f"`--resume`: the chain in `{self.kept.unfinished}` had another {name}; "
                    "give that one, or start again without `--resume`."
                )
        done = [row.step for row in rows[1:]]
        if done != self.written[: len(done)]:
            raise UsageError(
                f"`--resume`: the chain in `{self.kept.unfinished}` has done `{','.join(done)}`, and `--steps` begins "
                "otherwise; give the same steps, or start again without `--resume`."
            )
        self.rows, self.bundle = rows, self.loaded(self.kept.unfinished)
        self.good = self.kept.rows_kept(rows)
        self.display.note(f"resuming after {done[-1]}")
        self.settle(len(done) - 1)  # where it died before that

    def run(self) -> None:
        """Take the steps that are still to be taken, until the end or until one loses too much."""
        for index in range(len(self.rows) - 1, len(self.settings.steps)):
            asked = self.settings.steps[index]
            if asked.kind.closes and index == 0:
                self.keep_as_given()
            if asked.kind.closes or self.stopped:
                return
            self.display.note(self.line(self.take(asked, index)))
            self.settle(index)

    def settle(self, index: int) -> None:
        """Make the network after a step the result, or end the chain where it has lost too much."""
        row, limit = self.rows[-1], self.settings.max_drop
        if not self.judged(index):
            return
        if limit is not None and row.drop > limit:
            self.stopped = f"`{row.step}` loses {self.lost(row)}, more than `--max-drop` {limit:g}"
            return
        self.kept.promote()
        self.good = len(self.rows)

    def keep_as_given(self) -> None:
        """Write the network as it was given as the result: what follows makes another file of it."""
        outputs = outputs_on(self.bundle, self.material, "val", self.display)
        self.rows = self.write(self.kept.unfinished, self.bundle, outputs, self.rows)
        self.kept.promote()
        self.good = len(self.rows)

    def judged(self, index: int) -> bool:
        """Return whether the score counts after a step: not where the next one makes good what it has cost."""
        following = self.settings.steps[index + 1 : index + 2]
        return not any(step.kind.repairs for step in following)

    def take(self, asked: Asked, index: int) -> Row:
        """Take one step, write what came of it, and return its row."""
        began = time.monotonic()
        self.display.note(f"step {index + 1} of {len(self.settings.steps)}: {asked.text}: {asked.kind.does}")
        torch.manual_seed(self.material.seed)
        asked, done = corrected(self, asked, index)
        for note in done.notes:
            self.display.note(f"{asked.text}: {note}")
        if picture := picture_of(done, self.kept.out, step=index + 1):
            self.display.note(f"{asked.text}: what each group and block does to the loss is drawn in {picture}")
        card = self.card_of(done)
        bundle = Bundle(model=done.model.eval(), card=card, device=self.bundle.device)
        try:
            outputs = outputs_on(bundle, self.material, "val", self.display)
        except BundleError as error:  # they are not finite
            raise TrainingError(f"`{asked.text}` destroys the network: its outputs are not finite.") from error
        row = row_of(asked.text, bundle, outputs, self.material, first=self.rows[0])
        row = replace(row, notes=tuple(done.notes), seconds=round(time.monotonic() - began, 1))
        self.rows = self.write(self.kept.unfinished, bundle, outputs, [*self.rows, row])
        self.bundle = self.loaded(self.kept.unfinished)
        return self.rows[-1]

    def work(self, asked: Asked, index: int) -> Work:
        """Return what a step may use."""
        return Work(
            input_shape=self.bundle.preprocess.shape,
            refit=self.material.refit(step=index, display=self.display, title=asked.text),
            batches=self.material.batches,
            score=self.material.score,
            clock=self.clock,
            seed=self.material.seed,
            teacher=self.settings.teacher,
            members=self.settings.members,
            say=self.display.note,
            progress=self.display.counter(asked.text),
        )

    @property
    def clock(self) -> Clock | None:
        """What times layers: as networks are served, or as a target is timed; None where that only counts."""
        if self.settings.target is None:
            return clock_at_hand(TIMED_BATCH)
        if self.settings.target.what != "latency":
            return None  # any width, so that it comes close, and the same each time
        return clock_at_hand(1) if self.settings.in_integers else EagerClock(batch=1)

    def card_of(self, done: Done) -> Card:
        """Return the card of the network that a step made, without its results."""
        card = self.bundle.card
        changes: dict[str, Any] = {"changes": (*card.changes, *done.changes), "format": 0} if done.changes else {}
        return replace(card, **changes)

    def write(
        self, path: Path, bundle: Bundle, outputs: Tensor, rows: Sequence[Row], *, test: bool = False
    ) -> list[Row]:
        """Write a network to `path` with what its outputs (N, K) float32 on validation say, and return its rows."""
        material, target = self.material, bundle.target
        if target.calibrates:
            labels = material.labels("val")
            target = target.calibrated(outputs, labels) if material.unseen else target.uncalibrated_for(SEEN)
        predictor = replace(bundle, card=replace(bundle.card, target=target))
        reference = reference_of(
            "val",
            material.dataset.parts["val"].decoded,
            target.watched(target.decode(outputs)),
            bundle.preprocess,
        )
        results = results_of(predictor, material, ("val", "test") if test else ("val",))
        card = replace(predictor.card, results=results, other={**bundle.card.other, REFERENCE: reference.to_dict()})
        chain = {**self.settings.provenance, "steps": self.written}
        return list(self.kept.write(path, bundle.model, card, chain, rows))

    def finish(self) -> None:
        """Add the test split's scores of the first and the last row to the result. Raises: DropError without one."""
        if not self.good:
            raise DropError(f"{self.stopped}: no step is left to keep, and nothing is written.")
        self.rows = self.rows[: self.good]
        self.bundle = self.loaded(self.kept.out)
        # read anew: steps may change a network in place
        self.rows[0] = with_test(self.rows[0], self.loaded(self.source), self.material, self.display)
        self.rewrite([*self.rows[:-1], with_test(self.rows[-1], self.bundle, self.material, self.display)])

    def rewrite(self, rows: Sequence[Row]) -> None:
        """Write the result once more, with these rows in its card."""
        outputs = outputs_on(self.bundle, self.material, "val", self.display)
        self.rows = self.write(self.kept.out, self.bundle, outputs, rows, test=True)

    def loaded(self, path: Path) -> Bundle:
        """Return the network in a file, on the device of the chain."""
        network = self.settings.network
        own = None if network is None else copied(network)
        return load(path, model=own, device=str(self.material.bundle.device))

    def lost(self, row: Row) -> str:
        """Return what a row loses, as a person reads it."""
        metric = self.material.target.metric
        return f"{row.drop:.2f} points of {metric.title}" if metric.share else f"{row.drop:.2f} % of {metric.title}"

    def line(self, row: Row) -> str:
        """Return a row in one line, for whoever waits."""
        metric = self.material.target.metric
        size = f"{row.parameters:,} parameters, {row.nonzero:,} non-zero, {row.file_bytes:,} bytes"
        unit = "points" if metric.share else "%"
        change = f"{abs(row.drop):.2f} {unit} {'lost' if row.drop > 0 else 'gained'}"
        change = change if abs(row.drop) >= 0.005 else "nothing lost"
        return f"{row.step}: {metric.title} {metric.text(row.score)} on {row.split} ({change}), {size}"

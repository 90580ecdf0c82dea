"""Steering a training while it runs: a small file in its run folder says what is wanted, and the training obeys.

Whoever steers writes the file, `ask` does it; the training looks at its time and size after a step, and reads it where
they have changed. What it finds is a request for a state, so that reading it twice does nothing. A training that begins
or is resumed forgets earlier requests.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fovea.display import Display
from fovea.errors import FoveaError, UsageError, first_line
from fovea.fields import Fields
from fovea.runs.folder import Run
from fovea.storage import written_whole
from fovea.training.changes import CHANGEABLE, MOST_CHANGES, Change, changed, with_change
from fovea.training.engine import Trainer
from fovea.training.recipe import Recipe

RUNNING, PAUSED, STOPPED = STATES = ("running", "paused", "stopped")
EVERY_S = 0.05
"""The file is looked at no more often than this."""
MOST_BYTES = 4096
"""Of the file."""
NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted of a training."""

    state: str = RUNNING
    """One of `STATES`."""
    steps: int = 0
    """How many single steps have been asked for while it is paused, all together."""
    values: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    """Of the fields of its recipe that were changed, each with its last value."""
    snapshots: int = 0
    """How many snapshots have been asked for, all together."""
    processes: int = 1
    """Of the training: one of several, started by `torchrun`, obeys nothing."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**vars(self), "values": dict(self.values)}


def ask(run: Run, *, state: str | None = None, step: bool = False, snapshot: bool = False, **values: float) -> Request:
    """Ask the training of a run for a state, one more step, a snapshot, or other values; return all that is asked.

    Raises:
        UsageError: no such state, a field that cannot change, or not to this value; a training of several processes.
        StorageError: the folder cannot be written.
    """
    if state is not None and state not in STATES:
        raise UsageError(f"`state` (={state}) must be one of {', '.join(STATES)}.")
    changed(Recipe(), values)
    before = read_request(run)
    if before.processes > 1:
        raise UsageError(
            f"This training has {before.processes} processes (`torchrun`), and cannot be changed or watched: "
            "Ctrl-C in its shell stops it, `--resume` resumes it."
        )
    request = dataclasses.replace(
        before,
        state=PAUSED if step else state or before.state,
        steps=before.steps + step,
        snapshots=before.snapshots + snapshot,
        values={**before.values, **values},
    )
    _write(run, request)
    return request


def refuse_steering(run: Run, *, processes: int) -> None:
    """Record for whoever steers a run that its training has several processes. Raises: StorageError."""
    _write(run, Request(processes=processes))


def _write(run: Run, request: Request) -> None:
    with written_whole(run.steering) as file:
        file.write_text(json.dumps(request.to_dict()))


def read_request(run: Run) -> Request:
    """Return what is asked of the training of a run; a usual one where nothing is, or nothing that can be read."""
    try:
        with run.steering.open("rb") as file:
            values = json.loads(file.read(MOST_BYTES))
        fields = Fields(values, ValueError)
        asked = fields.table("values").values
        state = fields.text("state")
        if state not in STATES:
            return Request()
        return Request(
            state=state,
            steps=fields.whole("steps"),
            values={name: asked[name] for name in CHANGEABLE if name in asked},
            snapshots=fields.whole("snapshots") if "snapshots" in values else 0,
            processes=fields.whole("processes") if "processes" in values else 1,
        )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return Request()


class Steering:
    """One training that obeys what is asked for in its run folder."""

    def __init__(
        self,
        run: Run,
        trainer: Trainer,
        *,
        display: Display,
        check: Callable[[Recipe], None],
        snap: Callable[[], None],
    ) -> None:
        self.run, self.trainer, self.display, self.check, self.snap = run, trainer, display, check, snap
        self.request = Request()
        self.refused = ""
        """Why the last change that was asked for was not made."""
        self.waited_s = 0.0
        self._stepped = self._snapped = 0  # of the single steps and snapshots asked for
        self._seen: tuple[int, int] | None = None
        self._looked_at = 0.0

    @property
    def stops(self) -> bool:
        """Whether it was asked to stop."""
        return self.request.state == STOPPED

    @property
    def pauses(self) -> bool:
        """Whether it waits, or takes single steps."""
        return self.request.state == PAUSED

    def obey(self, *, stopped: Callable[[], bool], pausing: Callable[[], None], waiting: Callable[[], None]) -> None:
        """Do what is asked after a step: change values, and wait while it is paused; that counts as no time.

        `pausing` is called as a pause begins, `waiting` again and again during the wait, which ends where `stopped`
        says so.
        """
        began, paused = time.monotonic(), self.pauses
        if not paused and began - self._looked_at < EVERY_S:
            return
        self._look()
        if not self.pauses and not paused:
            return
        if not paused:
            self.display.note(f"paused after step {self.trainer.clock.total_steps}")
            pausing()
        while self.pauses and self._stepped >= self.request.steps and not stopped():
            waiting()
            time.sleep(EVERY_S)
            self._look()
        if self.pauses:
            self._stepped += 1
        elif paused and not self.stops:
            self.display.note("going on")
        waited = time.monotonic() - began
        self.waited_s += waited
        self.trainer.stand_still(waited)

    @property
    def state(self) -> dict[str, Any]:
        """What who steers should know of it, as JSON values."""
        asked = {name: getattr(self.recipe, name) for name in CHANGEABLE}
        return {"paused": self.pauses, "refused": self.refused, "asked": asked}

    @property
    def recipe(self) -> Recipe:
        """The recipe as the next step goes by it."""
        recipe = self.trainer.recipe
        for change in self.trainer.changes:
            if change.step == self.trainer.clock.total_steps:
                recipe = changed(recipe, change.values)
        return recipe

    def _look(self) -> None:
        """Read the file where it is another than before, and make the changes that are asked for."""
        self._looked_at = time.monotonic()
        try:
            status = self.run.steering.stat()
        except OSError:
            return
        seen = (status.st_mtime_ns, status.st_ino)
        if seen == self._seen:
            return
        self._seen, self.request = seen, read_request(self.run)
        if not self.pauses:
            self._stepped = self.request.steps
        recipe = self.recipe
        if values := {name: value for name, value in self.request.values.items() if value != getattr(recipe, name)}:
            self._change(values)
        if self.request.snapshots > self._snapped:
            self._snapped = self.request.snapshots
            self.snap()

    def _change(self, values: Mapping[str, float]) -> None:
        """Write a change into the recipe of the run, for the next step to go by; or keep why it cannot be."""
        trainer = self.trainer
        try:
            if len(trainer.changes) >= MOST_CHANGES:
                raise UsageError(f"A run has at most {MOST_CHANGES:,} changes; stop it, and start another.")
            self.check(changed(self.recipe, values))
            changes = with_change(trainer.changes, Change(trainer.clock.total_steps, values))
            self.run.write_changes([change.to_dict() for change in changes])
        except FoveaError as error:
            self.refused = first_line(error)
            self.display.note(f"not changed: {self.refused}")
            return
        trainer.changes, self.refused = changes, ""
        said = ", ".join(f"{name} {value:g}" for name, value in values.items())
        self.display.note(f"changed after step {trainer.clock.total_steps}: {said}")

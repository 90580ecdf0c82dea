"""The room "Train": a form that begins trainings, the runs of the folder, and the one that is looked at, live.

The page asks and the server answers when there is something new, one question at a time: no clock runs here for a page
that is closed or hidden.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from nicegui import core, events, run, ui

from fovea.errors import FoveaError, UsageError
from fovea.runs.folder import Run
from fovea.runs.launching import LOG, Launcher, said
from fovea.runs.listing import GOES_ON, listed, runs_in
from fovea.runs.live import Looked, read_view
from fovea.runs.steering import ask
from fovea.studio.opened import Opened, opened
from fovea.studio.train.form import FIELDS, asked, offered
from fovea.studio.train.pages import add_pages
from fovea.studio.train.previewing import preview
from fovea.studio.train.shown import Shown, history_values, row_values, view_values
from fovea.studio.train.watchers import WATCHERS
from fovea.training.changes import CHANGEABLE

PATIENCE_S = 1.0
"""A page that asks for news waits so long for them, at most."""
LOOKS_S = 0.2
"""Between two looks whether there are any."""
SKELETON = Path(__file__).with_name("skeleton.html").read_text()


@cache
def launcher_of(folder: Path) -> Launcher:
    """Return what starts trainings in a folder, the same for all pages."""
    return Launcher(folder)


class Stamps(NamedTuple):
    """When the files of a run were written of which a page shows something, in nanoseconds; 0 without one."""

    live: int
    metrics: int
    steering: int


NEVER = Stamps(-1, -1, -1)


class TrainRoom:
    """One page of the room, with the run that its user looks at."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        self.opened, self.state = opened, state
        self.launcher = launcher_of(opened.folder)
        self.question: tuple[Run, Looked] | None = None
        """What the page asked last."""
        self.stamps = NEVER
        """Of what it has been shown since it asks that."""

    async def build(self) -> None:
        """Lay the page out; the page asks for the rest."""
        add_pages(self.opened)
        ui.add_head_html('<link rel="stylesheet" href="/static/train.css"><script src="/static/train.js"></script>')
        ui.html(SKELETON, sanitize=False).classes("train-page")
        for name, handler in {
            "tick": self._tick,
            "runs": self._runs,
            "ask": self._ask,
            "start": self._start,
            "preview": self._preview,
            "resume": self._resume,
            "open": self._open,
        }.items():
            ui.on(f"train-{name}", handler)
        await ui.context.client.connected()
        begin = {
            "offered": await run.io_bound(offered, self.opened),
            "form": {name: self.state[name] for name in FIELDS if name in self.state},
            "run": self.state.get("run", ""),
            "open": self.opened.data or "",
        }
        _call("begin", begin)

    async def _runs(self, _: events.GenericEventArguments) -> None:
        rows = await run.io_bound(runs_in, self.opened.folder, self.launcher) or []
        _call("runs", [row_values(row, self._name(row.run)) for row in rows])

    async def _tick(self, event: events.GenericEventArguments) -> None:
        """Say that the page looks at a run, and show what is new of it, as soon as something is."""
        page = ui.context.client.id
        try:
            found = self._run(_text(event, "run"))
            looked = Looked(layers=(_text(event, "layer"),), sample=_number(event, "sample"))
            if await self._news((found, looked)):
                await _show(page, await run.io_bound(self._new, found, looked, page))
        except FoveaError as error:
            await _show(page, {"gone": str(error)})

    async def _news(self, question: tuple[Run, Looked]) -> bool:
        """Wait until there may be something new to show; False where the page has asked anew meanwhile."""
        if question != self.question:
            self.stamps = NEVER
        self.question = question
        ends = time.monotonic() + PATIENCE_S
        while self.question is question and self.stamps == _stamps(question[0]) and time.monotonic() < ends:
            await asyncio.sleep(LOOKS_S)
        return self.question is question

    def _new(self, found: Run, looked: Looked, page: str) -> Shown:
        """Return the state of a run, and what of its view and its curves the page has not been shown."""
        row = listed(found, self.launcher)
        values: Shown = {**row_values(row, self._name(found)), "log": said(found)[-4000:]}
        if found.is_held:
            WATCHERS.look(found, page, looked)
        before, self.stamps = self.stamps, _stamps(found)
        if self.stamps.live != before.live and (view := read_view(found)) is not None:
            values["view"] = view_values(view, looked.layers[0])
        if self.stamps.metrics != before.metrics:
            values["curves"] = history_values(found)
        return values

    async def _ask(self, event: events.GenericEventArguments) -> None:
        """Steer a training."""
        try:
            found = self._run(_text(event, "run"))
            state, values = _text(event, "state"), _table(event, "values")
            if state == "stopped":
                await run.io_bound(self.launcher.stop, found)
                return
            if not found.is_held:
                raise UsageError("This run is not being trained; resume it first.")
            numbers = {name: _value(name, str(values[name])) for name in CHANGEABLE if name in values}
            step, snapshot = (event.args.get(name) is True for name in ("step", "snapshot"))
            await run.io_bound(lambda: ask(found, state=state or None, step=step, snapshot=snapshot, **numbers))
            _call("told", "")
        except FoveaError as error:
            _call("told", str(error))

    async def _start(self, event: events.GenericEventArguments) -> None:
        try:
            wanted = asked(_texts(event), self.opened)
            runs = [
                await run.io_bound(self._begin, wanted.data, wanted.with_seed(seed), wanted.name)
                for seed in wanted.seeds
            ]
            _call("begun", [self._name(each) for each in runs if each])
        except FoveaError as error:
            _call("told", str(error))

    def _begin(self, data: str, options: list[str], name: str) -> Run:
        return self.launcher.start(data, options, name=name)

    async def _preview(self, event: events.GenericEventArguments) -> None:
        try:
            wanted = asked(_texts(event), self.opened)
            _call("previewed", await preview(wanted.data, wanted.with_seed(wanted.seeds[0]), self.opened.folder))
        except FoveaError as error:
            _call("previewed", {"fault": str(error)})

    async def _resume(self, event: events.GenericEventArguments) -> None:
        try:
            found = self._run(_text(event, "run"))
            if listed(found, self.launcher).state not in GOES_ON:
                raise UsageError("Only a training that stopped before its end can be resumed.")
            await run.io_bound(self.launcher.resume, found)
            _call("told", "")
        except FoveaError as error:
            _call("told", str(error))

    async def _open(self, event: events.GenericEventArguments) -> None:
        """Open the network of a run in the other rooms."""
        try:
            found = self._run(_text(event, "run"))
            taken = await run.io_bound(opened, found.folder)
            if taken:
                self.opened.take(taken)
                ui.navigate.to("/")
        except FoveaError as error:
            _call("told", str(error))

    def _run(self, text: str) -> Run:
        """Return the run that a page names. Raises: UsageError where it is none of this folder."""
        found = Run(self.opened.inside(text))
        if not text or not (found.recipe.is_file() or (found.folder / LOG).is_file()):
            raise UsageError(f"`{text[:80]}` is no run of this folder.")
        return found

    def _name(self, found: Run) -> str:
        """Return the path of a run from the folder of the studio."""
        folder = found.folder.resolve()
        root = self.opened.folder.resolve()
        return (folder.relative_to(root) if folder.is_relative_to(root) else folder).as_posix()


async def _show(page: str, values: Shown | None) -> None:
    """Show a page what may be large: as values, for a script that holds them is ten times as slow to take in."""
    await core.sio.emit("train-show", values, room=page)


def _call(name: str, values: object) -> None:
    ui.run_javascript(f"train.{name}({json.dumps(values)})")


def _table(event: events.GenericEventArguments, name: str) -> dict[str, Any]:
    found = event.args.get(name) if isinstance(event.args, dict) else None
    return found if isinstance(found, dict) else {}


def _texts(event: events.GenericEventArguments) -> dict[str, str]:
    return {name: value for name, value in _table(event, "form").items() if isinstance(value, str)}


def _text(event: events.GenericEventArguments, name: str) -> str:
    found = event.args.get(name) if isinstance(event.args, dict) else None
    return found[:1000] if isinstance(found, str) and "\0" not in found else ""


def _number(event: events.GenericEventArguments, name: str) -> int:
    found = event.args.get(name)
    return found if isinstance(found, int) and 0 <= found < 1 << 31 else 0


def _value(name: str, text: str) -> float:
    """Return a number for a field. Raises: UsageError."""
    try:
        return int(text) if name == "batch" else float(text)
    except ValueError:
        raise UsageError(f"`{name}` (={text[:40]}) must be a{' whole' * (name == 'batch')} number.") from None


def _stamps(found: Run) -> Stamps:
    return Stamps(*(_written(path) for path in (found.live, found.metrics, found.steering)))


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

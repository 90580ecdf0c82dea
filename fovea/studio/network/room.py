"""The room "Network": graph and costs of any network, changed as one looks, and beside another."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from fovea import registry
from fovea.errors import FoveaError
from fovea.measurement.result import Measurement
from fovea.studio.elements import button, select
from fovea.studio.network.area import graphs, zoom
from fovea.studio.network.asked import (
    Asked,
    Field,
    asked_by,
    called,
    commands_of,
    fields_of,
    letters_of,
    measured,
    python_of,
    train_address,
)
from fovea.studio.network.editor import Editor
from fovea.studio.network.exported import ExportedPage, asked_file
from fovea.studio.network.shown import compared, shown
from fovea.studio.opened import Opened

DEPTHS = {"as deep as it stays readable": 0, "parts": 1, "blocks": 2, "blocks in blocks": 3, "every layer": 99}
"""How modules are folded."""
WITH = "with."
"""Before the parameters of the second network in an address."""


class NetworkRoom:
    """One page of the room."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        self.opened, self.state = opened, state
        self.asked = asked_by(state, opened)
        other = {key.removeprefix(WITH): text for key, text in state.items() if key.startswith(WITH)}
        self.other = asked_by(other, opened) if other else None
        depth = state.get("depth", "")
        self.depth = int(depth) if depth in map(str, DEPTHS.values()) else 0
        self.asking = 0
        self.shape: tuple[int, ...] = ()
        self.kept: tuple[Asked, Measurement] | None = None

    async def build(self) -> None:
        """Lay the page out, and show what its state asks for."""
        self.client = ui.context.client  # the fields whose events are handled come and go
        ui.add_head_html('<link rel="stylesheet" href="/static/network.css"><script src="/static/network.js"></script>')
        file = asked_file(self.opened, self.state)
        if file is not None:
            await ExportedPage(file, self.state).build()
            return
        with ui.element("main").classes("network"):
            with ui.element("section").props('aria-label="What is shown"').classes("asked"):
                self._question()
            with ui.element("section").props('aria-label="Graph"').classes("seen"):
                self._graphs()
            with ui.element("section").props('aria-label="Costs"').classes("costs"):
                ui.html('<div id="network-costs"><p class="soft" role="status">Measuring ...</p></div>', sanitize=False)
        await self.client.connected()
        self._fields()
        beside = called(self.other, self.opened) if self.other else ""
        self.client.run_javascript(f"network.value({self.second.id}, {json.dumps(beside)})")
        await self._show(select_path=self.state.get("layer", ""))

    def _question(self) -> None:
        ui.html("<h2>The network</h2>", sanitize=False)
        with ui.element("datalist").props('id="network-names"'):
            for name in registry.names():
                ui.element("option").props(f'value="{name}"')
        self.name = self._text("A name, letters, or a file of the folder", self._named, names=True)
        self.size = self._text("Input, as 3x224x224", self._sized)
        with ui.element("div").classes("buttons"):
            if self.opened.bundle is not None:
                button("What is open", lambda: self._ask(Asked()))
            self.spell = button("Change it layer by layer", self._spell)
        self.arguments = ui.element("div").classes("fields")
        ui.html('<p id="network-error" class="error" role="alert"></p>', sanitize=False)
        self.editor = Editor(lambda text: self._ask(replace(self.asked, text=text), typed=True), self._tell)
        ui.html('<h2 class="next">Beside it</h2>', sanitize=False)
        self.second = self._text("Another name, or letters", self._compare, names=True)
        with ui.element("div").classes("buttons"):
            button("Keep this one and continue", self._keep)
            button("Nothing beside it", lambda: self._compare(""))
        ui.html('<h2 class="next">What to do with it</h2>', sanitize=False)
        with ui.element("div").classes("buttons"):
            button("As Python", self._python)
            self.train = ui.link("Train this", "/train").classes("plain")
        self.commands = ui.element("div").classes("commands")

    def _text(self, label: str, changed: Any, *, names: bool = False) -> ui.element:
        with ui.element("label").classes("wide"):
            ui.label(label)
            made = ui.element("input").classes("plain").props(f'type="text" aria-label="{label}" autocomplete="off"')
            if names:
                made.props('list="network-names" spellcheck="false"')
        return made.on("change", lambda event: changed(str(event.args)), js_handler="(e) => emit(e.target.value)")

    def _graphs(self) -> None:
        with ui.element("div").classes("buttons"):
            now = next(label for label, depth in DEPTHS.items() if depth == self.depth)
            select("Modules are folded to", list(DEPTHS), self._fold, value=now)
            zoom()
        graphs("A layer: choose a box or a row")

    async def _ask(self, asked: Asked, *, typed: bool = False) -> None:
        """Show another network; fields and blocks stay as they are while somebody types in them."""
        before, self.asked = self.asked, asked
        if not typed:
            self._fields()
        elif asked.text != before.text:
            self.client.run_javascript(f"network.value({self.name.id}, {json.dumps(asked.text)})")
        await self._show()

    async def _named(self, text: str) -> None:
        await self._ask(Asked(text=text.strip()[:2000], shape=self.asked.shape if self._same_kind(text) else ""))

    def _same_kind(self, text: str) -> bool:
        """Say whether the size that was typed is to stay: letters are changed letter by letter."""
        return bool(self.asked.letters and Asked(text=text).letters)

    async def _sized(self, text: str) -> None:
        await self._ask(replace(self.asked, shape=text.strip()[:40]), typed=True)

    async def _argument(self, key: str, value: str) -> None:
        await self._ask(self.asked.with_argument(key, value[:200], self.opened), typed=bool(self.asked.text))

    async def _fold(self, label: str) -> None:
        self.depth = DEPTHS[label]
        await self._show()

    async def _keep(self) -> None:
        self.other = self.asked
        self.client.run_javascript(f"network.value({self.second.id}, {json.dumps(called(self.asked, self.opened))})")
        await self._show()

    async def _compare(self, text: str) -> None:
        self.other = Asked(text=text.strip()[:2000], shape="x".join(map(str, self.shape))) if text.strip() else None
        if self.other is None:
            self.client.run_javascript(f"network.value({self.second.id}, '')")
        await self._show()

    async def _spell(self) -> None:
        try:
            asked = await asyncio.to_thread(letters_of, self.asked, self.opened, self.shape)
        except FoveaError as error:
            self._tell(str(error))
            return
        await self._ask(asked)

    async def _python(self) -> None:
        try:
            text = await asyncio.to_thread(python_of, self.asked, self.opened)
        except FoveaError as error:
            self._tell(str(error))
            return
        with self.client:
            ui.download(text.encode(), "network.py", "text/x-python")

    def _fields(self) -> None:
        """Show name, input and arguments of what is asked for."""
        asked = self.asked
        for element, text in ((self.name, asked.text), (self.size, asked.shape)):
            self.client.run_javascript(f"network.value({element.id}, {json.dumps(text)})")
        self.arguments.clear()
        try:
            fields = fields_of(asked, self.opened)
            self.editor.show(asked.letters)
        except FoveaError:
            fields = []
            self.editor.show("")
        self.spell.set_visibility(not asked.letters)
        with self.arguments:
            for field in fields:
                self._argument_field(field)

    def _argument_field(self, field: Field) -> None:
        with ui.element("label"):
            ui.label(field.key)
            kind = f'type="{field.kind}"' if field.kind else 'type="number"'
            made = ui.element("input").classes("plain").props(f'{kind} aria-label="{field.key}"')
            if field.kind == "checkbox":
                made.props("checked" if field.value.lower() == "true" else "")
            elif not field.kind:
                made.props(f'min="{field.low}" max="{field.high}" step="{field.step}"')
            self.client.run_javascript(f"network.value({made.id}, {json.dumps(field.value)})")
            read = "String(e.target.checked)" if field.kind == "checkbox" else "e.target.value"
            made.on(
                "change" if field.kind else "input",
                lambda event: self._argument(field.key, str(event.args)),
                js_handler=f"(e) => emit({read})",
            )

    async def _show(self, *, select_path: str = "") -> None:
        """Measure what is asked for, and show it; of several questions at a time the last is answered."""
        self.asking += 1
        asking, began = self.asking, time.perf_counter()
        try:
            found = await asyncio.to_thread(measured, self.asked, self.opened)
            beside = await self._beside()
            answer = await asyncio.to_thread(shown, found, depth=self.depth or None)
            if beside is not None:
                answer |= await asyncio.to_thread(compared, found, beside, depth=self.depth or None)
        except FoveaError as error:
            if asking == self.asking:
                self._tell(str(error))
            return
        if asking != self.asking:
            return
        self.shape = found.input_shape
        self._addresses()
        self.client.run_javascript(f"network.placeholder({self.size.id}, {json.dumps('x'.join(map(str, self.shape)))})")
        answer |= {"layer": select_path[:400], "ms": round(1000 * (time.perf_counter() - began))}
        self.client.run_javascript(f"network.show({json.dumps(answer)})")

    async def _beside(self) -> Measurement | None:
        """Return the second network measured, anew where it is another one."""
        if self.other is None:
            return None
        if self.kept is None or self.kept[0] != self.other:
            self.kept = self.other, await asyncio.to_thread(measured, self.other, self.opened)
        return self.kept[1]

    def _addresses(self) -> None:
        """Keep the state in the address, and say how the command line makes and trains the network."""
        second = self.other.query() if self.other else {}
        state = self.asked.query() | {WITH + key: text for key, text in second.items()}
        if self.depth:
            state["depth"] = str(self.depth)
        address = "/network" + (f"?{urlencode(state)}" if state else "")
        self.client.run_javascript(f"history.replaceState(null, '', {json.dumps(address)})")
        train = train_address(self.asked, self.shape)
        self.train.set_visibility(bool(train))
        self.train.props["href"] = train or "/train"
        self.train.update()
        self.commands.clear()
        with self.commands:
            for line in commands_of(self.asked, self.shape):
                ui.label(line)

    def _tell(self, text: str) -> None:
        self.client.run_javascript(f"network.error({json.dumps(text)})")

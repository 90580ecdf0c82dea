"""The page of an `.onnx` file: its graph, what each operation takes and makes, and a search."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from nicegui import events, ui

from fovea.errors import FoveaError
from fovea.model.container import is_exported
from fovea.report.exported_graph import MOST_DRAWN, Operation, Outline, drawn_file, rows_of_file
from fovea.runtime.exported import read_file
from fovea.studio.elements import select
from fovea.studio.network.area import graphs, zoom
from fovea.studio.opened import Opened

ALL = "all operators"
MOST_ROWS = 1000
"""Operations of one list."""


def asked_file(opened: Opened, state: Mapping[str, str]) -> Path | str | None:
    """Return the `.onnx` file that a page shows, None where it shows a network; a text says why it cannot be."""
    text = state.get("model", "")
    if text.endswith(".onnx"):
        try:
            return opened.inside(text)
        except FoveaError as error:
            return str(error)
    return opened.exported if opened.exported is not None and not text else None


class ExportedPage:
    """What a page shows of one file."""

    def __init__(self, file: Path | str, state: Mapping[str, str]) -> None:
        self.file = file
        self.text, self.operator = state.get("search", "")[:100], ""
        self.drawn_from = -1

    async def build(self) -> None:
        """Lay the page out, and show the graph."""
        with ui.element("main").classes("network"):
            try:
                if isinstance(self.file, str) or not is_exported(self.file):
                    raise FoveaError(str(self.file))
                self.outline = Outline(file=await asyncio.to_thread(read_file, self.file))
            except FoveaError as error:
                ui.label(str(error)).classes("error").props('role="alert"')
                return
            with ui.element("section").props('aria-label="What is shown"').classes("asked"):
                self._question()
            with ui.element("section").props('aria-label="Graph"').classes("seen"):
                zoom()
                graphs("An operation: choose a box or a row")
            with ui.element("section").props('aria-label="Operations"').classes("costs"):
                ui.html('<div id="network-costs"><p class="soft" role="status">Measuring ...</p></div>', sanitize=False)
        ui.on("network-node", self._chosen)
        await ui.context.client.connected()
        ui.run_javascript(f"network.value({self.field.id}, {json.dumps(self.text)})")
        await self._show()

    def _question(self) -> None:
        ui.html("<h2>An exported network</h2>", sanitize=False)
        for what, value in self.outline.facts():
            ui.label(f"{what}: {value}").classes("fact")
        with ui.element("label").classes("wide"):
            ui.label("Search names and operators")
            self.field = ui.element("input").classes("plain").props('type="search" aria-label="Search"')
        self.field.on("input", self._searched, js_handler="(e) => emit(e.target.value)", throttle=0.2)
        names = [ALL, *(f"{name} ({count})" for name, count in self.outline.operators().items())]
        select("Operators", names[:200], self._only)
        ui.html('<p id="network-error" class="error" role="alert"></p>', sanitize=False)

    async def _searched(self, event: events.GenericEventArguments) -> None:
        self.text = str(event.args)[:100]
        await self._show()

    async def _only(self, name: str) -> None:
        self.operator = "" if name == ALL else name.rpartition(" (")[0]
        await self._show()

    async def _show(self) -> None:
        """Draw the graph about the first that is found, and list all that are."""
        found = self.outline.search(self.text, self.operator)
        around = found[0].number if found and (self.text or self.operator) else 0
        await self._draw(around)
        answer = {
            "rows": rows_of_file(found[:MOST_ROWS]),
            "lines": [f"{len(found):,} of {len(self.outline.operations):,} operations"],
            "found": [one.number for one in found] if self.text or self.operator else [],
        }
        ui.run_javascript(f"network.operations({json.dumps(answer)})")

    async def _draw(self, around: int) -> None:
        """Draw the part of the graph with an operation in it, where that is not drawn yet."""
        many = len(self.outline.operations) > MOST_DRAWN
        if self.drawn_from >= 0 and (not many or abs(around - self.drawn_from) < MOST_DRAWN // 4):
            return
        self.drawn_from = around
        graph = asdict(await asyncio.to_thread(drawn_file, self.outline, around=around))
        name = f"{self.outline.file.source}, {MOST_DRAWN} of them" if many else self.outline.file.source
        ui.run_javascript(f"network.draw({json.dumps({'name': name, 'graph': graph})})")

    async def _chosen(self, event: events.GenericEventArguments) -> None:
        """Tell all of one operation."""
        number = int(event.args) if str(event.args).isdecimal() else -1
        if not 0 <= number < len(self.outline.operations):
            return
        await self._draw(number)
        ui.run_javascript(f"network.told({json.dumps(_told(self.outline.operations[number]))})")


def _told(one: Operation) -> dict[str, object]:
    said = [("operator", one.operator)]
    said += [(f"takes {name}", what) for name, what in one.inputs]
    said += [(f"makes {name}", what) for name, what in one.outputs]
    return {"place": one.number, "title": one.name or one.operator, "lines": said + list(one.attributes)}

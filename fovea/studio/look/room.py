"""The room "Look": every layer's maps of any image; a unit under the pointer, what it sees and how it comes about."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import events, run, ui

from fovea.drawing.blocks import scene
from fovea.drawing.mosaic import png
from fovea.errors import FoveaError, UsageError
from fovea.studio.elements import button, png_url
from fovea.studio.image import ImageColumn
from fovea.studio.look.looking import Looking
from fovea.studio.opened import Opened

SIDE = 560
"""Pixels of the page that the longer side of small maps takes."""

MAPS = """<div class="scroll"><div id="map-frame" tabindex="0" role="application"
aria-label="Maps of the open layer; arrow keys move from unit to unit, Enter opens what it is made of">
<img id="map-picture" class="pixelated" alt="Maps of the open layer">
<svg class="mark" id="map-mark" preserveAspectRatio="none"><rect visibility="hidden"/></svg></div></div>"""

SPACE = """<details id="space"><summary>3-D view</summary>
<canvas id="space-canvas" tabindex="0" role="application"
aria-label="The network as blocks of maps; arrow keys turn it, plus and minus change its size, Home turns it back. The
same as a list stands below."></canvas>
<p class="soft">Bright is active. Drag or use the arrow keys to turn, + and - for size; a click opens a layer. Sides are
to scale by logarithm; of each layer the most active maps are shown.</p>
<button class="plain" type="button" id="space-all" hidden>All of the network</button>
<details><summary>As a list</summary><ol id="space-list"></ol></details></details>"""


class LookRoom:
    """One page of the room, with the image that its user looks at."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        self.opened, self.state = opened, state
        self.looking: Looking | None = None
        self.space: int | None = None
        """The group of layers that is shown in space, -1 for all; None where nothing is."""
        self.strip: list[ui.element] = []
        self.buttons: list[ui.element] = []

    async def build(self) -> None:
        """Lay the page out, and look at a first image."""
        if self.opened.bundle is None:
            if self.opened.exported is None:  # of such a network the frame says it
                ui.label("No network is open: start the studio with a model file, as `fovea studio model.safetensors`.")
            return
        self.bundle = self.opened.own_bundle()
        self.column = ImageColumn(self.bundle, self.opened, self._show)
        ui.add_head_html(
            '<link rel="stylesheet" href="/static/space.css">'
            '<script src="/static/look.js"></script><script src="/static/space.js"></script>'
        )
        with ui.element("main").classes("room"):
            with ui.element("section").props('aria-label="Image"'):
                self.column.build(over=_mark_over(0))
            with ui.element("section").props('aria-label="Layers"'):
                self._layers()
            with ui.element("section").props('aria-label="Unit" aria-live="polite"'):
                _unit()
        for name, handler in {
            "hover": self._hover,
            "choose": self._choose,
            "follow": self._follow,
            "space": self._in_space,
            "layer": self._chosen,
        }.items():
            ui.on(name, handler)
        client = ui.context.client
        client.on_disconnect(self._leave)
        client.on_delete(self._leave)
        await client.connected()
        ui.run_javascript(f"look.begin(); space.begin({json.dumps('space' in self.state)})")
        await self.column.begin(self.state)
        self._enter(self.state.get("layer", ""), self.state.get("unit", ""))

    def _enter(self, layer: str, unit: str) -> None:
        """Open the layer and the unit that the address asks for; say what is not there."""
        if self.looking is None or not (layer or unit):
            return
        try:
            number, place = self.looking.asked(layer or str(self.looking.layer), unit)
        except UsageError as error:
            ui.notify(str(error))
            return
        if place is not None:
            self._go(number, place)
        else:
            self._choose_layer(number)

    def _leave(self) -> None:
        """Let the pass go; a page that comes back has it made anew."""
        if self.looking is not None:
            self.opened.passes.free(self.looking)

    def _layers(self) -> None:
        ui.html("<h2>Layers, from the input to the answer</h2>", sanitize=False)
        self.row = ui.element("div").classes("strip").props('role="group" aria-label="Layers"')
        ui.html(SPACE, sanitize=False)
        with ui.row().style("align-items:baseline; gap:0.6rem"):
            self.title = ui.label().style("font-weight:700")
            self.more = button("More maps", self._next_maps)
        ui.html(MAPS, sanitize=False)
        self.words = ui.label().classes("soft")

    async def _show(self, sample: Any) -> None:
        if self.looking is None:
            self.looking = Looking(self.bundle, sample, self.opened.passes)
        await run.io_bound(self.looking.look_at, sample)
        self.column.show(self._now.drawn, self._now.prediction())
        self._strip()
        self._open()
        await self._show_space()

    def _strip(self) -> None:
        """Draw the small pictures; the buttons stay while the network does."""
        looking = self._now
        if len(self.strip) != len(looking.layers.all):
            self.row.clear()
            self.strip, self.buttons = [], []
            with self.row:
                for layer in looking.layers.all:
                    with ui.element("button").props('type="button"') as button:
                        self.buttons.append(button)
                        button.on("click", lambda _, number=layer.number: self._choose_layer(number))
                        with ui.element("div").classes("thumb"):
                            self.strip.append(ui.element("img").props('alt=""').classes("pixelated"))
                            ui.html(_mark_over(layer.number, prefix="strip"), sanitize=False)
                        with ui.element("span").classes("words"):
                            ui.label(layer.title)
                            ui.label(" x ".join(map(str, layer.shape))).classes("soft")
        for image, layer in zip(self.strip, looking.layers.all, strict=True):
            image.props(f'src="{png_url(looking.small(layer))}"')

    @property
    def _now(self) -> Looking:
        if self.looking is None:
            raise UsageError("No image is shown yet.")
        return self.looking

    def _open(self) -> None:
        looking, mosaic = self._now, self._now.mosaic
        width, height = mosaic.size
        scale = max(1, SIDE // max(width, height))
        shown = (
            f"{mosaic.count} of {mosaic.shape[0]} maps" if mosaic.count < mosaic.shape[0] else f"{mosaic.count} maps"
        )
        self.title.set_text(looking.open.title)
        self.words.set_text(f"{shown} of {' x '.join(map(str, mosaic.shape[1:]))}; red is above zero, blue below")
        self.more.set_visibility(mosaic.count < mosaic.shape[0])
        for number in range(len(self.buttons)):
            self.buttons[number].props(f'aria-pressed="{str(number == looking.layer).lower()}"')
        ui.run_javascript(f"look.map({json.dumps(png_url(looking.picture()))}, {[width, height]}, {scale})")
        ui.run_javascript(f"space.mark({looking.layer})")

    async def _in_space(self, event: events.GenericEventArguments) -> None:
        """Show the network, or one group of its layers, in space; or nothing any more."""
        self.space = event.args if isinstance(event.args, int) else None
        await self._show_space()

    async def _show_space(self) -> None:
        if self.space is None or self.looking is None:
            return
        try:
            shown = await run.io_bound(scene, self.looking.layers, self.space)
        except UsageError:  # a page of another network asks
            self.space = -1
            return
        if shown is None:  # the studio ends
            return
        values = [list(shown.blocks), png_url(png(shown.sheet)), self.space, self.looking.layer]
        ui.run_javascript(f"space.show({', '.join(map(json.dumps, values))})")

    def _chosen(self, event: events.GenericEventArguments) -> None:
        if isinstance(event.args, int) and self.looking is not None and 0 <= event.args < len(self._now.layers.all):
            self._choose_layer(event.args)

    def _choose_layer(self, number: int) -> None:
        self._now.open_layer(number)
        self._open()

    def _next_maps(self) -> None:
        looking = self._now
        looking.first += looking.mosaic.count
        if looking.first >= looking.mosaic.shape[0]:
            looking.first = 0
        self._open()

    def _hover(self, event: events.GenericEventArguments) -> None:
        unit = None if self.looking is None else self._now.unit_at(*_place(event.args))
        self._tell(unit)

    def _choose(self, event: events.GenericEventArguments) -> None:
        """Follow a unit back to the largest of what it is made of."""
        unit = None if self.looking is None else self._now.unit_at(*_place(event.args))
        if unit is None:
            self._tell(None)
            return
        terms = [term for term in self._now.layers.written(self._now.open, unit)["terms"] if term["layer"] is not None]
        if not terms:
            self._tell(unit)
            return
        largest = max(terms, key=lambda term: abs(term["value"] * (1 if term["weight"] is None else term["weight"])))
        self._go(largest["layer"], tuple(largest["unit"]))

    def _follow(self, event: events.GenericEventArguments) -> None:
        try:
            layer, unit = int(event.args["layer"]), tuple(map(int, event.args["unit"]))
            self._go(layer, unit)
        except (KeyError, TypeError, ValueError, FoveaError):
            self._tell(None)

    def _go(self, layer: int, unit: tuple[int, ...]) -> None:
        self._now.open_layer(layer, unit)
        self._open()
        self._tell(unit)

    def _tell(self, unit: Sequence[int] | None) -> None:
        answer = None if unit is None else self._now.unit(tuple(unit))
        ui.run_javascript(f"look.unit({json.dumps(answer)})")


def _unit() -> None:
    ui.html(
        '<h2 id="unit-title">A unit: move the pointer over the maps</h2><div id="unit-lines"></div>'
        '<table class="terms"><thead><tr><th scope="col">value</th><th scope="col">weight</th>'
        '<th scope="col">read from</th></tr></thead><tbody id="unit-terms"></tbody></table>',
        sanitize=False,
    )


def _mark_over(layer: int, *, prefix: str = "image") -> str:
    """Return the HTML of the frame over a picture of a layer."""
    return (
        f'<svg class="mark" id="{prefix}-{layer}" data-layer="{layer}" preserveAspectRatio="none">'
        '<rect visibility="hidden"/></svg>'
    )


def _place(args: Any) -> tuple[int, int]:
    """Return the pixel that a page asks for; outside where it asks for none."""
    try:
        return int(args["x"]), int(args["y"])
    except (KeyError, TypeError, ValueError):
        return (-1, -1)

"""The room "Look": every layer's maps of any image; a unit under the pointer, what it sees and how it comes about."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nicegui import events, run, ui
from PIL import Image

from fovea.drawing.mosaic import png
from fovea.errors import FoveaError, UsageError
from fovea.model.bundle import Bundle
from fovea.studio.elements import MOST_UPLOAD, button, png_url
from fovea.studio.look.looking import Looking
from fovea.studio.opened import Opened

SIDE = 560
"""Pixels of the page that the longer side of small maps takes."""
BARS = 8
SMALL = 64
"""Pixels of an input that is drawn by hand, at most."""

MAPS = """<div class="scroll"><div id="map-frame" tabindex="0" role="application"
aria-label="Maps of the open layer; arrow keys move from unit to unit, Enter opens what it is made of">
<img id="map-picture" class="pixelated" alt="Maps of the open layer">
<svg class="mark" id="map-mark" preserveAspectRatio="none"><rect visibility="hidden"/></svg></div></div>"""


class LookRoom:
    """One page of the room, with the image that its user looks at."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        self.opened = opened
        self.state = state
        self.looking: Looking | None = None
        self.strip: list[ui.element] = []
        self.buttons: list[ui.element] = []

    async def build(self) -> None:
        """Lay the page out, and look at a first image."""
        if self.opened.bundle is None:
            ui.label("No network is open: start the studio with a model file, as `fovea studio model.safetensors`.")
            return
        ui.add_head_html('<script src="/static/look.js"></script>')
        with ui.element("main").classes("room"):
            with ui.element("section").props('aria-label="Image"'):
                self._image()
            with ui.element("section").props('aria-label="Layers"'):
                self._layers()
            with ui.element("section").props('aria-label="Unit" aria-live="polite"'):
                _unit()
        for name, handler in {
            "hover": self._hover,
            "choose": self._choose,
            "follow": self._follow,
            "drawn": self._drawn,
            "refused": lambda event: ui.notify(str(event.args)[:200]),
        }.items():
            ui.on(name, handler)
        await ui.context.client.connected()
        ui.run_javascript("look.begin(); look.pad();")
        await self._show(first_sample(self.bundle))
        self._enter(self.state.get("layer", ""), self.state.get("unit", ""))

    def _enter(self, layer: str, unit: str) -> None:
        """Open the layer and the unit that the address asks for; what there is not is told."""
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

    @property
    def bundle(self) -> Bundle:
        """The network that is looked at."""
        if self.opened.bundle is None:
            raise UsageError("No network is open.")
        return self.opened.bundle

    def _image(self) -> None:
        H, W = (*self.bundle.preprocess.shape, 1)[1:3]
        ui.html("<h2>The image, as the network takes it</h2>", sanitize=False)
        with ui.element("div").classes("framed"):
            self.picture = (
                ui.element("img").props('alt="The input of the network"').style("width:100%").classes("pixelated")
            )
            _mark_over(0)
        ui.upload(label="An image file", auto_upload=True, max_file_size=MOST_UPLOAD, on_upload=self._uploaded).props(
            'accept="image/*" flat bordered'
        ).style("width:100%")
        button("Camera").on("click", js_handler="() => look.camera()")
        if max(H, W) <= SMALL:
            ui.html(
                '<h2 style="margin-top:1rem">Or draw</h2><canvas id="pad" width="200" height="200" '
                'aria-label="A canvas to draw on"></canvas><br>'
                '<button class="plain" id="pad-clear" type="button">Clear</button>',
                sanitize=False,
            )
        ui.html('<h2 style="margin-top:1rem">What the network says</h2><div id="bars"></div>', sanitize=False)

    def _layers(self) -> None:
        ui.html("<h2>Layers, from the input to the answer</h2>", sanitize=False)
        self.row = ui.element("div").classes("strip").props('role="group" aria-label="Layers"')
        with ui.row().style("align-items:baseline; gap:0.6rem"):
            self.title = ui.label().style("font-weight:700")
            self.more = button("More maps", self._next_maps)
        ui.html(MAPS, sanitize=False)
        self.words = ui.label().classes("soft")

    async def _show(self, image: Any) -> None:
        layer = self.looking.layer if self.looking else 1
        try:
            self.looking = await run.io_bound(Looking.at, self.bundle, image, layer=layer)
        except FoveaError as error:
            ui.notify(f"The image cannot be shown: {error}", type="negative")
            ui.run_javascript("look.answered()")
            return
        self.picture.props(f'src="{png_url(png(Image.fromarray(np.squeeze(self._now.drawn))))}"')
        self._strip()
        self._open()
        ui.run_javascript(f"look.bars({json.dumps(self._bars())})")

    def _bars(self) -> list[tuple[str, float, str]]:
        prediction = self._now.prediction()
        if not prediction.scores:
            return [(prediction.text, 0.0, "")]
        return [(label, float(share), f"{share:.1%}") for label, share in prediction.scores[:BARS]]

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
                            _mark_over(layer.number, prefix="strip")
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

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        await self._show(await event.file.read())

    async def _drawn(self, event: events.GenericEventArguments) -> None:
        _, _, text = str(event.args).partition(",")
        try:
            content = base64.b64decode(text[:MOST_UPLOAD], validate=True)
        except binascii.Error:
            ui.run_javascript("look.answered()")
            return
        await self._show(content)


def first_sample(bundle: Bundle) -> Any:
    """Return an image to begin with: a digit for small grey inputs, a photograph for others."""
    C, *sizes = bundle.preprocess.shape
    if C == 1 and max(sizes) <= SMALL:
        from sklearn.datasets import load_digits

        return (load_digits().images[2] * 15.9).astype(np.uint8)
    from sklearn.datasets import load_sample_image

    return load_sample_image("flower.jpg")


def _unit() -> None:
    ui.html(
        '<h2 id="unit-title">A unit: move the pointer over the maps</h2><div id="unit-lines"></div>'
        '<table class="terms"><thead><tr><th scope="col">value</th><th scope="col">weight</th>'
        '<th scope="col">read from</th></tr></thead><tbody id="unit-terms"></tbody></table>',
        sanitize=False,
    )


def _mark_over(layer: int, *, prefix: str = "image") -> None:
    ui.html(
        f'<svg class="mark" id="{prefix}-{layer}" data-layer="{layer}" preserveAspectRatio="none">'
        '<rect visibility="hidden"/></svg>',
        sanitize=False,
    )


def _place(args: Any) -> tuple[int, int]:
    """Return the pixel that a page asks for; outside where it asks for none."""
    try:
        return int(args["x"]), int(args["y"])
    except (KeyError, TypeError, ValueError):
        return (-1, -1)

"""The column of a page that says which image is looked at: a file, an example, a picture of the camera, a drawing."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from nicegui import events, run, ui
from numpy.typing import NDArray
from PIL import Image

from fovea.drawing.mosaic import png
from fovea.errors import FoveaError
from fovea.model.bundle import Bundle
from fovea.studio.elements import MOST_UPLOAD, button, png_url, select, upload
from fovea.studio.examples import NAMES, SMALL, example, first_example
from fovea.studio.opened import Opened
from fovea.tasks.prediction import Prediction
from fovea.texts import percent

BARS = 8
PAD = (
    '<h2 style="margin-top:1rem">Or draw</h2><canvas id="pad" width="200" height="200" '
    'aria-label="A canvas to draw on"></canvas><br>'
    '<button class="plain" id="pad-clear" type="button">Clear</button>'
)


class ImageColumn:
    """The image of one page. `looked` gets one stored sample (H, W, C) uint8 whenever another is chosen."""

    def __init__(self, bundle: Bundle, opened: Opened, looked: Callable[[Any], Awaitable[None]]) -> None:
        self.bundle, self.opened, self.looked = bundle, opened, looked
        self.source: Any = None
        """The image as it was given: a path, the bytes of a file, or an array."""

    def build(self, *, over: str) -> None:
        """Lay the column out; `over` is the HTML of what lies over the picture."""
        ui.add_head_html('<script src="/static/image.js"></script>')
        ui.html("<h2>The image as the network receives it</h2>", sanitize=False)
        with ui.element("div").classes("framed"):
            self.picture = ui.element("img").props('alt="The input of the network"').classes("pixelated wide")
            ui.html(over, sanitize=False)
        upload("An image file", self._uploaded, accept="image/*")
        button("Camera").on("click", js_handler="() => image.camera()")
        select("Example", ["...", *NAMES], self._example)
        if max((*self.bundle.preprocess.shape, 1)[1:3]) <= SMALL:
            ui.html(PAD, sanitize=False)
        ui.html('<h2 style="margin-top:1rem">Prediction</h2><div id="bars"></div>', sanitize=False)
        ui.on("drawn", self._drawn)
        ui.on("refused", lambda event: ui.notify(str(event.args)[:200]))

    async def begin(self, state: Mapping[str, str]) -> None:
        """Show the first image: that of the page's address, as `?example=china` or `?image=cat.png`, or any."""
        ui.run_javascript("image.pad()")
        first = first_example(self.bundle.preprocess.shape)
        try:
            given = self.opened.inside(state["image"]) if state.get("image") else example(state.get("example", first))
        except FoveaError as error:
            ui.notify(str(error), type="negative")
            given = example(first)
        if not await self.choose(given):
            await self.choose(example(first))

    async def choose(self, image: Any) -> bool:
        """Take an image: a path, the bytes of a file, or a uint8 array; where it cannot be read, say so.

        Return whether it could.
        """
        try:
            sample = await run.io_bound(self.bundle.read, image)
            self.source = image
            await self.looked(sample)
        except FoveaError as error:
            ui.notify(f"The image cannot be shown: {error}", type="negative")
            return False
        finally:
            ui.run_javascript("image.answered()")
        return True

    def show(self, drawn: NDArray[np.uint8], said: Prediction) -> None:
        """Show a picture (H, W, C) uint8, and what the network says of it."""
        self.picture.props(f'src="{png_url(png(Image.fromarray(np.squeeze(drawn))))}"')
        ui.run_javascript(f"image.bars({json.dumps(bars(said))})")

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        await self.choose(await event.file.read())

    async def _example(self, name: str) -> None:
        if name in NAMES:
            await self.choose(example(name))

    async def _drawn(self, event: events.GenericEventArguments) -> None:
        _, _, text = str(event.args).partition(",")
        try:
            content = base64.b64decode(text[:MOST_UPLOAD], validate=True)
        except binascii.Error:
            ui.run_javascript("image.answered()")
            return
        await self.choose(content)


def bars(said: Prediction) -> list[tuple[str, float, str]]:
    """Return the likeliest answers as a page shows them: name, share 0..1, and its text."""
    if not said.scores:
        return [(said.text, 0.0, "")]
    return [(label, float(share), percent(share)) for label, share in said.scores[:BARS]]

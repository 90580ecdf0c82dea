"""The room "Lab": one operation on a small grid, whose cells, kernel, stride and padding are changed as one looks.

Images are (C, H, W), kernels (C_out, C, H, W), float64.
"""

import json
from collections.abc import Mapping
from functools import partial

import numpy as np
from nicegui import events, ui

from fovea.reference.padding import Array
from fovea.studio.elements import select
from fovea.studio.lab.state import CHOICES, EXAMPLES, MOST_SIDE, NUMBERS, LabState, lab_state
from fovea.studio.opened import Opened


class LabRoom:
    """One page of the room."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        found = lab_state(state)
        self.image, self.kernel, self.settings = found.image, found.kernel, found.settings
        self.example = state.get("example", "")
        self.refused = found.refused
        self.fields: dict[tuple[str, int], ui.element] = {}
        """Those that hold a size, by grid and axis."""

    async def build(self) -> None:
        """Lay the page out, and work what the address asks for."""
        ui.add_head_html('<script src="/static/lab.js"></script>')
        with ui.element("main").classes("lab"):
            with ui.element("section").classes("wide settings").props('aria-label="Settings"'):
                self._settings()
            ui.html('<p id="lab-error" class="error wide" role="alert"></p>', sanitize=False).classes("wide")
            for name, title in {
                "image": "Input (edit the cells)",
                "kernel": "Kernel",
                "output": "Output (point at a cell)",
                "gradient": "Gradient of the input, where each output has 1",
            }.items():
                ui.html(f'<h2>{title}</h2><div id="lab-{name}"></div>', sanitize=False)
            ui.html(
                '<h2>The cell</h2><p id="lab-text"></p><p id="lab-fit" class="soft"></p>'
                '<button class="plain" id="lab-play" type="button" onclick="lab.play()">Play</button> '
                '<button class="plain" type="button" onclick="lab.step()">Next cell</button>',
                sanitize=False,
            ).classes("wide")
            ui.html(
                "<h2>As a matrix: the output is this times the input as one column; the gradient goes back by its "
                'transpose, that is, by the kernel reflected</h2><div id="lab-matrix" class="matrix"></div>',
                sanitize=False,
            ).classes("wide")
        ui.on("lab", self._edited)
        await ui.context.client.connected()
        self._draw()
        for sentence in self.refused:
            ui.notify(sentence)

    def _settings(self) -> None:
        select("Example", list(EXAMPLES), lambda text: self._example(text), value=self.example)
        for label, name in {
            "Operation": "kind",
            "Stride": "stride",
            "Padding": "padding",
            "Padded with": "mode",
            "Dilation": "dilation",
            "Groups": "groups",
        }.items():
            value = str(self.settings[name])
            select(label, CHOICES[name], partial(self._set, name), value=value)
        for label, change in {
            "Rows": ("image", 1),
            "Columns": ("image", 2),
            "Kernel rows": ("kernel", 2),
            "Kernel columns": ("kernel", 3),
            "Channels": ("channels", 0),
            "Kernels": ("kernel", 0),
        }.items():
            self._number(label, *change)

    def _number(self, label: str, grid: str, axis: int) -> None:
        with ui.element("label"):
            ui.label(label)
            field = ui.element("input").classes("plain")
            field.props(f'type="number" min="1" max="{MOST_SIDE}" aria-label="{label}"')
            field._props["value"] = str(self._size(grid, axis))
            self.fields[grid, axis] = field.style("width:5rem").on(
                "change",
                lambda event: self._resize(grid, axis, str(event.args)),
                js_handler="(e) => emit(e.target.value)",
            )

    def _size(self, grid: str, axis: int) -> int:
        return int((self.kernel if grid == "kernel" else self.image).shape[axis])

    def _example(self, name: str) -> None:
        found = lab_state({"example": name})
        self.image, self.kernel = found.image, found.kernel
        self._draw()

    def _set(self, name: str, text: str) -> None:
        self.settings[name] = int(text) if name in NUMBERS else text
        self._work()

    def _resize(self, grid: str, axis: int, text: str) -> None:
        """Give an axis of a grid another size: cells that are new are 0."""
        if not text.isdecimal() or not 1 <= int(text) <= MOST_SIDE:
            self._show_sizes()
            self._error(f"A size is a whole number from 1 to {MOST_SIDE}.")
            return
        size = int(text)
        if grid == "channels":
            self.image = _resized(self.image, 0, size)
            self.kernel = _resized(self.kernel, 1, size)
        elif grid == "image":
            self.image = _resized(self.image, axis, size)
        else:
            self.kernel = _resized(self.kernel, axis, size)
        self._draw()

    def _edited(self, event: events.GenericEventArguments) -> None:
        try:
            image, kernel = (np.array(event.args[name], float) for name in ("image", "kernel"))
            finite = np.isfinite(image).all() and np.isfinite(kernel).all()
            if not finite or image.shape != self.image.shape or kernel.size != self.kernel.size:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            self._error("Each cell holds one number.")
            return
        self.image, self.kernel = image, kernel.reshape(self.kernel.shape)
        self._work()

    def _draw(self) -> None:
        self._show_sizes()
        flat = self.kernel.reshape(-1, *self.kernel.shape[2:])
        ui.run_javascript(f"lab.grids({json.dumps(self.image.tolist())}, {json.dumps(flat.tolist())})")
        self._work()

    def _show_sizes(self) -> None:
        for (grid, axis), field in self.fields.items():
            field._props["value"] = str(self._size(grid, axis))
            field.update()

    def _work(self) -> None:
        try:
            found = LabState(image=self.image, kernel=self.kernel, settings=self.settings).worked()
        except ValueError as error:
            self._error(str(error))
            return
        ui.run_javascript(f"lab.show({json.dumps(found)})")

    def _error(self, text: str) -> None:
        ui.run_javascript(f"lab.error({json.dumps(text)})")


def _resized(grid: Array, axis: int, size: int) -> Array:
    kept = np.take(grid, range(min(size, grid.shape[axis])), axis=axis)
    pads = [(0, size - kept.shape[axis] if dim == axis else 0) for dim in range(grid.ndim)]
    return np.pad(kept, pads)

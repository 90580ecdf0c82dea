"""The elements that pages of all rooms are made of; names are shown as text, never as HTML."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

MOST_UPLOAD = 20_000_000
"""Bytes of a file that a page sends, at most."""


def png_url(content: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def button(text: str, on_click: Callable[..., Any] | None = None) -> ui.element:
    """Return a button of the page's plain style."""
    with ui.element("button").classes("plain").props('type="button"') as made:
        ui.label(text)
    return made if on_click is None else made.on("click", on_click)


def select(label: str, options: Sequence[str], chosen: Callable[[str], Any], *, value: str = "") -> ui.element:
    """Return a list to choose from under its label; `chosen` gets the option, one of them for certain.

    `value` is the option that is chosen at first; the first one where it is none of them.
    """
    allowed = list(options)
    with ui.element("label"):
        ui.label(label)
        with ui.element("select").classes("plain").props(f'aria-label="{label}"') as made:
            for number, option in enumerate(allowed):
                with ui.element("option").props(f'value="{number}"' + (" selected" if option == value else "")):
                    ui.label(option)

    def changed(event: Any) -> Any:
        text = str(event.args)
        return chosen(allowed[int(text)]) if text.isdecimal() and int(text) < len(allowed) else None

    return made.on("change", changed, js_handler="(e) => emit(e.target.value)")

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


def upload(text: str, on_upload: Callable[[Any], Any], *, accept: str) -> ui.element:
    """Return a field that takes one file of at most `MOST_UPLOAD` bytes; `on_upload` gets its event.

    The library's own uploader sends it, unseen: its looks are too pale, and its parts have no names.
    """
    sender = ui.upload(
        auto_upload=True,
        max_file_size=MOST_UPLOAD,
        on_upload=on_upload,
        on_rejected=lambda: ui.notify(f"A file has at most {MOST_UPLOAD:,} bytes."),
    ).style("display:none")
    with ui.element("label").classes("file") as made:
        ui.label(text)
        field = ui.element("input").props(f'type="file" accept="{accept}"')
        give = f"getElement({sender.id}).$refs.qRef.addFiles(e.target.files)"
        field.on("change", js_handler=f"(e) => {{ {give}; e.target.value = null; }}")
    return made

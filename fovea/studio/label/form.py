"""The form that a page of the room begins with: which images, which kind of label, which names, which file."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nicegui import ui

from fovea.data.annotating.kinds import KINDS
from fovea.studio.elements import button, select
from fovea.studio.label.beginning import Asked
from fovea.studio.opened import Opened
from fovea.tasks.number import Number

KIND_TEXTS = {
    "classes": "one class for each image",
    "labels": "several labels for each image",
    "grade": "a grade for each image",
    Number.name: "a number for each image",
    "boxes": "boxes around objects",
    "brush": "pixels, covered by a brush",
    "polygons": "outlines of objects, as polygons",
    "points": "named points",
}


class Form:
    """The fields, and what stands in them."""

    def __init__(self, asked: Asked, opened: Opened, begin: Callable[[Asked], Any]) -> None:
        self.asked, self.opened = asked, opened
        self._begin = begin
        self._names: ui.element | None = None
        self._file: ui.element | None = None

    def build(self) -> None:
        """Lay the form out."""
        with ui.element("section").classes("begin").props('aria-label="What to label"'):
            ui.html("<h2>What to label</h2>", sanitize=False)
            self._text("Images: a folder, archive or list in the studio's folder", "data", self.asked.data)
            select("Label", list(KIND_TEXTS.values()), self._kind, value=KIND_TEXTS[self.asked.kind])
            self._names = self._text("Names, one on each line", "classes", self.asked.classes, element="textarea")
            self._file = self._text(
                "File that keeps the labels; for a brush also a folder, as masks/", "out", self.asked.out
            )
            with ui.element("div"):
                button("Begin", lambda: self._begin(self.asked)).props('id="label-begin"')

    def _text(self, label: str, name: str, text: str, *, element: str = "input") -> ui.element:
        with ui.element("label"):
            ui.label(label)
            with ui.element(element).classes("plain").props(f'id="label-{name}" spellcheck="false"') as made:
                pass
        made._props["value"] = text
        return made.on(
            "input",
            lambda event: self._set(name, str(event.args)[:100_000]),
            js_handler="(e) => emit(e.target.value)",
        )

    def _set(self, name: str, text: str) -> None:
        self.asked = replace(self.asked, **{name: text})

    def _kind(self, text: str) -> None:
        """Take another kind of label, with the names and the file that are usual for it."""
        kind = next(name for name, shown in KIND_TEXTS.items() if shown == text)
        known = self.opened.bundle.classes if self.opened.bundle else ()
        names = self.asked.classes if self.asked.classes.strip() else "\n".join(known)
        file = self.asked.out.rpartition(".")[0] or "labels"
        self.asked = replace(self.asked, kind=kind, classes=names, out=f"{file}{KINDS[kind].suffix}")
        for field, value in ((self._names, self.asked.classes), (self._file, self.asked.out)):
            if field is not None:
                field._props["value"] = value
                field.update()

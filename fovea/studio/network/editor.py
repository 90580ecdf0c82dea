"""The letters of a pattern as blocks: the one that is chosen is changed, moved, doubled, left out, or followed."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from fovea.errors import UsageError
from fovea.studio.elements import button, select
from fovea.zoo.editing import changed, doubled, extent, inserted, listed, moved, removed
from fovea.zoo.letters import CLOSED, LETTERS, OPENED, WINDOWS, Word

BLOCKS = {
    "C": "C convolution",
    "CR": "CR convolution, ReLU",
    "CBR": "CBR convolution, batch norm, ReLU",
    "CRP": "CRP convolution, ReLU, pooling",
    "W": "W depthwise convolution",
    "WBRCk1BR": "WBRC depthwise separable convolution",
    "(CBRCB)R": "(CBRCB)R residual block",
    "B": "B batch norm",
    "R": "R ReLU",
    "R6": "R6 ReLU, at most 6",
    "P": "P max pooling",
    "A": "A mean pooling",
    "D": "D dropout",
    "G": "G global mean pooling",
    "F": "F dense layer",
    "FR": "FR dense layer, ReLU",
}
"""What can be inserted."""
NUMBERED = {"C": "channels", "F": "units", "D": "percent"}
USUAL = {"kernel": "3", "stride": "1", "padding": "same"}
USUAL_POOLING = {"kernel": "2", "stride": "the kernel", "padding": "0"}


class Editor:
    """The blocks of one pattern; `edited` gets the new letters."""

    def __init__(self, edited: Callable[[str], Awaitable[None]], told: Callable[[str], Any]) -> None:
        self.edited, self.told = edited, told
        self.text, self.place = "", 0
        self.block = next(iter(BLOCKS))
        self.chips: list[ui.element] = []
        with ui.element("section").props('aria-label="Blocks"').classes("blocks") as self.place_of_all:
            ui.html("<h2>Blocks, from the input to the answer</h2>", sanitize=False)
            self.row = ui.element("div").classes("chips").props('role="group" aria-label="Blocks"')
            self.words = ui.label().classes("soft")
            self.numbers = ui.element("div").classes("fields")
            with ui.element("div").classes("buttons"):
                for title, change in {
                    "Earlier": lambda: moved(self.text, self.place, by=-1),
                    "Later": lambda: moved(self.text, self.place, by=1),
                    "Double": lambda: doubled(self.text, self.place),
                    "Remove": lambda: removed(self.text, self.place),
                }.items():
                    button(title, lambda _, title=title, change=change: self._change(change, title))
            with ui.element("div").classes("buttons"):
                labels = {label: block for block, label in BLOCKS.items()}
                select("Another block", list(labels), lambda label: setattr(self, "block", labels[label]))
                button("Insert behind", lambda: self._change(self._inserted, "Insert"))

    def show(self, text: str) -> None:
        """Show the blocks of a pattern; nothing where the text is empty."""
        self.place_of_all.set_visibility(bool(text))
        if not text:
            return
        self.text = text
        found = listed(text)
        self.place = min(self.place, len(found) - 1)
        self.row.clear()
        with self.row:
            self.chips = [self._chip(number, word) for number, word in enumerate(found)]
        self._choose(self.place)

    def _chip(self, number: int, word: Word) -> ui.element:
        kind = "bracket" if word.letter in (OPENED, CLOSED) else "weights" if word.letter in "CWF" else "plain"
        with ui.element("button").classes(f"chip {kind}").props('type="button"') as made:
            ui.label(word.text)
        made.props(f'title="{LETTERS[word.letter]}" aria-label="{word.text}: {LETTERS[word.letter]}"')
        return made.on("click", lambda: self._choose(number))

    def _choose(self, number: int) -> None:
        found = listed(self.text)
        if not 0 <= number < len(found):
            return
        self.place = number
        first, stop = extent(found, number)
        for place, chip in enumerate(self.chips):
            chip.props(f'aria-pressed="{str(first <= place < stop).lower()}"')
        word = found[number]
        self.words.set_text(f"{word.text}: {LETTERS[word.letter]}")
        self.numbers.clear()
        with self.numbers:
            for name, label, usual in _numbers_of(word):
                self._number(name, label, usual, getattr(word, name))

    def _number(self, name: str, label: str, usual: str, value: int | None) -> None:
        with ui.element("label"):
            ui.label(label)
            shown = "" if value is None else f' value="{value}"'
            ui.element("input").classes("plain").props(
                f'type="number" min="0" aria-label="{label}" placeholder="{usual}"{shown}'
            ).on("input", lambda event: self._set(name, str(event.args)), js_handler="(e) => emit(e.target.value)")

    async def _set(self, name: str, text: str) -> None:
        if text and not (text.isdecimal() and len(text) < 6):
            self.told(f"`{text[:20]}` must be a whole number.")
            return
        try:
            self.text = changed(self.text, self.place, name, int(text) if text else None)
        except UsageError as error:
            self.told(str(error))
            return
        word = listed(self.text)[self.place]
        chip = self.chips[self.place]
        chip.clear()
        with chip:
            ui.label(word.text)
        chip.props(f'aria-label="{word.text}: {LETTERS[word.letter]}"')
        await self.edited(self.text)

    def _inserted(self) -> str:
        text = inserted(self.text, self.place, self.block)
        self.place += 1
        return text

    async def _change(self, change: Callable[[], str], title: str) -> None:
        try:
            text = change()
        except UsageError as error:
            self.told(str(error))
            return
        self.place += {"Earlier": -1, "Later": 1}.get(title, 0)
        self.place = max(0, min(self.place, len(listed(text)) - 1)) if text else 0
        if not text:
            self.told("A network keeps at least one layer.")
            return
        self.show(text)
        await self.edited(text)


def _numbers_of(word: Word) -> list[tuple[str, str, str]]:
    """Return (field, label, what it is where nothing is written) of the numbers that a letter may have."""
    usual = USUAL_POOLING if word.letter in "PA" else USUAL
    found = [("count", NUMBERED[word.letter], "50" if word.letter == "D" else "")] if word.letter in NUMBERED else []
    found += [(name, name, usual[name]) for name in usual] if word.letter in WINDOWS else []
    return [*found, ("groups", "groups", "1")] if word.letter == "C" else found

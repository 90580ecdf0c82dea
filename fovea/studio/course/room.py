"""The room "Course": the lectures' contents, and a page for each topic with live pictures and ways into the rooms."""

import json
from collections.abc import Mapping, Sequence

from nicegui import run, ui

from fovea.course.contents import LECTURES, PARTS, TOPICS, Lecture, decks_of
from fovea.course.errata import ERRATA, Erratum
from fovea.course.exercises import EXERCISES, Exercise
from fovea.course.sources import SOURCES
from fovea.course.topic import Picture, RoomLink, Topic
from fovea.errors import FoveaError
from fovea.studio.elements import select
from fovea.studio.lab.state import lab_state
from fovea.studio.opened import Opened

LABELS = {"kind": "operation", "mode": "padded with", "p": "probability"}
"""Of settings whose own name says too little."""


class CourseRoom:
    """One page of the room: the contents, or a topic."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None:
        self.name = state.get("topic", "")
        self.topic = TOPICS.get(self.name)
        self.deck = state.get("deck", "")

    async def build(self) -> None:
        """Lay the page out, and compute its pictures."""
        ui.add_head_html('<link rel="stylesheet" href="/static/course.css"><script src="/static/course.js"></script>')
        with ui.element("main").classes("course"):
            if self.topic is None:
                if self.name:
                    ui.label("There is no such topic; these are all of them.").classes("error")
                _contents(self.deck)
                return
            pictures = _page(self.topic)
        await ui.context.client.connected()
        for picture in pictures:
            await picture.draw()


def heading(level: int, text: str) -> None:
    """Show a heading."""
    with ui.element(f"h{level}"):
        ui.label(text)


def sentences(texts: Sequence[str], kind: str = "p") -> None:
    """Show texts as paragraphs, or as items of a list."""
    for text in texts:
        with ui.element(kind):
            ui.label(text)


def room_link(link: RoomLink) -> None:
    """Show a way into a room; where this studio has no such room, its command."""
    from fovea.studio.rooms import ROOMS

    if link.room in {room.path for room in ROOMS}:
        ui.link(link.text, link.address)
    else:
        ui.label(link.text)


def _contents(deck: str) -> None:
    """Show the lectures, each with its slides and topics, what they link to, and what is wrong on them."""
    heading(1, "Course")
    ui.label("Five lectures on convolutional networks; each idea is a page that runs.")
    with ui.element("nav").props('aria-label="Lectures"').classes("lectures"):
        ui.link("All topics", "/course")
        for lecture in LECTURES:
            ui.link(f"Lecture {lecture.deck}", f"/course?deck={lecture.deck}")
    for lecture in LECTURES:
        if deck == lecture.deck:
            _lecture(lecture)
            return
    for part, topics in PARTS:
        heading(2, part)
        with ui.element("ul").classes("topics"):
            for topic in topics:
                _topic_item(topic.name)


def _topic_item(name: str) -> None:
    with ui.element("li"):
        ui.link(TOPICS[name].title, f"/course?topic={name}")


def _lecture(lecture: Lecture) -> None:
    heading(2, f"Lecture {lecture.deck}: {lecture.title}")
    ui.label(lecture.file).classes("soft")
    with ui.element("ol"):
        for slides, names in lecture.slides:
            with ui.element("li"):
                ui.label(slides).classes("slides")
                with ui.element("ul").classes("topics"):
                    for name in names:
                        _topic_item(name)
    heading(2, "Its links, videos and animations, here")
    with ui.element("ul"):
        for source in SOURCES:
            if source.deck == lecture.deck:
                with ui.element("li"):
                    ui.label(f"{source.what}: {source.mark}").classes("soft")
                    room_link(source.here)
    heading(2, "Where its slides are wrong")
    _errata([erratum for erratum in ERRATA if lecture.deck in erratum.deck])


def _errata(errata: Sequence[Erratum]) -> None:
    with ui.element("ul").classes("errata"):
        for erratum in errata:
            with ui.element("li"):
                ui.label(f"{erratum.deck}, {erratum.where}. The slide: {erratum.printed}. Right: {erratum.right}.")
                with ui.element("code"):
                    ui.label(erratum.command)


def _page(topic: Topic) -> "list[LivePicture]":
    """Lay a topic out; return its pictures, which are still empty."""
    ui.link("Contents", "/course").classes("back")
    heading(1, topic.title)
    for deck, slides in decks_of(topic.name).items():
        with ui.element("p").classes("soft where"):
            ui.link(f"Lecture {deck}", f"/course?deck={deck}")
            ui.label(": " + "; ".join(slides))
    sentences(topic.text)
    pictures = [LivePicture(picture, number) for number, picture in enumerate(topic.pictures)]
    for title, texts in (("Try", topic.tries), ("Notice", topic.notice)):
        heading(2, title)
        with ui.element("ul"):
            sentences(texts, "li")
    heading(2, "In the rooms")
    with ui.element("ul").classes("rooms"):
        for link in topic.links:
            with ui.element("li"):
                room_link(link)
    wrong = [erratum for erratum in ERRATA if erratum.where in topic.errata]
    if wrong:
        heading(2, "Where the slides are wrong")
        _errata(wrong)
    _exercises([exercise for exercise in EXERCISES if exercise.topic == topic.name])
    _neighbours(topic)
    return pictures


def _exercises(exercises: Sequence[Exercise]) -> None:
    if not exercises:
        return
    heading(2, "Exercises")
    for exercise in exercises:
        with ui.element("details"):
            with ui.element("summary"):
                ui.label(exercise.question)
            ui.label(exercise.answer)
            with ui.element("code"):
                ui.label(exercise.command)


def _neighbours(topic: Topic) -> None:
    names = list(TOPICS)
    at = names.index(topic.name)
    with ui.element("nav").props('aria-label="Neighbouring topics"').classes("neighbours"):
        for text, number in (("Before", at - 1), ("Next", at + 1)):
            if 0 <= number < len(names):
                ui.link(f"{text}: {TOPICS[names[number]].title}", f"/course?topic={names[number]}")


class LivePicture:
    """A picture of the page, drawn anew when a setting is changed."""

    def __init__(self, picture: Picture, number: int) -> None:
        self.picture, self.settings = picture, dict(picture.settings)
        self.place = f"picture-{number}"
        with ui.element("figure").classes("live").props(f'role="group" aria-label="Picture {number + 1}"'):
            with ui.element("figcaption"):
                heading(2, picture.caption)
            with ui.element("div").classes("settings"):
                for name, choices in picture.choices.items():
                    self._choice(name, choices)
            if picture.kind == "grid":
                ui.html(f'<div id="{self.place}" class="grid-picture"></div>', sanitize=False)
            else:
                self.shown = ui.html("", sanitize=False).classes("shown").props('aria-live="polite"')
            self.error = ui.label().classes("error")

    def _choice(self, name: str, choices: Sequence[str]) -> None:
        async def chosen(value: str) -> None:
            self.settings[name] = value
            await self.draw()

        select(LABELS.get(name, name), choices, chosen, value=self.settings.get(name, ""))

    async def draw(self) -> None:
        """Compute the picture and show it; say what cannot be computed."""
        try:
            if self.picture.kind == "grid":
                found = lab_state(self.settings).worked()
                ui.run_javascript(f"course.show({json.dumps(self.place)}, {json.dumps(found)})")
            else:
                self.shown.set_content(await run.io_bound(_drawn, self.picture.kind, dict(self.settings)) or "")
        except (FoveaError, ValueError) as error:
            self.error.set_text(str(error))
        else:
            self.error.set_text("")


def _drawn(kind: str, settings: Mapping[str, str]) -> str:
    from fovea.report.lessons.kinds import drawn

    return drawn(kind, settings).html()

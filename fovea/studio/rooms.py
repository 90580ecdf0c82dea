"""The table of rooms: the address of each, its name, and the class that lays its page out.

A room is a class with the method `build`; it is made anew for each page, from what the studio was opened with and the
state that its address asks for, as `/lab?stride=2`. Its module is imported when the room is first entered.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from fovea.studio.opened import Opened


class Page(Protocol):
    """One page of a room, for one browser."""

    def __init__(self, opened: Opened, state: Mapping[str, str]) -> None: ...

    async def build(self) -> None:
        """Lay the page out, and show what its state asks for."""


class Room(NamedTuple):
    """A row of the table."""

    path: str
    name: str
    module: str
    """Below `fovea.studio`."""
    page: str
    """The class in it."""
    exported: str = ""
    """What the room cannot do with an exported network; empty where it shows one, or has no use for networks."""

    @property
    def whole_module(self) -> str:
        """The full name of its module."""
        return f"fovea.studio.{self.module}"

    def told(self, opened: Opened) -> str:
        """Return what the room says it cannot do with what is open; empty where there is nothing."""
        if opened.exported is None or not self.exported:
            return ""
        words = f"The exported network {opened.name} {self.exported}"
        return f"{words} Its graph is in the room Network; for more, open the model file that it was made of."

    def enter(self, opened: Opened, state: Mapping[str, str]) -> Page:
        """Return a new page of this room."""
        kind = cast(type[Page], getattr(import_module(self.whole_module), self.page))
        return kind(opened, state)


ROOMS = (
    Room("/train", "Train", "train.room", "TrainRoom"),
    Room(
        *("/", "Look", "look.room", "LookRoom"),
        exported="runs as a whole, and its feature maps cannot be read.",
    ),
    Room(
        *("/explain", "Explain", "explain.room", "ExplainRoom"),
        exported="has no gradients and no maps of its layers, which explanations are made of.",
    ),
    Room("/network", "Network", "network.room", "NetworkRoom"),
    Room("/lab", "Convolution lab", "lab.room", "LabRoom"),
    Room(
        *("/label", "Label", "label.room", "LabelRoom"),
        exported="proposes no labels here, and cannot be trained again; images are labelled without it.",
    ),
    Room("/course", "Course", "course.room", "CourseRoom"),
)

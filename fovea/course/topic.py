"""A topic of the lectures: what is said, what to try, what to notice, live pictures, and ways into the rooms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that is computed when its page is opened, and again when a setting is changed."""

    kind: str
    """`grid`, an operation cell by cell as in the convolution lab, or a kind of `fovea.report.lessons`."""
    caption: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """What it shows at first."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the reader may change: the values of each such setting."""


@dataclass(frozen=True, kw_only=True)
class RoomLink:
    """A way into a room of the studio."""

    text: str
    room: str
    """Its address: `/`, `/lab`, `/train`, `/network`, `/explain`, `/label`, `/course`."""
    state: Mapping[str, str] = field(default_factory=dict)
    """What the room opens with."""

    @property
    def address(self) -> str:
        """The whole address, as `/lab?stride=2`."""
        return self.room + (f"?{urlencode(self.state)}" if self.state else "")


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One idea."""

    name: str
    """In addresses: `/course?topic=stride`."""
    title: str
    text: tuple[str, ...]
    """Paragraphs."""
    tries: tuple[str, ...] = ()
    """What to do."""
    notice: tuple[str, ...] = ()
    """What is to be seen then."""
    pictures: tuple[Picture, ...] = ()
    links: tuple[RoomLink, ...] = ()
    errata: tuple[str, ...] = ()
    """`where` of the errata that belong here."""


def grid(
    caption: str,
    image: str,
    kernel: str,
    *,
    vary: Mapping[str, tuple[str, ...]] | None = None,
    **settings: str,
) -> Picture:
    """Return an operation on a small grid; `vary` says which of its settings the reader may change."""
    return Picture(
        kind="grid", caption=caption, settings={"image": image, "kernel": kernel, **settings}, choices=vary or {}
    )


def lab(text: str, **state: str) -> RoomLink:
    """Return a way into the convolution lab."""
    return RoomLink(text=text, room="/lab", state=state)


def look(text: str, **state: str) -> RoomLink:
    """Return a way into the room "Look"."""
    return RoomLink(text=text, room="/", state=state)


def train(text: str, **state: str) -> RoomLink:
    """Return a way into the room "Train"."""
    return RoomLink(text=text, room="/train", state=state)


def network(text: str, **state: str) -> RoomLink:
    """Return a way into the room "Network"."""
    return RoomLink(text=text, room="/network", state=state)


def explain(text: str, **state: str) -> RoomLink:
    """Return a way into the room "Explain"."""
    return RoomLink(text=text, room="/explain", state=state)


def label(text: str, **state: str) -> RoomLink:
    """Return a way into the room "Label"."""
    return RoomLink(text=text, room="/label", state=state)

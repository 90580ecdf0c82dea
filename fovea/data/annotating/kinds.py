"""What a person may say of an image, by kind of label; what a page sends is checked here before anything keeps it.

A label is a JSON value: of `classes` and `grade` a name, of `number` its text, of `labels` a list of names; of `boxes`
and `polygons` a list of objects, of `brush` a list of classes with the pixels they cover, of `points` a list of
[x, y, visibility] in the order of the names. Pixels are those of the upright image, the first from 0 to 1.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fovea import tasks
from fovea.data.shapes import from_runs, runs_from_text
from fovea.data.sources.annotations.coco import BACKGROUND
from fovea.data.sources.annotations.lists import MOST_POINTS
from fovea.errors import DataError, UsageError, shortened
from fovea.fields import is_number
from fovea.tasks.number import Number
from fovea.tasks.wording import PLAIN
from fovea.texts import composed, in_cell, shown

Size = tuple[int, int]
"""(h, w) in pixels."""
MOST_OBJECTS = 5_000
"""In an image."""
MOST_CORNERS = 10_000
"""Of the polygons of an object."""
MOST_CLASSES = 5_000
LONGEST_NAME = 200
"""Characters of the name of a class."""
DECIMALS = 2
"""Of a place that a page sends."""
HIDDEN, VISIBLE = 1, 2


class Kind(NamedTuple):
    """A kind of label."""

    task: str
    """What is learned from it (`fovea.tasks`)."""
    suffix: str
    """Of the file that keeps it."""
    names: str
    """What its classes are called, for people; empty if it has none."""
    checked: Callable[[Any, Sequence[str], Size], Any]
    """Returns a label (given, classes, size) as it is kept; UsageError for what is none."""
    least: int = 1
    """How many names there must be."""
    covers: bool = False
    """Whether each pixel has a class, or none, which is the background."""

    @property
    def several(self) -> bool:
        """Whether an image has several labels."""
        return tasks.kind(self.task).several

    @property
    def lies_on_image(self) -> bool:
        """Whether it has places in the image."""
        return self.suffix == ".json"


def kind_named(name: str) -> Kind:
    """Return the kind of that name. Raises: UsageError."""
    if name not in KINDS:
        raise UsageError(f"`{shortened(name)}` is not a kind of label; choose {', '.join(KINDS)}.")
    return KINDS[name]


def class_names(texts: Sequence[str], kind: str) -> tuple[str, ...]:
    """Return names of classes as they are compared, each once, in their order; empty ones are left out.

    So is `background` where pixels are covered: that is what nobody covers.

    Raises: UsageError for too few, and for a name that the file could not give back.
    """
    found = kind_named(kind)
    unwanted = ("", BACKGROUND) if found.covers else ("",)
    names = tuple(dict.fromkeys(name for name in map(composed, texts) if name not in unwanted)) if found.names else ()
    if len(names) < (found.least if found.names else 0):
        raise UsageError(f"Give at least {found.least} {found.names}, one per line.")
    if len(names) > (MOST_POINTS if kind == "points" else MOST_CLASSES):
        raise UsageError(f"{len(names):,} {found.names} are too many to label by hand.")
    for name in names:
        if len(name) > LONGEST_NAME or shown(name) != name:
            raise UsageError(f"`{shortened(name)}` is too long or has invisible characters; choose another name.")
        if found.suffix == ".csv" and in_cell(name) != name:
            raise UsageError(
                f"`{shortened(name)}` would be treated as a formula by a spreadsheet; choose another name."
            )
        if found.several and PLAIN.separator in name:
            raise UsageError(
                f"`{shortened(name)}` contains `{PLAIN.separator}`, which separates labels; choose another name."
            )
        if kind == "grade" and "," in name:
            raise UsageError(f"`{shortened(name)}` contains a comma, which separates grades; choose another name.")
    return names


def _class(given: Any, classes: Sequence[str], _: Size = (0, 0)) -> str:
    if not isinstance(given, str) or given not in classes:
        raise UsageError(f"`{shortened(given)}` is not one of the classes.")
    return given


def _labels(given: Any, classes: Sequence[str], _: Size) -> list[str]:
    chosen = {_class(name, classes) for name in _listed(given, len(classes))}
    return [name for name in classes if name in chosen]


def _number(given: Any, _: Sequence[str], __: Size) -> str:
    try:
        value = float(str(given)[:LONGEST_NAME])
    except ValueError:
        value = math.nan
    if not is_number(value):
        raise UsageError(f"`{shortened(given)}` is not a number.")
    return f"{value:.12g}"


def _listed(given: Any, most: int) -> list[Any]:
    if not isinstance(given, list) or len(given) > most:
        raise UsageError(f"Expected a list of at most {most:,}.")
    return given


def _tables(given: Any) -> list[Mapping[str, Any]]:
    found = _listed(given, MOST_OBJECTS)
    if not all(isinstance(each, Mapping) for each in found):
        raise UsageError("An object must have a label and a position.")
    return found


def _places(given: Any, size: Size, *, most: int) -> list[tuple[float, float]]:
    """Return places x, y from a flat list, each within the image."""
    h, w = size
    values = _listed(given, 2 * most)
    if len(values) % 2 or not all(map(is_number, values)):
        raise UsageError("Positions must be pairs of numbers.")
    return [
        (round(min(max(x, 0.0), w), DECIMALS), round(min(max(y, 0.0), h), DECIMALS))
        for x, y in zip(values[::2], values[1::2], strict=True)
    ]


def _boxes(given: Any, classes: Sequence[str], size: Size) -> list[dict[str, Any]]:
    found = []
    for each in _tables(given):
        label, corners = _class(each.get("label"), classes), _places(each.get("box"), size, most=2)
        if len(corners) != 2:
            raise UsageError("A box must be x0, y0, x1, y1.")
        (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
        if x1 > x0 and y1 > y0:
            found.append({"label": label, "box": [x0, y0, x1, y1]})
    return found


def _polygons(given: Any, classes: Sequence[str], size: Size) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for each in _tables(given):
        label = _class(each.get("label"), classes)
        if (runs := each.get("runs")) is not None:
            found.append({"label": label, "runs": _runs(runs, size)})
            continue
        rings = [_places(ring, size, most=MOST_CORNERS) for ring in _listed(each.get("rings"), MOST_CORNERS)]
        if sum(map(len, rings)) > MOST_CORNERS:
            raise UsageError(f"An object may have at most {MOST_CORNERS:,} corners.")
        flat = [[value for corner in ring for value in corner] for ring in rings if len(ring) >= 3]
        if flat:
            found.append({"label": label, "rings": flat})
    return found


def _runs(text: Any, size: Size) -> str:
    if not isinstance(text, str) or len(text) > 4 * size[0] * size[1] + 8:
        raise UsageError("Pixels must be run lengths as text.")
    try:
        from_runs(runs_from_text(text), size)
    except DataError as error:
        raise UsageError(f"{error}.") from error
    return text


def _covered(given: Any, classes: Sequence[str], size: Size) -> list[dict[str, Any]]:
    """Return classes with their run lengths as COCO packs them."""
    return [
        {"label": _class(each.get("label"), classes), "runs": _runs(each.get("runs"), size)} for each in _tables(given)
    ]


def _points(given: Any, names: Sequence[str], size: Size) -> list[list[float]]:
    points = _listed(given, len(names))
    if len(points) != len(names) or not all(isinstance(point, list) and len(point) == 3 for point in points):
        raise UsageError(f"Expected {len(names)} points, each with x, y and visibility.")
    found: list[list[float]] = []
    for *place, visible in points:
        if visible not in (0, HIDDEN, VISIBLE):
            raise UsageError("Visibility must be 0 (absent), 1 (hidden) or 2 (visible).")
        [(x, y)] = _places(place, size, most=1)
        found.append([x, y, int(visible)] if visible else [0, 0, 0])
    return found


KINDS: Mapping[str, Kind] = {
    "classes": Kind("classes", ".csv", "classes", _class),
    "labels": Kind("labels", ".csv", "labels", _labels),
    "grade": Kind("grade", ".csv", "grades, lowest first", _class, least=2),
    Number.name: Kind(Number.name, ".csv", "", _number),
    "boxes": Kind("boxes", ".json", "classes", _boxes),
    "brush": Kind("masks", ".json", "classes", _covered, covers=True),
    "polygons": Kind("masks", ".json", "classes", _polygons, covers=True),
    "points": Kind("points", ".json", "names of the points", _points),
}
"""By name."""

"""The section of a page on single objects of masks: how well they are found, and the worst images."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.evaluation.instances import InstanceScores, Shown
from fovea.evaluation.outcome import Outcome
from fovea.report.page import picture
from fovea.tasks.figures import Tile
from fovea.tasks.mask_colours import overlaid, palette
from fovea.tasks.mask_objects import outlined
from fovea.tasks.mask_scoring import middle
from fovea.texts import percent

SIDE = 320
"""Pixels of the longer side of a picture."""


class ObjectClass(NamedTuple):
    """A class of objects as the page shows it."""

    name: str
    colour: str
    """As CSS writes it."""
    figures: tuple[str, ...]
    """PQ, SQ, RQ, AP and AP50."""
    quality: float
    objects: int


def instance_values(outcome: Outcome, found: InstanceScores | None) -> dict[str, Any] | None:
    """Return tiles, classes with the lowest panoptic quality first, and the worst images; None without objects."""
    if found is None:
        return None
    rows = [_row(name, values, outcome.target.classes.index(name)) for name, values in found.per_class.items()]
    return {
        "found": found,
        "tiles": _tiles(found),
        "rows": sorted(rows, key=lambda row: row.quality),
        "worst": [(outcome.names[each.image], percent(each.quality), _pictures(outcome, each)) for each in found.worst],
    }


def _tiles(found: InstanceScores) -> list[Tile]:
    tiles = [
        ("PQ", found.pq, found.pq_interval),
        ("mask AP50", found.ap50, found.ap50_interval),
        ("mask AP", found.ap, found.ap_interval),
    ]
    parts = f"SQ {_text(found.sq)}, RQ {_text(found.rq)}"
    return [
        (name, _text(value), "" if interval is None else f"95 % interval {_ends(*interval)}")
        for name, value, interval in tiles
    ] + [("objects", f"{found.objects:,}", f"{found.found:,} found; {parts}")]


def _row(name: str, values: Any, index: int) -> ObjectClass:
    figures = tuple(_text(values[key]) for key in ("pq", "sq", "rq", "ap", "ap50"))
    colour = "#{:02x}{:02x}{:02x}".format(*palette()[index])
    return ObjectClass(name, colour, figures, values["pq"], int(values["objects"]))


def _pictures(outcome: Outcome, shown: Shown) -> list[tuple[str, str]]:
    """Return an image, and its true and found objects as outlines over the classes."""
    if outcome.picture is None:
        return []
    answer = outcome.outputs[shown.image, 0].numpy()
    image = middle(outcome.picture(shown.image).transpose(2, 0, 1), answer).transpose(1, 2, 0)
    truth = middle(np.asarray(outcome.labels[shown.image]), answer)
    return [
        ("image", picture(image, side=SIDE)),
        ("truth", _outlined(image, truth, shown.truth)),
        ("found", _outlined(image, answer, shown.found)),
    ]


def _outlined(image: NDArray[np.uint8], mask: NDArray[np.uint8], objects: NDArray[np.int32]) -> str:
    return picture(outlined(overlaid(image, mask), objects), side=SIDE)


def _text(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _ends(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f} %"

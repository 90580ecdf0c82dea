"""The page of `fovea check`: what was found, and the images concerned side by side.

Pictures are (H, W, C) uint8 0..255.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fovea.data.duplicates.groups import Member
from fovea.preprocess import Pixels
from fovea.report.page import picture, render

SHOWN_GROUPS, SHOWN_IMAGES, SHOWN_NAMES, SHOWN_DOUBTS = 60, 12, 200, 120
"""How much of each kind a page shows; the JSON has all."""
SHOWN_FAULTS, FAULT_SIDE = 12, 480
"""Faults of one kind that are shown, and the pixels of the longer side of their pictures."""
SMALL = 64
"""Images up to so many pixels are enlarged pixel by pixel."""


def check_page(
    report: Mapping[str, Any],
    *,
    pixels: Callable[[Member], Pixels],
    faulty: Callable[[Mapping[str, Any]], Pixels | None] = lambda fault: None,
) -> str:
    """Return the page of a report, as `DataCheck.to_dict` gives it.

    `pixels` returns the image of a member, `faulty` one with what is wrong with a mask, a box or a point on it.
    """
    groups: Sequence[Mapping[str, Any]] = report["groups"]
    kinds = {
        "conflicts": [group for group in groups if group["conflict"]],
        "leaks": [group for group in groups if group["leak"] and not group["conflict"]],
        "repeats": [group for group in groups if not group["leak"] and not group["conflict"]],
    }
    return render(
        "check.html",
        report=report,
        totals={kind: len(found) for kind, found in kinds.items()},
        doubts=list(_doubted(report["label_faults"], pixels)),
        copies=_copies(report, kinds),
        galleries={kind: list(_shown(found, pixels)) for kind, found in kinds.items()},
        largest=max((count for counts in report["classes"].values() for count in counts.values()), default=1)
        or 1,  # no image has any of the labels
        unreadable=[(bad["name"], bad["reason"]) for bad in report["bad_files"]],
        strays=[(name,) for name in report["strays"]],
        names=SHOWN_NAMES,
        targets=target_values(report.get("targets"), faulty),
    )


def _copies(report: Mapping[str, Any], kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return how the counts of copies add up; empty where there are none."""
    groups: Sequence[Mapping[str, Any]] = report["groups"]
    if not groups:
        return ""
    exact = sum(group["exact"] for group in groups)
    also = sum(group["leak"] for group in kinds["conflicts"])
    total = f"{len(groups):,} group{'' if len(groups) == 1 else 's'} of copies"
    return (
        f"{total} ({exact:,} exact, {len(groups) - exact:,} near): "
        f"{len(kinds['conflicts']):,} with different labels, {also:,} of these in several splits; "
        f"{len(kinds['leaks']):,} more in several splits; {len(kinds['repeats']):,} within one split."
    )


class FaultKind(NamedTuple):
    """One kind of fault of masks, boxes or points."""

    what: str
    total: int
    shown: Sequence[tuple[Mapping[str, Any], str | None]]
    """The first of them, each with its picture if there is one."""


class ObjectsOf(NamedTuple):
    """A class of what lies on images."""

    name: str
    facts: Sequence[str]
    """As the table shows them."""
    lengths: Sequence[float]
    """Of the pieces of its bar, in percent."""


OBJECT_COLUMNS = {
    "objects": "objects",
    "images": "images",
    "share": "share of pixels",
    "median_width": "median width",
    "median_height": "median height",
    "labelled": "labelled",
}


def target_values(
    found: Mapping[str, Any] | None, faulty: Callable[[Mapping[str, Any]], Pixels | None]
) -> dict[str, Any] | None:
    """Return the faults of what lies on images by kind, and its classes; None where labels do not lie there."""
    if found is None:
        return None
    faults: Sequence[Mapping[str, Any]] = found["faults"]
    kinds = []
    for what in dict.fromkeys(fault["what"] for fault in faults):
        own = [fault for fault in faults if fault["what"] == what]
        shown = [
            (fault, None if (image := faulty(fault)) is None else picture(image, side=FAULT_SIDE))
            for fault in own[:SHOWN_FAULTS]
        ]
        kinds.append(FaultKind(what, len(own), shown))
    first: dict[str, Any] = next(iter(found["classes"].values()), {})
    columns = [name for name in OBJECT_COLUMNS if name in first]
    rows = [_object_row(name, values, columns, found["classes"]) for name, values in found["classes"].items()]
    return {
        "kinds": kinds,
        "columns": [OBJECT_COLUMNS[name] for name in columns],
        "rows": rows,
        "by_size": "small" in first,
    }


def _object_row(
    name: str, values: Mapping[str, float], columns: Sequence[str], classes: Mapping[str, Mapping[str, float]]
) -> ObjectsOf:
    """Return a class with a bar as long as its part of the largest; of boxes in three pieces, by size."""
    facts = [f"{100 * values[key]:.3g} %" if key == "share" else f"{values[key]:,.0f}" for key in columns]
    key = next(key for key in ("share", "objects", "labelled") if key in values)
    largest = max(each[key] for each in classes.values()) or 1
    pieces = [values[key]]
    if "small" in values:
        pieces = [values["small"], values[key] - values["small"] - values["large"], values["large"]]
    return ObjectsOf(name, facts, [100 * piece / largest for piece in pieces])


def _shown(groups: Sequence[Mapping[str, Any]], pixels: Callable[[Member], Pixels]) -> Iterator[dict[str, Any]]:
    """Yield the groups that are shown, each of their images with its picture."""
    for group in groups[:SHOWN_GROUPS]:
        images = [_with_picture(Member(**image), pixels) for image in _varied(group["images"])]
        yield {**group, "images": images, "more": len(group["images"]) - len(images)}


def _doubted(found: Mapping[str, Any] | None, pixels: Callable[[Member], Pixels]) -> Iterator[dict[str, Any]]:
    """Yield the labels that look wrong and are shown, each with its picture."""
    for fault in found["faults"][:SHOWN_DOUBTS] if found else ():
        member = Member(**{name: fault[name] for name in Member._fields})
        yield {**fault, **_with_picture(member, pixels)}


def _varied(images: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return the first images, but of every part and label the first one at least comes before the rest."""
    first_of = {(image["part"], image["label"]): image for image in reversed(images)}
    leading = list(first_of.values())[::-1]
    rest = [image for image in images if image not in leading]
    return (leading + rest)[:SHOWN_IMAGES]


def _with_picture(member: Member, pixels: Callable[[Member], Pixels]) -> dict[str, Any]:
    image = pixels(member)
    return {**member._asdict(), "picture": picture(image), "small": max(image.shape[:2]) <= SMALL}

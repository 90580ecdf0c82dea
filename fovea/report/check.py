"""The page of `fovea check`: what was found, and the images concerned side by side.

Pictures are (H, W, C) uint8 0..255.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fovea.data.duplicates.groups import Member
from fovea.preprocess import Pixels
from fovea.report.page import picture, render

SHOWN_GROUPS, SHOWN_IMAGES, SHOWN_NAMES, SHOWN_DOUBTS = 60, 12, 200, 120
"""How much of each kind a page shows; the JSON has all."""
SMALL = 64
"""Images up to so many pixels are enlarged pixel by pixel."""


def check_page(report: Mapping[str, Any], *, pixels: Callable[[Member], Pixels]) -> str:
    """Return the page of a report, as `DataCheck.to_dict` gives it; `pixels` returns the image of a member."""
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
        galleries={kind: list(_shown(found, pixels)) for kind, found in kinds.items()},
        largest=max((count for counts in report["classes"].values() for count in counts.values()), default=1)
        or 1,  # no image has any of the labels
        unreadable=[(bad["name"], bad["reason"]) for bad in report["bad_files"]],
        strays=[(name,) for name in report["strays"]],
        names=SHOWN_NAMES,
    )


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

"""Which form annotated images have in a folder, and so which kind of target they are for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fovea.data.dataset import Dataset
from fovea.data.sources.annotations.mask_folders import load_masks, mask_places
from fovea.data.sources.annotations.pairs import Place, matched_share
from fovea.data.sources.folders import is_image
from fovea.errors import DataError

TASKS = ("masks", "boxes", "points")
"""Kinds of target that lie on an image."""
SUFFIXES = (".csv", ".json")
"""Of files that list annotated images."""
CLEAR = 0.5
"""Of the images: as many have an annotation where nobody has said that there are any."""


class Layout(NamedTuple):
    """A form in which annotations stand beside images."""

    task: str
    """The kind of target that they are for."""
    why: str
    """What tells that."""
    load: Callable[..., Dataset]
    """From names of classes that are `known` and who hears of `progress` to the data set."""


def layout_of(path: Path, task: str) -> Layout | None:
    """Return the form of the annotations in a folder for a kind of target; None where there are none of that.

    For another kind of target, as `classes` where nothing is said, it is that of whatever is clearly there.
    """
    found = [layout for find in _FORMS if (layout := find(path, asked=task in TASKS)) is not None]
    wanted = [layout for layout in found if task not in TASKS or layout.task == task]
    return wanted[0] if wanted else None


def load_annotated(
    path: Path, task: str, *, known: Sequence[str], progress: Callable[[int, int], None] | None
) -> Dataset:
    """Return the annotated images of a folder that `layout_of` knows; what was not asked for but guessed is told.

    Raises: DataError where there are none of the kind `task`, or they cannot be used.
    """
    layout = layout_of(path, task)
    if layout is None:
        raise DataError(f"`{path}` has no {task}; {_WANTED[task]}.")
    dataset = layout.load(known=known, progress=progress)
    said = () if task == layout.task else (f"the task is `{layout.task}`: {layout.why}",)
    return replace(dataset, notes=(*said, *dataset.notes))


def _masks(path: Path, *, asked: bool) -> Layout | None:
    places = mask_places(path) if path.is_dir() else []
    if not places or not (asked or _clear(places)):
        return None
    return Layout("masks", f"{_beside(places[0])} hold masks", partial(load_masks, path, places))


def _clear(places: Sequence[Place]) -> bool:
    return any(matched_share(place, is_image=is_image, is_other=is_image) >= CLEAR for place in places)


def _beside(place: Place) -> str:
    return f"`{place.others.name}` beside `{place.images.name}`"


_WANTED = {
    "masks": "wanted are folders `images` and `masks` with files of the same names, or annotations of COCO",
}
_FORMS: tuple[Callable[..., Layout | None], ...] = (_masks,)
"""In the order in which they are asked."""

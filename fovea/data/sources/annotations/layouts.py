"""Which form annotated images have, and so which kind of target they are for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fovea.data.dataset import Dataset
from fovea.data.sources.annotations.coco import chosen_files, coco_files, load_coco, usual_task
from fovea.data.sources.annotations.lists import (
    holds_boxes,
    holds_nothing_else,
    lists_at,
    load_box_lists,
    load_point_lists,
    points_in,
)
from fovea.data.sources.annotations.mask_folders import load_masks, mask_places
from fovea.data.sources.annotations.pairs import Place, matched_share
from fovea.data.sources.annotations.voc import load_voc, voc_places
from fovea.data.sources.annotations.yolo import load_yolo, names_file, yolo_places
from fovea.data.sources.archives import Progress
from fovea.data.sources.folders import WithoutClassesError, is_image
from fovea.data.sources.manifests import DEFAULT_COLUMNS, Columns

TASKS = ("masks", "boxes", "points")
"""Kinds of target that lie on an image."""
SUFFIXES = (".csv", ".json")
"""Of files that list annotated images."""
CLEAR = 0.5
"""Of the images: as many have a mask where it is not stated that there are any."""


class Asked(NamedTuple):
    """How annotated images are read."""

    task: str
    """The kind of target; one that lies on no image, as `classes`, where that is not set."""
    known: Sequence[str] = ()
    """The names of classes that a network knows."""
    columns: Columns = DEFAULT_COLUMNS
    progress: Progress | None = None
    within: Path | None = None
    """Where all files must lie, of what came in an archive."""

    @property
    def open(self) -> bool:
        """Whether it is not stated which kind of target it is."""
        return self.task not in TASKS


class Layout(NamedTuple):
    """A form in which annotations are stored beside images."""

    task: str
    """The kind of target that they are for."""
    why: str
    """What tells that."""
    load: Callable[[], Dataset]


def is_annotated(path: Path, asked: Asked, *, guess: bool) -> bool:
    """Tell whether a kind of target that lies on an image is asked for; to `guess`, whether it is clearly there."""
    if not asked.open or path.suffix.lower() == ".json":
        return path.is_dir() or path.suffix.lower() in SUFFIXES
    return guess and (path.is_dir() or path.suffix.lower() in SUFFIXES) and layout_of(path, asked) is not None


def layout_of(path: Path, asked: Asked) -> Layout | None:
    """Return the form of the annotations at `path` for the kind of target that is asked for; None if there are none.

    Where that is not set it is the form of what is clearly there.
    """
    fit = (form for form in _FORMS if asked.open or asked.task in form.tasks)
    return next((layout for form in fit if (layout := form.find(path, asked)) is not None), None)


def load_annotated(path: Path, asked: Asked) -> Dataset:
    """Return the annotated images that `layout_of` finds; a kind of target that was guessed is reported.

    Raises: WithoutClassesError if there are none of the kind that is asked for; DataError if they cannot be used.
    """
    layout = layout_of(path, asked)
    if layout is None:
        raise WithoutClassesError(f"`{path}` has no {_WANTED.get(asked.task, 'annotations in COCO format')}.")
    dataset = layout.load()
    said = (f"the task is `{layout.task}`: {layout.why}",) if asked.open else ()
    return replace(dataset, notes=(*said, *dataset.notes))


def _masks(path: Path, asked: Asked) -> Layout | None:
    if not path.is_dir() or not (places := mask_places(path)):
        return None
    if asked.open and not any(matched_share(each, is_image=is_image, is_other=is_image) >= CLEAR for each in places):
        return None
    load = partial(load_masks, path, places, known=asked.known, progress=asked.progress)
    return Layout("masks", f"{_beside(places[0])} contains masks", load)


def _coco(path: Path, asked: Asked) -> Layout | None:
    files = coco_files(path)
    if not files:
        return None
    task = usual_task(files[0][1]) if asked.open else asked.task
    chosen = chosen_files(files, task) if task else {}
    if not chosen:
        return None
    load = partial(load_coco, path, chosen, task=task, known=asked.known, within=asked.within, progress=asked.progress)
    first = next(iter(chosen.values())).name
    return Layout(task, f"`{first}` has COCO annotations; use `--task masks` to train on its outlines", load)


def _voc(path: Path, asked: Asked) -> Layout | None:
    if not path.is_dir() or not (places := voc_places(path)):
        return None
    load = partial(load_voc, path, places, known=asked.known, progress=asked.progress)
    return Layout("boxes", f"{_beside(places[0])} contains boxes as XML", load)


def _yolo(path: Path, asked: Asked) -> Layout | None:
    if not path.is_dir() or not (places := yolo_places(path)):
        return None
    load = partial(load_yolo, path, places, known=asked.known, progress=asked.progress)
    named = f", and `{file.name}` names classes" if (file := names_file(path)) else ""
    return Layout("boxes", f"{_beside(places[0])} contains text files{named}", load)


def _point_lists(path: Path, asked: Asked) -> Layout | None:
    files = lists_at(path)
    if not files or points_in(files[0], asked.columns) is None:
        return None
    load = partial(load_point_lists, files, columns=asked.columns, within=asked.within)
    return Layout("points", f"`{files[0].name}` has columns with the x and y of points", load)


def _box_lists(path: Path, asked: Asked) -> Layout | None:
    files = lists_at(path)
    holds = holds_nothing_else if asked.open else holds_boxes  # a manifest of classes may have boxes too
    if not files or not all(holds(file, asked.columns) for file in files):
        return None
    load = partial(load_box_lists, files, columns=asked.columns, known=asked.known, within=asked.within)
    why = (
        f"`{files[0].name}` has the columns of boxes; without the columns x0 to y1 its labels would be classes of "
        "images"
    )
    return Layout("boxes", why, load)


def _beside(place: Place) -> str:
    name = f"`{place.others.name}`"
    return name if place.images == place.others else f"{name} beside `{place.images.name}`"


_WANTED = {
    "masks": "masks; expected the folders `images` and `masks` with files of the same names, or COCO annotations",
    "boxes": "boxes; expected COCO annotations, Pascal VOC XML files, YOLO text files, or a CSV with the columns path, "
    "label, x0, y0, x1, y1",
    "points": "points; expected COCO keypoints, or a CSV with the columns path, `nose_x`, `nose_y` and so on",
}


class Form(NamedTuple):
    """A form that is searched for."""

    tasks: tuple[str, ...]
    """The kinds of target that it can be for."""
    find: Callable[[Path, Asked], Layout | None]


_FORMS = (
    Form(("masks",), _masks),
    Form(TASKS, _coco),
    Form(("boxes",), _voc),
    Form(("boxes",), _yolo),
    Form(("points",), _point_lists),
    Form(("boxes",), _box_lists),
)
"""In the order in which they are asked."""

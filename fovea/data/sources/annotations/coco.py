"""Annotations in JSON, as COCO has them: boxes, masks of polygons or run lengths, and keypoints.

Boxes are x, y, width and height; `iscrowd` marks those that scores ignore, and in masks they are void. Keypoints are
whole pixels, counted from 0: (x + 0.5, y + 0.5) is where they lie. See https://cocodataset.org/#format-data.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import BadFile, Dataset
from fovea.data.labels import PART_NAMES, checked_names
from fovea.data.masks import DrawnMask
from fovea.data.shapes import Shape, from_runs, runs_from_text
from fovea.data.sources.annotations.assembly import Sample, assembled
from fovea.data.sources.annotations.boxes import Box, Boxed, ImageFiles, boxes_dataset
from fovea.data.sources.annotations.documents import LARGEST_JSON, read_bytes, read_json
from fovea.data.sources.annotations.objects import Pointed, samples_of
from fovea.data.sources.annotations.points import points_dataset
from fovea.data.sources.archives import Progress
from fovea.data.sources.folders import is_ignored, subfolders
from fovea.errors import DataError, listed
from fovea.fields import Fields, is_number
from fovea.files import is_file, open_regular
from fovea.preprocess import MAX_PIXELS, VOID

BACKGROUND = "background"
KEYS = re.compile(rb'^\s*\{\s*"(images|annotations|categories|info|licenses|licences|type)"')
MARKS = {"boxes": "instances", "masks": "instances", "points": "keypoints"}
"""What COCO's own files are called for each kind of target."""
MOST_CORNERS = 1_000_000
"""Of the polygons of an image."""


class Category(NamedTuple):
    """A class of a file, and the names of its points if it has any."""

    name: str
    points: tuple[str, ...]


class Image(NamedTuple):
    """An image of a file with its annotations."""

    written: str
    size: tuple[int, int]
    """(h, w)"""
    found: list[Fields]
    """Its annotations."""


class Coco(NamedTuple):
    """What a file says."""

    file: Path
    part: str
    categories: dict[int, Category]
    """By id, ascending."""
    images: list[Image]


def coco_files(path: Path) -> list[tuple[str, Path]]:
    """Return part and path of the files of COCO at `path`, a file or a folder with some; empty if there are none.

    They lie in the folder, in its `annotations`, or in a folder for each part; the part is the word of a name.
    """
    if path.is_file():
        return [(part_in(path.name), path)] if _looks_so(path) else []
    folders = [path, *(path / top for top in subfolders(path) if top.lower() in (*PART_NAMES, "annotations"))]
    files = [file for folder in folders for file in sorted(folder.iterdir()) if _looks_so(file)]
    return [(part_in(f"{file.parent.name} {file.name}" if file.parent != path else file.name), file) for file in files]


def part_in(name: str) -> str:
    """Return the part that a word of a name means, as `val` in `instances_val2017.json`; else `train`."""
    words = re.findall("[a-z]+", name.lower())
    return next((PART_NAMES[word] for word in words if word in PART_NAMES), "train")


def _looks_so(file: Path) -> bool:
    if file.suffix.lower() != ".json" or is_ignored(file.name) or not is_file(file):
        return False
    with open_regular(file) as stream:
        return bool(KEYS.match(stream.read(4096)))


def chosen_files(files: Sequence[tuple[str, Path]], task: str) -> dict[str, Path]:
    """Return the file of each part that is for a kind of target; DataError if several are."""
    mark = MARKS[task]
    others = ("captions", "panoptic", "stuff", "image_info", *({*MARKS.values()} - {mark}))
    chosen: dict[str, Path] = {}
    for part in dict.fromkeys(part for part, _ in files):
        own = [file for each, file in files if each == part]
        fit = [file for file in own if mark in file.name] or [
            file for file in own if not any(other in file.name for other in others)
        ]
        if len(fit) > 1:
            raise DataError(f"{listed([file.name for file in fit])} are all for the split {part}; keep one of them.")
        if fit:
            chosen[part] = fit[0]
    return chosen


def usual_task(file: Path) -> str:
    """Return the kind of target that a file is for where nobody says: points where there are any, else boxes.

    Empty where the file lacks what annotations of COCO have.
    """
    content = read_bytes(file, most=LARGEST_JSON)
    if not all(key in content for key in (b'"images"', b'"annotations"', b'"categories"')):
        return ""
    return "points" if b'"keypoints"' in content else "boxes"


def load_coco(
    path: Path,
    files: Mapping[str, Path],
    *,
    task: str,
    known: Sequence[str] = (),
    within: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Return the images of the `files` of each part with their boxes, masks or points.

    Images lie where they are said to, as seen from the folder and all `within` another, or anywhere below the folder.

    Raises: DataError for a file that is not as COCO describes, which names the place in it.
    """
    root = path if path.is_dir() else path.parent
    images, name = ImageFiles(root, within=within), root.resolve().name if path.is_dir() else path.stem
    read = []
    for done, (part, file) in enumerate(files.items(), start=1):
        read.append(read_coco(file, part))
        if progress is not None:
            progress("reading annotations", done, len(files))
    load = {"boxes": _boxes, "masks": _masks, "points": _points}[task]
    return load(read, images, name, known)


def read_coco(file: Path, part: str) -> Coco:
    """Return what a file says; errors as `load_coco`."""
    content = _Entries(file, read_json(file))
    categories: dict[int, Category] = {}
    for entry in content.of("categories"):
        points = entry.texts("keypoints") if "keypoints" in entry.values else ()
        categories[entry.whole("id")] = Category(entry.text("name"), points)
    names = checked_names([category.name for category in categories.values()], where=f"`{file}`")
    ordered = sorted(zip(categories, names, strict=True))
    images: dict[Any, Image] = {}
    for entry in content.of("images"):
        size = entry.whole("height", least=1, most=MAX_PIXELS), entry.whole("width", least=1, most=MAX_PIXELS)
        if size[0] * size[1] > MAX_PIXELS:
            raise content.fault(f"`{entry.place}width` times height is above {MAX_PIXELS:,}")
        images[_identity(entry, "id")] = Image(entry.text("file_name"), size, [])
    for entry in content.of("annotations"):
        image, category = _identity(entry, "image_id"), entry.whole("category_id")
        if image not in images or category not in categories:
            what = "image_id" if image not in images else "category_id"
            raise content.fault(f"`{entry.place}{what}` (={entry.values[what]}) is not listed in the file")
        images[image].found.append(entry)
    by_id = {number: categories[number]._replace(name=name) for number, name in ordered}
    return Coco(file, part, by_id, list(images.values()))


class _Entries:
    """The lists of a file, entry by entry with its place."""

    def __init__(self, file: Path, content: Any) -> None:
        self.file, self.content = file, content

    def fault(self, sentence: str) -> DataError:
        return DataError(f"`{self.file}`: {sentence}.")

    def of(self, name: str) -> Iterator[Fields]:
        entries = self.content.get(name) if isinstance(self.content, dict) else None
        if not isinstance(entries, list):
            raise self.fault(f"`{name}` must be a list, as in COCO files")
        for number, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise self.fault(f"`{name}[{number}]` must be a table")
            yield Fields(entry, self.fault, f"{name}[{number}].")


def _identity(entry: Fields, name: str) -> Any:
    """Return an id, which some programs write as text."""
    return entry.text(name) if isinstance(entry.values.get(name), str) else entry.whole(name)


def _categories(read: Sequence[Coco]) -> tuple[str, ...]:
    """Return the names of the classes of all files, those of the first first."""
    return tuple(dict.fromkeys(category.name for file in read for category in file.categories.values()))


def _name(entry: Fields, file: Coco) -> str:
    return file.categories[entry.values["category_id"]].name


def _located(read: Sequence[Coco], images: ImageFiles) -> tuple[list[tuple[Coco, Image, str, Path]], list[BadFile]]:
    """Return the images that are there with name and path, and the others as bad files."""
    there, bad = [], []
    for file in read:
        for image in file.images:
            found = images.find(image.written, hint=_folder_hint(file.file))
            if found is None:
                bad.append(BadFile(image.written, f"no such image in `{images.root.name}`, or several"))
            else:
                there.append((file, image, *found))
    if not there:
        raise DataError(
            f"None of the images listed in `{read[0].file}` is in `{images.root}`, for example "
            f"`{bad[0].name if bad else ''}`; put them there."
        )
    return there, bad


def _folder_hint(file: Path) -> str:
    """Return what the folder of the images of a file may be called: `val2017` of `instances_val2017.json`."""
    return file.parent.name if file.name.startswith("_annotations") else file.stem.rpartition("_")[2]


def _boxes(read: Sequence[Coco], images: ImageFiles, name: str, known: Sequence[str]) -> Dataset:
    there, bad = _located(read, images)
    boxed = [
        Boxed(file.part, called, path, [_box(entry, file) for entry in image.found])
        for file, image, called, path in there
    ]
    return boxes_dataset(boxed, name=name, known=known, classes=_categories(read), bad=bad)


def _box(entry: Fields, file: Coco) -> Box:
    return Box(_name(entry, file), *_corners(entry), _is_crowd(entry))


def _corners(entry: Fields) -> tuple[float, float, float, float]:
    values = _numbers(entry, "bbox")
    if len(values) != 4:
        raise entry.fault(f"`{entry.place}bbox` must be x, y, width and height")
    x, y, width, height = values
    return x, y, x + width, y + height


def _is_crowd(entry: Fields) -> bool:
    return entry.values.get("iscrowd") in (1, True)


def _numbers(entry: Fields, name: str) -> list[float]:
    values = entry.values.get(name)
    if not isinstance(values, list) or not all(is_number(value) and abs(value) < 1e6 for value in values):
        raise entry.fault(f"`{entry.place}{name}` must be a list of numbers")
    return values


def _masks(read: Sequence[Coco], images: ImageFiles, name: str, known: Sequence[str]) -> Dataset:
    there, bad = _located(read, images)
    classes: tuple[str, ...] = (BACKGROUND, *(name for name in _categories(read) if name != BACKGROUND))
    ground = 0
    if known and set(classes) <= set(known):
        classes, ground = tuple(known), known.index(BACKGROUND)
    elif known and set(classes[1:]) <= set(known):  # a network without a background, whose masks cover all
        classes, ground = tuple(known), VOID
    if len(classes) > VOID:
        raise DataError(f"`{name}` has {len(classes)} classes including the background; the limit is {VOID}.")
    index = {name: number for number, name in enumerate(classes)}
    samples = [
        Sample(file.part, called, path, DrawnMask(image.size, tuple(_shapes(image, file, index)), ground))
        for file, image, called, path in there
    ]
    return assembled(samples, name=name, task="masks", classes=classes, bad=bad)


def _shapes(image: Image, file: Coco, index: Mapping[str, int]) -> Iterator[Shape]:
    corners = 0
    for entry in image.found:
        shape = _shape(entry, image.size, index[_name(entry, file)])
        if _is_crowd(entry):
            shape = replace(shape, class_index=VOID, group=shape.class_index)
        corners += sum(map(len, shape.rings))
        if corners > MOST_CORNERS:
            raise entry.fault(f"the polygons of `{image.written}` have more than {MOST_CORNERS:,} corners")
        yield shape


def _shape(entry: Fields, size: tuple[int, int], class_index: int) -> Shape:
    """Return what an annotation covers: polygons, run lengths as a list or as text, or else its box."""
    given = entry.values.get("segmentation")
    place = f"`{entry.place}segmentation`"
    if isinstance(given, dict):
        return Shape(class_index, runs=_runs(Fields(given, entry.fault, f"{entry.place}segmentation."), size))
    if not given:
        x, y, width, height = [*_numbers(entry, "bbox"), 0, 0, 0, 0][:4]
        return Shape(class_index, (_ring([x, y, x + width, y, x + width, y + height, x, y + height]),))
    if not isinstance(given, list) or not all(isinstance(ring, list) for ring in given):
        raise entry.fault(f"{place} must be a list of polygons, or run lengths with `counts` and `size`")
    for ring in given:
        if len(ring) < 6 or len(ring) % 2 or not all(is_number(value) and abs(value) < 1e6 for value in ring):
            raise entry.fault(f"{place} has a polygon that is not a list of at least three x, y pairs")
    return Shape(class_index, tuple(map(_ring, given)))


def _runs(given: Fields, size: tuple[int, int]) -> NDArray[np.int64]:
    counts = given.values.get("counts")
    if given.values.get("size") != list(size):
        raise given.fault(
            f"`{given.place}size` (={given.values.get('size')}) must be the size of the image, {list(size)}"
        )
    try:
        if isinstance(counts, str):
            runs = runs_from_text(counts)
        else:
            runs = np.array([round(run) for run in _numbers(given, "counts")], np.int64)
        from_runs(runs, size)
    except DataError as error:
        raise given.fault(f"`{given.place}counts`: {error}") from error
    return runs


def _ring(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 2)


def _points(read: Sequence[Coco], images: ImageFiles, name: str, known: Sequence[str]) -> Dataset:
    there, bad = _located(read, images)
    names = next((category.points for file in read for category in file.categories.values() if category.points), ())
    if not names:
        raise DataError(f"`{read[0].file}` has no keypoints in its categories; `--task points` needs them.")
    found = [
        [
            Pointed(_corners(entry) if "bbox" in entry.values else None, _area(entry), points)
            for entry in image.found
            if (points := _keypoints(entry, len(names))) is not None
        ]
        for _, image, _, _ in there
    ]
    several = sum(len(objects) > 1 for objects in found)
    samples = [
        sample
        for (file, image, called, path), objects in zip(there, found, strict=True)
        for sample in (
            samples_of(Sample(file.part, called, path, None), image.size, objects)
            if several
            else [Sample(file.part, called, path, each.points, area=each.area) for each in objects]
        )
    ]
    notes = [
        f"{several:,} images have points of several objects; each object is one sample, with its box enlarged by a "
        "quarter"
    ]
    names = checked_names(names, where=f"`{read[0].file}`")
    return points_dataset(samples, name=name, names=names, notes=notes if several else (), bad=bad)


def _area(entry: Fields) -> float | None:
    """Return the pixels that an object covers, else those of its box; None if neither is given."""
    area = entry.values.get("area")
    if is_number(area) and 0 < area < 1e12:
        return float(area)
    if "bbox" not in entry.values:
        return None
    x0, y0, x1, y1 = _corners(entry)
    return (x1 - x0) * (y1 - y0) if x1 > x0 and y1 > y0 else None


def _keypoints(entry: Fields, count: int) -> NDArray[np.float32] | None:
    """Return the points (P, 3) of an annotation; None if none is labelled."""
    if "keypoints" not in entry.values or _is_crowd(entry):
        return None
    values = _numbers(entry, "keypoints")
    if len(values) != 3 * count:
        raise entry.fault(f"`{entry.place}keypoints` has {len(values)} numbers; expected 3 for each of {count} points")
    points = np.array(values, np.float32).reshape(-1, 3)
    if not np.isin(points[:, 2], (0, 1, 2)).all():
        raise entry.fault(f"`{entry.place}keypoints` has a visibility other than 0, 1 or 2")
    points[:, :2] = np.where(points[:, 2:] > 0, points[:, :2] + 0.5, 0)
    return points if (points[:, 2] > 0).any() else None

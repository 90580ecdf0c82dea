"""Boxes in text files, as YOLO has them: class, centre x, centre y, width and height, as shares of an image.

A line may have a polygon in place of a box, whose box it then is. An image without a file has no box.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fovea.data.dataset import BadFile, Dataset
from fovea.data.sources.annotations.boxes import Box, Boxed, boxes_dataset
from fovea.data.sources.annotations.documents import read_text, yaml_names
from fovea.data.sources.annotations.pairs import Place, files_in, folders_of_both, holds_any, places_below
from fovea.data.sources.archives import Progress
from fovea.data.sources.folders import is_image
from fovea.errors import DataError, shortened
from fovea.fields import is_number
from fovea.files import is_file
from fovea.preprocess.decoding import upright_size
from fovea.texts import composed

NAME_FILES = ("classes.txt", "obj.names", "classes.names")
NO_LABELS = (*NAME_FILES, "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt", "requirements.txt")
"""Text files that hold no boxes, in any case."""


def yolo_places(root: Path) -> list[Place]:
    """Return where images and text files are in a folder; empty if there are none."""
    beside = places_below(root, ("labels", "label", "annotations"), lambda folder: holds_any(folder, _is_boxes))
    if beside:
        return beside
    return folders_of_both(root, is_image=is_image, is_other=_is_boxes) if names_file(root) else []


def names_file(root: Path) -> Path | None:
    """Return the file that names the classes of a folder: a `.yaml` with names, or a list as `classes.txt`."""
    yaml = [path for path in sorted(root.iterdir()) if path.suffix.lower() in (".yaml", ".yml") and is_file(path)]
    named = next((path for path in yaml if _has_names(path)), None)
    lists = (folder / name for folder in (root, root / "labels") for name in NAME_FILES)
    return named or next((path for path in lists if is_file(path)), None)


def _has_names(path: Path) -> bool:
    try:
        return any(line.startswith("names") for line in read_text(path).splitlines())
    except DataError:  # a file of another program
        return False


def load_yolo(
    root: Path, places: Sequence[Place], *, known: Sequence[str] = (), progress: Progress | None = None
) -> Dataset:
    """Return the images with boxes in `places`, which `yolo_places` gives.

    Raises: DataError for a line that is not a box, or a class beyond those that are named.
    """
    file = names_file(root)
    names = _names(file) if file else None
    images: list[Boxed] = []
    bad: list[BadFile] = []
    for place in places:
        prefix = "" if place.images == root else f"{place.images.relative_to(root).as_posix()}/"
        texts = {os.path.splitext(name)[0]: path for name, path in files_in(place.others, _is_boxes).items()}
        for name, path in files_in(place.images, is_image).items():
            size = upright_size(path)
            if size is None:
                bad.append(BadFile(prefix + name, "its size cannot be read, and its boxes are relative to that size"))
                continue
            text = texts.get(os.path.splitext(name)[0])
            images.append(Boxed(place.part, prefix + name, path, boxes_in(text, size, names) if text else ()))
            if progress is not None:
                progress("reading boxes", len(images), None)
    said = f"classes by `{file.name}`" if file else "no file names the classes, so their numbers are used as names"
    name = root.resolve().name
    return boxes_dataset(images, name=name, known=known, classes=names or (), notes=[said], bad=bad)


def boxes_in(file: Path, size: tuple[int, int], names: Sequence[str] | None) -> list[Box]:
    """Return the boxes in a text file, in pixels of an image of `size` (h, w); errors as `load_yolo`."""
    boxes = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"`{file}`, line {number}"
        index, values = _numbers(line, where)
        if names is not None and index >= len(names):
            raise DataError(f"{where}: class {index} must be from 0 to {len(names) - 1}, the classes with names.")
        boxes.append(Box(names[index] if names else str(index), *_corners(values, size)))
    return boxes


def _numbers(line: str, where: str) -> tuple[int, list[float]]:
    words = line.split()
    try:
        index, values = int(words[0]), list(map(float, words[1:]))
    except ValueError:
        index, values = -1, []
    polygon = len(values) >= 6 and len(values) % 2 == 0
    if not 0 <= index < 1_000_000 or not (len(values) == 4 or polygon) or not all(map(is_number, values)):
        raise DataError(
            f"{where}: `{shortened(line)}` must be a class with centre, width and height, or with a polygon."
        )
    if max(map(abs, values)) > 10:
        raise DataError(
            f"{where}: `{shortened(line)}` is in pixels; coordinates must be fractions of the image, 0 to 1."
        )
    return index, values


def _corners(values: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    h, w = size
    if len(values) == 4:
        x, y, width, height = values
        return (x - width / 2) * w, (y - height / 2) * h, (x + width / 2) * w, (y + height / 2) * h
    points = np.reshape(values, (-1, 2)) * (w, h)
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x0, y0, x1, y1


def _names(file: Path) -> list[str]:
    if file.suffix.lower() in (".yaml", ".yml"):
        return yaml_names(file)
    names = [composed(line.strip()) for line in read_text(file).splitlines() if line.strip()]
    if not names or len(set(names)) != len(names):
        raise DataError(f"`{file}` must name each class once, one per line.")
    return names


def _is_boxes(name: str) -> bool:
    base = os.path.basename(name).lower()
    return base.endswith(".txt") and base not in NO_LABELS

"""What is wrong with masks, boxes and points, image by image, and how many objects of which size each class has.

Sizes are (h, w) of upright images.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import Dataset, Part
from fovea.data.masks import MaskSizeError, UnknownValueError
from fovea.errors import ImageError
from fovea.preprocess import VOID
from fovea.preprocess.decoding import upright_size
from fovea.texts import percent

BEYOND = 1.0
"""Pixels that a box or a point may lie outside of its image: programs round, and count from 0 or 1."""
SAME = 0.95
"""Of the union of two boxes of one class: where they share more they stand for one object."""
SMALL, LARGE = 32**2, 96**2
"""Square pixels: below and above which COCO calls an object small and large."""

UNREAD = (0, 0)
"""The size of an image whose file cannot be read."""

Progress = Callable[[int, int], None]


Place = tuple[float, float, float, float]


class Fault(NamedTuple):
    """One thing that is wrong, and where."""

    what: str
    name: str
    """Of the image."""
    part: str
    detail: str
    places: Sequence[Place] = ()
    """The boxes that it is about, x0, y0, x1, y1 in pixels of the image; of a point its place twice."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a look at masks, boxes or points has found."""

    looked_for: Mapping[str, bool]
    """What was looked for, and whether it is a fault where it is found."""
    faults: Sequence[Fault]
    lines: Sequence[str] = ()
    """For a person: objects and sizes of each class."""
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By class: images, and objects or share of pixels, and sizes."""

    def found(self, what: str) -> list[Fault]:
        """Return what was found of a kind."""
        return [fault for fault in self.faults if fault.what == what]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "faults": [fault._asdict() for fault in self.faults],
            "classes": {name: dict(each) for name, each in self.classes.items()},
        }


def survey_targets(dataset: Dataset, *, progress: Progress | None = None) -> Targets | None:
    """Return the faults of the targets of a data set as it was found; None if they do not lie on images."""
    look = {"masks": _masks, "boxes": _boxes, "points": _points}.get(dataset.task)
    return look(dataset, progress) if look else None


OTHER_SIZE, UNKNOWN = "masks that differ in size from their image", "masks with values that are not a class"
SINGLE, NO_PIXELS = "masks with a single class", "classes without a pixel in the train split"


def _masks(dataset: Dataset, progress: Progress | None) -> Targets:
    faults: list[Fault] = []
    pixels = {name: np.zeros(256, np.int64) for name in dataset.parts}
    images = np.zeros(256, np.int64)
    for (name, image), seen in zip(_images(dataset), _each(dataset, _counted, progress), strict=True):
        if isinstance(seen, ImageError):
            kinds = {MaskSizeError: OTHER_SIZE, UnknownValueError: UNKNOWN}
            if what := kinds.get(type(seen)):
                faults.append(Fault(what, image, name, str(seen)))
            continue
        pixels[name] += seen
        images += seen > 0
        there = np.flatnonzero(seen[:VOID])
        if len(there) < 2:
            text = f"all of it is {dataset.classes[there[0]]}" if len(there) else "all of it is void"
            faults.append(Fault(SINGLE, image, name, text))
    first = next(iter(pixels))
    missing = [name for index, name in enumerate(dataset.classes) if not pixels[first][index]]
    faults += [Fault(NO_PIXELS, name, first, "no pixel of it") for name in missing]
    total = np.sum([*pixels.values()], axis=0)
    scored = max(1, int(total[:VOID].sum()))
    classes = {
        name: {"images": int(images[index]), "share": float(total[index] / scored)}
        for index, name in enumerate(dataset.classes)
    }
    lines = [
        f"{name}: {100 * each['share']:.3g} % of the pixels, in {each['images']:,.0f} images"
        for name, each in classes.items()
    ]
    void = float(total[VOID] / max(1, total.sum()))
    lines += [f"void: {100 * void:.3g} % of all pixels"] if void else []
    looked_for = {OTHER_SIZE: True, UNKNOWN: True, NO_PIXELS: True, SINGLE: False}
    return Targets(looked_for=looked_for, faults=faults, lines=lines, classes=classes)


def _counted(part: Part, index: int) -> NDArray[np.int64] | ImageError:
    """Return the pixels of each class and of void in one mask, (256,), or why it cannot be read."""
    try:
        size, target = _size_of(part, index), part.labels[index]
        if size == UNREAD:
            return ImageError("its image cannot be read")
        mask = target if isinstance(target, np.ndarray) else target.read(size)
    except ImageError as error:
        return error
    return np.bincount(np.asarray(mask).ravel(), minlength=256)


FLAT, INVERTED = "boxes without area", "boxes with exchanged sides"
OUTSIDE, TWICE, NO_BOX = "boxes outside their image", "boxes given twice", "images without a box"


def _boxes(dataset: Dataset, progress: Progress | None) -> Targets:
    faults: list[Fault] = []
    sizes = _each(dataset, _size_of, progress)
    sides: list[NDArray[np.float64]] = []
    for ((name, image), boxes), size in zip(_labelled(dataset), sizes, strict=True):
        good = boxes[boxes[:, 0] >= 0]
        faults += [Fault(what, image, name, text, places) for what, text, places in _box_faults(boxes, size)]
        if not len(good):
            faults.append(Fault(NO_BOX, image, name, ""))
        sides.append(np.hstack([good[:, :1], good[:, 3:5] - good[:, 1:3]]).astype(np.float64))
    every = np.concatenate(sides)
    classes: dict[str, dict[str, float]] = {}
    for index, label in enumerate(dataset.classes):
        own = every[every[:, 0] == index, 1:]
        areas = own.prod(axis=1)
        classes[label] = {
            "objects": len(own),
            "images": sum(bool((each[:, 0] == index).any()) for each in sides),
            "median_width": float(np.median(own[:, 0])) if len(own) else 0.0,
            "median_height": float(np.median(own[:, 1])) if len(own) else 0.0,
            "small": int((areas < SMALL).sum()),
            "large": int((areas > LARGE).sum()),
        }
    lines = [_objects_text(label, each) for label, each in classes.items()]
    looked_for = {FLAT: True, INVERTED: True, OUTSIDE: True, TWICE: True, NO_BOX: False}
    return Targets(looked_for=looked_for, faults=faults, lines=lines, classes=classes)


def _box_faults(boxes: NDArray[np.float32], size: tuple[int, int]) -> Iterator[tuple[str, str, list[Place]]]:
    """Yield the faults of the boxes (M, 6) of an image, and which box it is, in words and as it lies."""
    h, w = size
    for row in boxes:
        x0, y0, x1, y1 = map(float, row[1:5])
        text, place = f"{x0:g}, {y0:g} to {x1:g}, {y1:g}", [(x0, y0, x1, y1)]
        if row[0] < 0:
            if any((x0, y0, x1, y1)):  # else padding
                yield (INVERTED if x1 < x0 or y1 < y0 else FLAT), text, place
        elif size != UNREAD and (x0 < -BEYOND or y0 < -BEYOND or x1 > w + BEYOND or y1 > h + BEYOND):
            yield OUTSIDE, f"{text} of {w}x{h} pixels", place
    good = boxes[boxes[:, 0] >= 0]
    for index in _repeated(good):
        x0, y0, x1, y1 = good[index, 1:5].tolist()
        yield TWICE, f"{x0:g}, {y0:g} to {x1:g}, {y1:g}", [(x0, y0, x1, y1)]


def _repeated(boxes: NDArray[np.float32]) -> list[int]:
    """Return the indices of boxes (b, 6) that nearly cover one of their class that comes before."""
    low, high = boxes[:, 1:3].astype(np.float64), boxes[:, 3:5].astype(np.float64)
    shared = (np.minimum(high[:, None], high) - np.maximum(low[:, None], low)).clip(min=0).prod(axis=2)
    areas = (high - low).prod(axis=1)
    same = shared >= SAME * (areas[:, None] + areas - shared)
    same &= boxes[:, 0][:, None] == boxes[:, 0]
    return np.flatnonzero(np.tril(same, -1).any(axis=1)).tolist()


def _objects_text(label: str, each: Mapping[str, float]) -> str:
    middle = each["objects"] - each["small"] - each["large"]
    median = f"median {each['median_width']:.0f}x{each['median_height']:.0f} pixels"
    sizes = f"{each['small']:,.0f} small, {middle:,.0f} medium, {each['large']:,.0f} large"
    return f"{label}: {each['objects']:,.0f} objects in {each['images']:,.0f} images, {median}; {sizes}"


POINT_OUTSIDE, NO_POINT = "points outside their image", "images without a labelled point"


def _points(dataset: Dataset, progress: Progress | None) -> Targets:
    faults: list[Fault] = []
    labelled = np.zeros(len(dataset.classes), np.int64)
    sizes = _each(dataset, _size_of, progress)
    for ((name, image), points), size in zip(_labelled(dataset), sizes, strict=True):
        h, w = size
        seen = points[:, 2] > 0
        labelled += seen
        x, y = points[:, 0], points[:, 1]
        out = seen & ((x < -BEYOND) | (y < -BEYOND) | (x > w + BEYOND) | (y > h + BEYOND)) & (size != UNREAD)
        for index in np.flatnonzero(out):
            text = f"{dataset.classes[index]} at {x[index]:g}, {y[index]:g} of {w}x{h} pixels"
            place = float(x[index]), float(y[index])
            faults.append(Fault(POINT_OUTSIDE, image, name, text, [(*place, *place)]))
        if not seen.any():
            faults.append(Fault(NO_POINT, image, name, ""))
    total = sum(map(len, dataset.parts.values()))
    classes = {name: {"labelled": int(count)} for name, count in zip(dataset.classes, labelled, strict=True)}
    fewest = min(classes, key=lambda name: classes[name]["labelled"])
    lines = [
        f"{len(classes)} points; on average {percent(labelled.mean() / max(1, total))} are labelled, of {fewest} "
        f"{classes[fewest]['labelled']:,} of {total:,}"
    ]
    return Targets(looked_for={POINT_OUTSIDE: True, NO_POINT: False}, faults=faults, lines=lines, classes=classes)


def _images(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield part and name of each image."""
    return ((name, image) for name, part in dataset.parts.items() for image in part.names)


def _labelled(dataset: Dataset) -> Iterator[tuple[tuple[str, str], NDArray[np.float32]]]:
    """Yield part and name of each image with its label."""
    return (
        ((name, image), label)
        for name, part in dataset.parts.items()
        for image, label in zip(part.names, part.labels, strict=True)
    )


def _each(dataset: Dataset, function: Callable[[Part, int], Any], progress: Progress | None) -> Iterator[Any]:
    """Yield what `function` returns for each image, in their order; several are looked at at a time."""
    total, done = sum(map(len, dataset.parts.values())), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in dataset.parts.values():
            for result in pool.map(function, [part] * len(part), range(len(part))):
                done += 1
                if progress is not None:
                    progress(done, total)
                yield result


def _size_of(part: Part, index: int) -> tuple[int, int]:
    """Return the size of an image or a region, or UNREAD."""
    if part.files is None:
        h, w = part.decoded.shape[1:3]
        return h, w
    if part.regions is not None:
        x0, y0, x1, y1 = map(int, part.regions[index])
        return y1 - y0, x1 - x0
    return upright_size(part.files[index]) or UNREAD

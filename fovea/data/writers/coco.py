"""Masks, boxes and points as JSON in the way of COCO, which `fovea.data.sources.annotations.coco` reads back."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fovea.data.sources.annotations.coco import BACKGROUND
from fovea.data.writers.answers import Answer
from fovea.decoding.runs import runs_to_text, to_runs
from fovea.preprocess import VOID
from fovea.storage import write_atomically

DECIMALS = 3
"""Of pixels and scores: less than anyone sees."""


def write_coco(path: Path, answers: Sequence[Answer], *, task: str, classes: Sequence[str]) -> None:
    """Write what was found in images as one JSON file; `task` is masks, boxes or points.

    Boxes have their `score` beside what COCO asks of annotations. Masks are run lengths, one of each class in an image;
    a class called background is left out, and void is a crowd. Points are those of an object each, and x and y 0.5
    less than here, as COCO gives the index of a pixel.

    Raises: StorageError.
    """
    said, categories = _SAID[task]
    found = [said(answer, classes) for answer in answers]
    document = annotated([(answer.name, answer.size) for answer in answers], found, classes=classes)
    write_document(path, {**document, "categories": categories(classes)})


def annotated(
    images: Sequence[tuple[str, tuple[int, int]]],
    found: Sequence[Iterable[Mapping[str, Any]]],
    *,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Return a document of COCO: images by name and size (h, w), and what was found in each of them.

    The category of a class is its index and 1; one called background is none.
    """
    each = [(number, own) for number, of_image in enumerate(found, start=1) for own in of_image]
    return {
        "images": [
            {"id": number, "file_name": name, "width": width, "height": height}
            for number, (name, (height, width)) in enumerate(images, start=1)
        ],
        "annotations": [{"id": index, "image_id": image, **own} for index, (image, own) in enumerate(each, start=1)],
        "categories": _without_background(classes),
    }


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON. Raises: StorageError."""
    write_atomically(path, json.dumps(document, allow_nan=False).encode())


def _classes(classes: Sequence[str]) -> list[dict[str, Any]]:
    return [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]


def _without_background(classes: Sequence[str]) -> list[dict[str, Any]]:
    return [category for category in _classes(classes) if category["name"] != BACKGROUND]


def _one_object(classes: Sequence[str]) -> list[dict[str, Any]]:
    return [{"id": 1, "name": "object", "keypoints": list(classes), "skeleton": []}]


def _boxes(answer: Answer, classes: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for index, x0, y0, x1, y1, score in answer.found.tolist():
        bbox = [round(value, DECIMALS) for value in (x0, y0, x1 - x0, y1 - y0)]
        area = round(bbox[2] * bbox[3], DECIMALS)
        given = {"category_id": int(index) + 1, "bbox": bbox, "area": area, "iscrowd": 0}
        yield {**given, "score": round(score, DECIMALS + 3)}


def _masks(answer: Answer, classes: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    categories = [each["id"] for each in _without_background(classes)]
    for index in np.unique(answer.found).tolist():
        if index == VOID or index + 1 in categories:
            covered = answer.found == index
            rows, columns = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
            top, left = int(rows[0]), int(columns[0])
            yield {
                "category_id": categories[0] if index == VOID else index + 1,
                "segmentation": {"size": list(answer.size), "counts": runs_to_text(to_runs(covered))},
                "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
                "area": int(covered.sum()),
                "iscrowd": int(index == VOID),
            }


def _points(answer: Answer, classes: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    objects = answer.found if answer.found.ndim == 3 else answer.found[None]
    for number, points in enumerate(objects):
        seen = points[:, 2] > 0
        if not seen.any():
            continue
        rows = [
            value
            for x, y, visible in points.tolist()
            for value in ((round(x - 0.5, DECIMALS), round(y - 0.5, DECIMALS), int(visible)) if visible else (0, 0, 0))
        ]
        box = np.concatenate([points[seen, :2].min(axis=0), points[seen, :2].max(axis=0)])
        if answer.boxes is not None:
            box = answer.boxes[number]
        bbox = [round(float(value), DECIMALS) for value in (*box[:2], *(box[2:] - box[:2]))]
        yield {
            "category_id": 1,
            "keypoints": rows,
            "num_keypoints": int(seen.sum()),
            "bbox": bbox,
            "area": round(bbox[2] * bbox[3], DECIMALS),
            "iscrowd": 0,
        }


Said = Callable[[Answer, Sequence[str]], Iterator[Mapping[str, Any]]]
_SAID: Mapping[str, tuple[Said, Callable[[Sequence[str]], list[dict[str, Any]]]]] = {
    "boxes": (_boxes, _classes),
    "masks": (_masks, _without_background),
    "points": (_points, _one_object),
}
"""The annotations of an image and the categories of a file, by kind of target."""

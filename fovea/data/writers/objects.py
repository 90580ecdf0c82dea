"""Single objects of masks as files: numbers in a PNG of 16 bits, a CSV, and JSON in the way of COCO.

Objects are (H, W) int32, 0 for none.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.data.shapes import object_runs
from fovea.data.writers.coco import DECIMALS, annotated, write_document
from fovea.decoding.runs import runs_to_text
from fovea.errors import DataError
from fovea.instances import MaskObjects, Objects, mean_inside, measures
from fovea.storage import write_atomically
from fovea.texts import in_cell

MOST_NUMBERED = 65_535
"""What 16 bits can number."""
COLUMNS = tuple("image number class area x0 y0 x1 y1 x y probability".split())


class ObjectRow(NamedTuple):
    """One object, in pixels of the image."""

    number: int
    """In the PNG."""
    class_index: int
    area: int
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1, half-open."""
    centre: tuple[float, float]
    """x and y; the centre of the first pixel is 0.5, 0.5."""
    probability: float
    """The mean of its pixels, 0 to 1."""
    runs: str
    """Run lengths as COCO packs them."""


class ObjectsOf(NamedTuple):
    """The objects of one image."""

    name: str
    """Of the image, as it is seen from the lists."""
    size: tuple[int, int]
    """(h, w)"""
    rows: Sequence[ObjectRow]


def rows_of(found: MaskObjects, probabilities: NDArray[np.floating]) -> list[ObjectRow]:
    """Return all that is written of the objects of a mask; `probabilities` (H, W) are from 0 to 1."""
    areas, centres, boxes = measures(found.objects)
    means, runs = mean_inside(found.objects, probabilities), object_runs(found.objects)
    return [
        ObjectRow(
            number=index + 1,
            class_index=int(found.classes[index]),
            area=int(areas[index]),
            box=(int(boxes[index, 0]), int(boxes[index, 1]), int(boxes[index, 2]), int(boxes[index, 3])),
            centre=(float(centres[index, 0]), float(centres[index, 1])),
            probability=float(means[index]),
            runs=runs_to_text(runs[index]),
        )
        for index in range(len(areas))
    ]


def write_numbers(path: Path, objects: Objects) -> None:
    """Write objects as a PNG of 16 bits whose values are their numbers, 0 for none.

    Raises: DataError for more than 65,535 of them; StorageError.
    """
    if (count := int(objects.max(initial=0))) > MOST_NUMBERED:
        raise DataError(
            f"`{path.name}` would contain {count:,} numbered objects, and 16 bits allow {MOST_NUMBERED:,}; leave "
            "out small ones with `--least-area`."
        )
    with io.BytesIO() as stream:
        Image.fromarray(objects.astype(np.uint16)).save(stream, "PNG")
        write_atomically(path, stream.getvalue())


def write_object_table(path: Path, images: Sequence[ObjectsOf], *, classes: Sequence[str]) -> None:
    """Write a row for each object: image, number, class, area, box, centre and mean probability.

    Raises: StorageError.
    """
    with io.StringIO(newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for image in images:
            for row in image.rows:
                first = (in_cell(image.name), row.number, in_cell(classes[row.class_index]), row.area, *row.box)
                writer.writerow((*first, *(f"{each:.2f}" for each in row.centre), f"{row.probability:.4f}"))
        write_atomically(path, stream.getvalue().encode())


def write_coco_objects(path: Path, images: Sequence[ObjectsOf], *, classes: Sequence[str]) -> None:
    """Write an annotation for each object, with run lengths and its `score`, as a JSON file in the way of COCO.

    Raises: StorageError.
    """
    found = [[_annotation(row, image.size) for row in image.rows] for image in images]
    sizes = [(image.name, image.size) for image in images]
    write_document(path, annotated(sizes, found, classes=classes))


def _annotation(row: ObjectRow, size: tuple[int, int]) -> Mapping[str, Any]:
    x0, y0, x1, y1 = row.box
    return {
        "category_id": row.class_index + 1,
        "segmentation": {"size": list(size), "counts": row.runs},
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": row.area,
        "iscrowd": 0,
        "score": round(row.probability, DECIMALS + 3),
    }

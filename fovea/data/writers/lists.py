"""Boxes and points as CSV, which `fovea.data.sources.annotations.lists` reads back."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from fovea.data.sources.annotations.lists import SIDES
from fovea.data.writers.answers import Answer
from fovea.storage import write_atomically
from fovea.texts import in_cell


def write_boxes(path: Path, answers: Iterable[Answer], *, classes: Sequence[str]) -> None:
    """Write a row for each box: path, label, x0, y0, x1, y1 and score; an image without any has a row without numbers.

    Raises: StorageError.
    """
    rows: list[Sequence[object]] = []
    for answer in answers:
        if not len(answer.found):
            rows.append((in_cell(answer.name), *[""] * 6))
        for index, *sides, score in answer.found.tolist():
            rows.append((in_cell(answer.name), in_cell(classes[int(index)]), *map(_pixels, sides), f"{score:.6g}"))
    _write(path, ("path", "label", *SIDES, "score"), rows)


def write_points(path: Path, answers: Iterable[Answer], *, classes: Sequence[str]) -> None:
    """Write a row for each image with x, y and visibility of its points (P, 3); nothing of those that are not there.

    Raises: StorageError.
    """
    header = [f"{name}_{mark}" for name in classes for mark in ("x", "y", "visible")]
    rows = [
        (
            in_cell(answer.name),
            *(
                cell
                for x, y, v in answer.found.tolist()
                for cell in ((_pixels(x), _pixels(y), int(v)) if v else ("", "", 0))
            ),
        )
        for answer in answers
    ]
    _write(path, ("path", *header), rows)


def _pixels(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with io.StringIO(newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
        write_atomically(path, stream.getvalue().encode())

"""What readers of boxes have in common: rows of class, x0, y0, x1, y1 and flag, and the data set they make.

Pixels are those of the upright image, half-open: x0 <= x < x1. A row whose box has no area keeps its place with the
class -1, as padding has, so that a check can tell of it and nothing else sees it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.dataset import BadFile, Dataset
from fovea.data.sources.annotations.assembly import Sample, assembled
from fovea.data.sources.folders import files_below, is_image
from fovea.errors import DataError
from fovea.files import is_file
from fovea.texts import composed, natural_key

Rows = NDArray[np.float32]
"""(b, 6) float32."""


class Box(NamedTuple):
    """A box with the name of its class."""

    label: str
    x0: float
    y0: float
    x1: float
    y1: float
    ignored: bool = False
    """A crowd, or one that is difficult: neither found nor missed."""


class Boxed(NamedTuple):
    """An image with its boxes."""

    part: str
    name: str
    path: Path
    boxes: Sequence[Box]


def boxes_dataset(
    images: Sequence[Boxed],
    *,
    name: str,
    known: Sequence[str],
    classes: Sequence[str] = (),
    notes: Sequence[str] = (),
    bad: Sequence[BadFile] = (),
) -> Dataset:
    """Return the data set of images with boxes; `classes` count even where no image has them.

    The classes are in the order of those that a network has `known`, else in that of `classes`, others sorted.
    """
    found = sorted({box.label for image in images for box in image.boxes} - {*classes}, key=natural_key)
    names = (*classes, *found)
    if known and set(names) <= set(known):
        names = tuple(known)
    if not names:
        raise DataError(f"`{name}` has images but no boxes; `--task boxes` needs boxes.")
    index = {name: number for number, name in enumerate(names)}
    samples = [Sample(image.part, image.name, image.path, rows_of(image.boxes, index)) for image in images]
    empty = sum(not image.boxes for image in images)
    flat = sum(box.x1 <= box.x0 or box.y1 <= box.y0 for image in images for box in image.boxes)
    said = [f"{empty:,} images have no box"] if empty else []
    said += [f"{flat:,} boxes without area are ignored"] if flat else []
    return assembled(samples, name=name, task="boxes", classes=names, notes=[*notes, *said], bad=bad)


def rows_of(boxes: Iterable[Box], index: Mapping[str, int]) -> Rows:
    """Return boxes as rows (b, 6) float32."""
    rows = [
        (index[box.label] if box.x1 > box.x0 and box.y1 > box.y0 else -1, *box[1:5], float(box.ignored))
        for box in boxes
    ]
    return np.array(rows, np.float32).reshape(-1, 6)


class ImageFiles:
    """The images below a folder, found by what an annotation calls them."""

    def __init__(self, root: Path, *, within: Path | None = None) -> None:
        self.root, self._within = root, within
        self._by_name: dict[str, list[tuple[str, Path]]] = {}
        for record in sorted(files_below(root, "", ())):
            if is_image(record.name):
                base = composed(os.path.basename(record.name)).casefold()
                self._by_name.setdefault(base, []).append((record.name, record.path))

    def find(self, written: str, *, hint: str = "") -> tuple[str, Path] | None:
        """Return name and path of the image that is meant: at that place as seen from the folder, or else below it.

        Of several below it the one whose path ends as written; of several that do, the one in a folder called like
        `hint`. None if there is none, or it is not clear.
        """
        if (there := self._at(written)) is not None:
            return there
        pieces = written.replace("\\", "/").strip("/").split("/")
        found = self._by_name.get(composed(pieces[-1]).casefold(), [])
        if len(found) > 1:
            found = [each for each in found if f"/{each[0]}".endswith("/" + "/".join(pieces))] or found
        if len(found) > 1 and hint:
            found = [each for each in found if hint in each[0].split("/")[:-1]] or found
        return found[0] if len(found) == 1 else None

    def _at(self, written: str) -> tuple[str, Path] | None:
        """Return the image at a place; of what came in an archive none that lies outside of it."""
        place = Path(os.path.normpath(self.root / written))
        inside = self._within is None or Path(os.path.abspath(place)).is_relative_to(os.path.abspath(self._within))
        if not inside or not is_image(place.name) or not is_file(place):
            return None
        return Path(os.path.relpath(place, self.root)).as_posix(), place

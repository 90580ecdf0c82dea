"""Boxes, polygons, covered pixels and points in a JSON file as COCO's, which `fovea train` reads.

An image without annotations was looked at and has none; one that was not labelled is not in the file. What other
programs wrote stays: fields of the file and of annotations that are not changed, and annotations of another kind.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fovea.data.annotating.covered import inside
from fovea.data.annotating.kinds import KINDS, Size
from fovea.data.labelling import relative_path
from fovea.data.sources.annotations.boxes import ImageFiles
from fovea.data.sources.annotations.coco import BACKGROUND, read_coco
from fovea.data.sources.annotations.documents import read_json
from fovea.decoding.runs import runs_to_text
from fovea.errors import DataError, shortened
from fovea.files import is_file
from fovea.storage import file_stamp, in_turn, remove_temporary, write_atomically

HALF = 0.5
"""Of a pixel: COCO gives the index of a pixel, here places are where in the image."""
CORNERS = 3
LISTS = ("images", "annotations", "categories")


class Kept(NamedTuple):
    """An image of the file with its annotations, both as they stand there."""

    image: dict[str, Any]
    annotations: list[dict[str, Any]]


class CocoLabels:
    """The labels in a JSON file, by the absolute path of each image."""

    without_label = 0

    def __init__(self, file: Path, kind: str) -> None:
        """Read what is there; `kind` is of `fovea.data.annotating.kinds`. Raises: DataError for no such file."""
        self.file, self._kind, self._covers = file, kind, KINDS[kind].covers
        self._rest: dict[str, Any] = {}
        self._categories: list[dict[str, Any]] = []
        self._images: dict[str, Kept] = {}
        self._texts: dict[str, str] = {}
        self._seen: tuple[int, int] | None = None
        self._read()

    @property
    def data(self) -> Path:
        """What a training reads."""
        return self.file

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, or of the points, in the file."""
        if self._kind == "points":
            return tuple(next((each["keypoints"] for each in self._categories if each.get("keypoints")), ()))
        return tuple(each["name"] for each in self._categories)

    @property
    def labelled(self) -> frozenset[str]:
        """The images that have a label."""
        self._read()
        return frozenset(self._images)

    def label(self, image: str, size: Size = (0, 0)) -> Any:
        """Return the label of an image of a size, or None.

        Raises: DataError if the file says another size.
        """
        self._read()
        kept = self._images.get(image)
        if kept is None:
            return None
        written = kept.image.get("height"), kept.image.get("width")
        if written != tuple(size):
            raise DataError(
                f"`{self.file.name}` says that `{shortened(Path(image).name)}` has {written[1]} x {written[0]} "
                f"pixels, but it has {size[1]} x {size[0]}."
            )
        said = [self._said(each) for each in kept.annotations]
        if self._kind == "points":
            return next((points for points in said if points), [[0, 0, 0] for _ in self.classes])
        return [each for each in said if each is not None]

    def put(self, image: str, size: Size, label: Any, classes: tuple[str, ...]) -> None:
        """Keep a label of an image of a size, or take it away where it is None, and write the file.

        `classes` are all there are, those without objects too. Another process may keep labels in it meanwhile.
        Raises: StorageError; what was there is still there.
        """
        with in_turn(self.file):
            self._put(image, size, label, classes)

    def _put(self, image: str, size: Size, label: Any, classes: tuple[str, ...]) -> None:
        self._read()
        before = dict(self._images), list(self._categories)
        self._name(classes)
        if label is None:
            self._images.pop(image, None)
        else:
            self._images[image] = self._annotated(image, size, label)
        self._texts.pop(image, None)
        try:
            self._write()
        except BaseException:
            self._images, self._categories = before
            raise

    def _name(self, classes: Sequence[str]) -> None:
        """Let the file have a category for each class, or one whose keypoints are the names."""
        if self._kind == "points":
            names = self.classes
            if names and names != tuple(classes):
                raise DataError(f"`{self.file.name}` has different points: {shortened(', '.join(names))}.")
            if not names:
                self._categories.append(
                    {"id": self._free_category(), "name": "object", "keypoints": list(classes), "skeleton": []}
                )
            return
        for name in classes:
            if all(each["name"] != name for each in self._categories):
                self._categories.append({"id": self._free_category(), "name": name})

    def _free_category(self) -> int:
        return max((each["id"] for each in self._categories), default=0) + 1

    def _annotated(self, image: str, size: Size, label: Any) -> Kept:
        """Return an image with the annotations that say a label; those that say the same already stay."""
        old = self._images.get(image)
        entry = {
            "id": self._free("images"),
            "file_name": relative_path(Path(image), self.file.parent),
            "width": size[1],
            "height": size[0],
        }
        entry = entry if old is None else old.image
        found = [(self._said(each), each) for each in (old.annotations if old else ())]
        others = [each for said, each in found if said is None]
        items = [label] if self._kind == "points" else label
        made: list[dict[str, Any]] = []
        free = self._free("annotations")
        for item in items:
            same = next((each for said, each in found if said == item and all(each is not one for one in made)), None)
            if same is None and (fields := self._fields(item, size)) is not None:
                same = {"id": free, "image_id": entry["id"], **fields, "iscrowd": 0}
                free += 1
            made += [] if same is None else [same]
        return Kept(entry, others + made)

    def _free(self, which: str) -> int:
        """Return an id that no image, or no annotation, of the file has."""
        if which == "images":
            used = [kept.image["id"] for kept in self._images.values()]
        else:
            used = [each.get("id", 0) for kept in self._images.values() for each in kept.annotations]
        return max((number for number in used if isinstance(number, int)), default=0) + 1

    def _said(self, entry: Mapping[str, Any]) -> Any:
        """Return what an annotation says of the kind that is labelled; None if it says nothing of it."""
        if entry.get("iscrowd"):
            return None
        if self._kind == "points":
            values = entry.get("keypoints")
            if not values or len(values) != CORNERS * len(self.classes):
                return None
            triples = zip(values[::3], values[1::3], values[2::3], strict=True)
            return [[x + HALF, y + HALF, int(v)] if v else [0, 0, 0] for x, y, v in triples]
        name = next((each["name"] for each in self._categories if each["id"] == entry["category_id"]), None)
        if self._covers and name == BACKGROUND:
            return None
        if self._kind == "boxes":
            x, y, width, height = entry.get("bbox") or (0, 0, 0, 0)
            corners = [_plain(value) for value in (x, y, x + width, y + height)]
            return {"label": name, "box": corners} if width > 0 and height > 0 else None
        given = entry.get("segmentation")
        if isinstance(given, dict):
            counts = given["counts"]
            text = counts if isinstance(counts, str) else runs_to_text(np.array(counts, np.int64))
            return {"label": name, "runs": text}
        return {"label": name, "rings": [list(ring) for ring in given]} if given else None

    def _fields(self, item: Any, size: Size) -> dict[str, Any] | None:
        """Return the fields of an annotation that says `item` of an image of a size; None if there is nothing."""
        if self._kind == "points":
            return _points_fields(item, next(each["id"] for each in self._categories if each.get("keypoints")))
        category = next(each["id"] for each in self._categories if each["name"] == item["label"])
        if "box" in item:
            x0, y0, x1, y1 = item["box"]
            bbox = [_plain(value) for value in (x0, y0, x1 - x0, y1 - y0)]
            return {"category_id": category, "bbox": bbox, "area": _plain(bbox[2] * bbox[3])}
        covered = inside(item, size)
        if "runs" in item:
            drawn: Any = {"size": list(size), "counts": item["runs"]}
        else:
            drawn = [[_plain(value) for value in ring] for ring in item["rings"]]
        return {
            "category_id": category,
            "segmentation": drawn,
            "bbox": _frame(covered) if "runs" in item else _around(item["rings"]),
            "area": int(covered.sum()),
        }

    def _write(self) -> None:
        for image, kept in self._images.items():
            if image not in self._texts:
                self._texts[image] = _lines(kept.annotations)
        pieces = {
            "images": f"[\n{_lines([kept.image for kept in self._images.values()])}]",
            "annotations": "[\n" + ",\n".join(filter(None, map(self._texts.__getitem__, self._images))) + "]",
            "categories": json.dumps(self._categories),
            **{name: json.dumps(value) for name, value in self._rest.items()},
        }
        text = "{" + ",\n".join(f"{json.dumps(name)}: {piece}" for name, piece in pieces.items()) + "}\n"
        remove_temporary(self.file.parent, of=self.file.name)
        write_atomically(self.file, text.encode())
        self._seen = file_stamp(self.file)

    def _read(self) -> None:
        """Read the file where another page or program has changed it."""
        if (now := file_stamp(self.file)) == self._seen:
            return
        self._rest, self._categories, self._images, self._texts, self._seen = {}, [], {}, {}, now
        if not is_file(self.file):
            return
        checked, content = read_coco(self.file, "train"), read_json(self.file)
        self._rest = {name: value for name, value in content.items() if name not in LISTS}
        self._categories = content["categories"]
        for each in self._categories:
            each["name"] = checked.categories[each["id"]].name
        of_image: dict[Any, list[dict[str, Any]]] = {entry["id"]: [] for entry in content["images"]}
        for entry in content["annotations"]:
            of_image[entry["image_id"]].append(entry)
        files = _Files(self.file.parent)
        for entry in content["images"]:
            image = files.find(entry["file_name"])
            name = image if image not in self._images else f"{image}\0{entry['id']}"  # it stands there twice
            self._images[name] = Kept(entry, of_image[entry["id"]])


class _Files:
    """Where the images of a file are: as written, or else below its folder, which is only then looked through."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._below: ImageFiles | None = None

    def find(self, written: str) -> str:
        place = os.path.abspath(self._root / written)
        if is_file(Path(place)):
            return place
        if self._below is None:
            self._below = ImageFiles(self._root)
        found = self._below.find(written)
        return place if found is None else os.path.abspath(found[1])


def _lines(entries: Sequence[Mapping[str, Any]]) -> str:
    return ",\n".join(json.dumps(each, allow_nan=False) for each in entries)


def _points_fields(points: Sequence[Sequence[float]], category: int) -> dict[str, Any] | None:
    seen = [(x, y) for x, y, visible in points if visible]
    if not seen:
        return None
    (x0, y0), (x1, y1) = (tuple(pick(values) for values in zip(*seen, strict=True)) for pick in (min, max))
    flat = [value for x, y, v in points for value in ((_plain(x - HALF), _plain(y - HALF), v) if v else (0, 0, 0))]
    bbox = [_plain(value) for value in (x0, y0, x1 - x0, y1 - y0)]
    return {
        "category_id": category,
        "keypoints": flat,
        "num_keypoints": len(seen),
        "bbox": bbox,
        "area": _plain(bbox[2] * bbox[3]),
    }


def _frame(covered: NDArray[np.bool_]) -> list[int]:
    """Return x, y, width and height of the pixels (h, w) that are covered."""
    rows, columns = (np.flatnonzero(covered.any(axis=axis)).tolist() or [0] for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]


def _around(rings: Sequence[Sequence[float]]) -> list[float]:
    xs, ys = ([value for ring in rings for value in ring[axis::2]] for axis in (0, 1))
    return [_plain(value) for value in (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))]


def _plain(value: float) -> float:
    """Return a place without the noise of sums, whole where it is."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded

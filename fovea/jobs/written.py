"""What `fovea predict --out` writes: pictures, and masks, boxes or points in files that are read back as data."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from fovea.data.writers.answers import Answer
from fovea.data.writers.coco import write_coco
from fovea.data.writers.lists import write_boxes, write_points
from fovea.data.writers.masks import write_mask, write_table
from fovea.errors import StorageError, UsageError
from fovea.jobs.predict import FilePrediction
from fovea.jobs.written_objects import WrittenObjects, seen_from
from fovea.preprocess import decode
from fovea.storage import write_atomically
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.mask_objects import Singling
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.point_prediction import PointPrediction
from fovea.tasks.prediction import Prediction
from fovea.tasks.task import Task

PICTURES = "pictures"
VISIBLE = 2
QUALITY = 90


@dataclass
class Writing:
    """Writes predictions into a folder as they come, and the lists of them at the end."""

    folder: Path
    target: Task
    singling: Singling | None = None
    """How single objects of masks are written; None where they are not."""
    answers: list[Answer] = field(default_factory=list)
    _names: Counter[str] = field(default_factory=Counter)
    _single: WrittenObjects | None = None

    def __post_init__(self) -> None:
        if not self.target.lies_on_image:
            raise UsageError(
                f"`--out` writes masks, boxes and points; this model predicts {self.target.noun}. Leave it out, or "
                "keep what is printed with `--csv` or `--json`."
            )
        if self.singling is not None:
            self._single = WrittenObjects(self.folder / "instances", self.singling, self.target.classes)
        for folder in (self.folder, self.folder / PICTURES, *([self._single.folder] if self._single else [])):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"Cannot make the folder `{folder}`: {error.strerror or error}.") from error

    def passing(self, results: Iterator[FilePrediction]) -> Iterator[FilePrediction]:
        """Yield the predictions, each after it was written; then write the lists."""
        for result in results:
            if result.prediction is not None:
                self._write(result.image, result.prediction)
            yield result
        _LISTS[self.target.name](self.folder, self.answers, self.target.classes)
        if self._single is not None:
            self._single.finish()

    def _write(self, image: str, prediction: Prediction) -> None:
        pixels = decode(Path(image), channels=3)
        stem = self._free(Path(image).stem)
        picture = prediction.drawn(pixels)
        if self._single is not None:
            picture = self._single.add(Path(image), stem, cast(MaskPrediction, prediction), picture)
        with io.BytesIO() as stream:
            Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY)
            write_atomically(self.folder / PICTURES / f"{stem}.jpg", stream.getvalue())
        found, kept = _FOUND[self.target.name](prediction)
        if kept:
            self.answers.append(Answer(seen_from(self.folder, image), pixels.shape[:2], found))
        else:
            (self.folder / "masks").mkdir(exist_ok=True)
            write_mask(self.folder / "masks" / f"{stem}.png", found)

    def _free(self, stem: str) -> str:
        """Return the name of an image, with a number where another one is called the same."""
        self._names[stem] += 1
        return stem if self._names[stem] == 1 else f"{stem}-{self._names[stem]}"


def _points(prediction: Prediction) -> tuple[np.ndarray, bool]:
    points = cast(PointPrediction, prediction).points.copy()
    points[:, 2] = VISIBLE
    return points, True


_FOUND: Mapping[str, Callable[[Prediction], tuple[np.ndarray, bool]]] = {
    "masks": lambda prediction: (cast(MaskPrediction, prediction).mask, False),
    "boxes": lambda prediction: (cast(BoxPrediction, prediction).found, True),
    "points": _points,
}
"""What is written of a prediction, and whether it stands in a list rather than in a file of its own."""


def _write_masks(folder: Path, _: Sequence[Answer], classes: Sequence[str]) -> None:
    write_table(folder, classes)


def _write_boxes(folder: Path, answers: Sequence[Answer], classes: Sequence[str]) -> None:
    write_coco(folder / "boxes.json", answers, task="boxes", classes=classes)
    write_boxes(folder / "boxes.csv", answers, classes=classes)


def _write_points(folder: Path, answers: Sequence[Answer], classes: Sequence[str]) -> None:
    write_coco(folder / "points.json", answers, task="points", classes=classes)
    write_points(folder / "points.csv", answers, classes=classes)


_LISTS: Mapping[str, Callable[[Path, Sequence[Answer], Sequence[str]], None]] = {
    "masks": _write_masks,
    "boxes": _write_boxes,
    "points": _write_points,
}

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
from fovea.data.writers.masks import write_large_mask, write_mask, write_table
from fovea.errors import UsageError
from fovea.jobs.predict import FilePrediction, Preview
from fovea.jobs.written_objects import WrittenObjects, seen_from
from fovea.preprocess import MAX_PIXELS, Pixels, decode
from fovea.storage import check_writable, make_folder, write_atomically
from fovea.tasks.box_prediction import BoxPrediction
from fovea.tasks.mask_objects import Singling
from fovea.tasks.mask_prediction import MaskPrediction
from fovea.tasks.point_prediction import ObjectsPrediction, PointPrediction
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
    """How single objects of masks are written; None if they are not."""
    answers: list[Answer] = field(default_factory=list)
    _names: Counter[str] = field(default_factory=Counter)
    _single: WrittenObjects | None = None

    def __post_init__(self) -> None:
        if not self.target.lies_on_image:
            raise UsageError(
                f"`--out` writes masks, boxes and points, and this model predicts {self.target.noun}; leave it out, "
                "or save the output with `--csv` or `--json`."
            )
        check_writable(self.folder)
        if self.singling is not None:
            self._single = WrittenObjects(self.folder / "instances", self.singling, self.target.classes)

    def passing(self, results: Iterator[FilePrediction]) -> Iterator[FilePrediction]:
        """Yield the predictions, each after it was written; then write the lists. Of no prediction nothing is made."""
        for result in results:
            if result.prediction is not None:
                self._write(result.image, result.prediction, result.preview)
            yield result
        if not self._names:
            return
        _LISTS[self.target.name](self.folder, self.answers, self.target.classes)
        if self._single is not None:
            self._single.finish()

    def _write(self, image: str, prediction: Prediction, preview: Preview | None) -> None:
        pixels, size, shown = _shown(self.target.name, image, prediction, preview)
        stem = self._free(Path(image).stem)
        picture = shown.drawn(pixels)
        if self._single is not None and preview is not None:
            raise UsageError(f"`instances` needs images of up to 25 million pixels, and `{image}` has more.")
        if self._single is not None:
            make_folder(self._single.folder)
            picture = self._single.add(Path(image), stem, cast(MaskPrediction, prediction), picture)
        with io.BytesIO() as stream:
            Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY)
            make_folder(self.folder / PICTURES)
            write_atomically(self.folder / PICTURES / f"{stem}.jpg", stream.getvalue())
        found, kept = _FOUND[self.target.name](prediction)
        if kept:
            boxes = prediction.boxes.found[:, 1:5] if isinstance(prediction, ObjectsPrediction) else None
            self.answers.append(Answer(seen_from(self.folder, image), size, found, boxes))
        else:
            make_folder(self.folder / "masks")
            if found.size > MAX_PIXELS:
                write_large_mask(self.folder / "masks" / f"{stem}.tif", found)
            else:
                write_mask(self.folder / "masks" / f"{stem}.png", found)

    def _free(self, stem: str) -> str:
        """Return the name of an image, with a number where another one is called the same."""
        self._names[stem] += 1
        return stem if self._names[stem] == 1 else f"{stem}-{self._names[stem]}"


def _shown(
    task: str, image: str, prediction: Prediction, preview: Preview | None
) -> tuple[Pixels, tuple[int, int], Prediction]:
    """Return the picture that is drawn on, the size (H, W) of the image, and what is drawn."""
    if preview is None:
        pixels = decode(Path(image), channels=3)
        return pixels, pixels.shape[:2], prediction
    pixels = np.broadcast_to(preview.pixels, (*preview.pixels.shape[:2], 3))
    return pixels, preview.size, _REDUCED[task](prediction, preview)


def _reduced_mask(prediction: Prediction, preview: Preview) -> Prediction:
    from fovea.jobs.tiled import sampled

    said = cast(MaskPrediction, prediction)
    return MaskPrediction.of(said.mask[np.ix_(*sampled(preview.size, preview.pixels.shape[:2]))], said.classes)


def _reduced_boxes(prediction: Prediction, preview: Preview) -> Prediction:
    said = cast(BoxPrediction, prediction)
    (h, w), (H, W) = preview.pixels.shape[:2], preview.size
    found = said.found.copy()
    found[:, 1:5] *= np.array([w / W, h / H, w / W, h / H])
    return BoxPrediction.of(found, said.classes)


_REDUCED: Mapping[str, Callable[[Prediction, Preview], Prediction]] = {"masks": _reduced_mask, "boxes": _reduced_boxes}
"""What is said of a large image as it lies on its preview."""


def _points(prediction: Prediction) -> tuple[np.ndarray, bool]:
    points = cast(PointPrediction | ObjectsPrediction, prediction).points.copy()
    points[..., 2] = VISIBLE
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
    if all(answer.boxes is None for answer in answers):  # a row of the table is an image
        write_points(folder / "points.csv", answers, classes=classes)


_LISTS: Mapping[str, Callable[[Path, Sequence[Answer], Sequence[str]], None]] = {
    "masks": _write_masks,
    "boxes": _write_boxes,
    "points": _write_points,
}

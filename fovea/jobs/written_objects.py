"""What `fovea predict --instances` writes: the single objects of masks, numbered, as a table and as COCO's JSON."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fovea.data.writers.objects import ObjectsOf, rows_of, write_coco_objects, write_numbers, write_object_table
from fovea.tasks.mask_objects import Singling, outlined
from fovea.tasks.mask_prediction import MaskPrediction


@dataclass
class WrittenObjects:
    """Writes objects into a folder, image by image, and the lists of them at the end."""

    folder: Path
    singling: Singling
    classes: tuple[str, ...]
    images: list[ObjectsOf] = field(default_factory=list)

    def add(self, image: Path, stem: str, prediction: MaskPrediction, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture (H, W, 3) uint8 with the outlines of the objects of a mask, which are written and kept."""
        mask = prediction.mask
        found = self.singling.objects(mask, self.classes)
        sure = np.ones(mask.shape) if prediction.probabilities is None else prediction.probabilities
        write_numbers(self.folder / f"{stem}.png", found.objects)
        self.images.append(
            ObjectsOf(seen_from(self.folder, image), (mask.shape[0], mask.shape[1]), rows_of(found, sure))
        )
        return outlined(picture, found.objects)

    def finish(self) -> None:
        """Write the lists. Raises: StorageError."""
        write_object_table(self.folder / "instances.csv", self.images, classes=self.classes)
        write_coco_objects(self.folder / "instances.json", self.images, classes=self.classes)


def seen_from(folder: Path, image: str | Path) -> str:
    """Return the name of an image in a list in `folder`, by which it is read back."""
    return Path(os.path.relpath(image, folder)).as_posix()

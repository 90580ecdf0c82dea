"""Single objects of masks: which classes have them, and how they are separated.

Masks are (H, W) uint8 class indices; objects are (H, W) int32, 0 for none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fovea.budget import INPUT
from fovea.errors import UsageError, unknown
from fovea.instances import WAYS, MaskObjects, Objects, objects_of, outline
from fovea.tasks.task import Task

BACKGROUND = "background"
"""The class that has no objects, where it has this name."""
PIXEL_BYTES = 100
"""What a pixel takes while objects are separated, measured."""
OUTLINE_PART = 500
"""Of the longer side of a picture: so wide is an outline, one pixel at least."""


@dataclass(frozen=True, kw_only=True)
class Singling:
    """How single objects are separated in masks."""

    way: str = "parted"
    """`parted`: those that touch are parted where they are narrow; `connected`: what touches is one."""
    classes: tuple[str, ...] = ()
    """Of which there are objects; empty for all but one called background."""
    least_area: int = 1
    """Pixels: smaller ones are none."""

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise unknown("way to separate objects", self.way, WAYS)
        if self.least_area < 1:
            raise UsageError(f"`least_area` (={self.least_area}) must be at least 1 pixel.")

    def usually_of(self, names: Sequence[str]) -> Self:
        """Return it for objects of the classes called `names`, where nothing else was asked for."""
        return self if self.classes else replace(self, classes=tuple(names))

    def indices(self, names: Sequence[str]) -> list[int]:
        """Return the classes, by their index in `names`, that have objects.

        Raises: UsageError for a class that is not among them.
        """
        for name in self.classes:
            if name not in names:
                raise unknown("class", name, names)
        return [index for index, name in enumerate(names) if name in (self.classes or {*names} - {BACKGROUND})]

    def objects(self, mask: NDArray[np.uint8], names: Sequence[str]) -> MaskObjects:
        """Return the objects of a mask whose classes have these `names`.

        Raises: UsageError for a mask that would take more memory than `budget.INPUT` allows.
        """
        if excess := INPUT.excess(PIXEL_BYTES * mask.size):
            size = f"{mask.shape[1]}x{mask.shape[0]}"
            raise UsageError(f"Separating the objects of a mask of {size} pixels needs {excess}.")
        return objects_of(mask, classes=self.indices(names), way=self.way, least=self.least_area)


def asked_singling(target: Task, way: str | None, classes: tuple[str, ...], least_area: int) -> Singling:
    """Return how objects are separated in the masks of a network, `way` is None if they are not asked for.

    Raises: UsageError if the network answers no masks, and for classes that it does not know.
    """
    if way is None:
        if classes or least_area != 1:
            raise UsageError("`instances_of` and `least_area` need `instances`, which says how objects are separated.")
        return Singling()
    if target.name != "masks":
        raise UsageError(f"`instances` finds objects in masks, and this model predicts {target.noun}; leave it out.")
    singling = Singling(way=way, classes=classes, least_area=least_area)
    singling.indices(target.classes)
    return singling


def outlined(picture: NDArray[np.uint8], objects: Objects) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) uint8 with white outlines of objects (H, W) int32."""
    drawn = picture.copy()
    edge = outline(objects)
    for _ in range(max(picture.shape[:2]) // OUTLINE_PART):
        wider = np.pad(edge, 1)
        edge = (wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:] | edge) & (objects > 0)
    drawn[edge] = 255
    return drawn

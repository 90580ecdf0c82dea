"""What an evaluation finds of a network that finds objects."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fovea.tasks.figures import ShareFigures, Tile
from fovea.texts import percent

SHOWN_CLASSES = 30


class BoxRow(NamedTuple):
    """The figures of one class, shares from 0 to 1."""

    name: str
    ap: float
    ap50: float
    objects: int


@dataclass(frozen=True, kw_only=True)
class BoxFigures(ShareFigures):
    """Average precision and recall from 0 to 1, as COCO defines them; None if no image has such an object."""

    told: ClassVar[tuple[str, ...]] = ("ap50", "ap")

    ap: float
    """Mean over overlaps from 0.5 to 0.95, and over the classes."""
    interval: tuple[float, float]
    """Where AP50 lies with 95 % confidence, by the bootstrap over images."""
    ap50: float
    """At an overlap of 0.5."""
    ap75: float
    ap_small: float | None = None
    """Of objects up to 32 x 32 pixels of the image."""
    ap_medium: float | None = None
    """Of those up to 96 x 96 pixels."""
    ap_large: float | None = None
    ar100: float
    """Recall of the 100 best of each class in an image, mean over overlaps."""
    per_class: Mapping[str, Mapping[str, float]]
    """`ap`, `ap50` and `objects` by class name, of those that are there."""
    errors: Mapping[str, float] | None = None
    """By kind of error: by how much AP50 would be higher without."""
    error_counts: Mapping[str, int] | None = None
    """By kind of error: how many there are among all that was found, whatever its score."""
    least_score: float | None = None
    """The score from which on an object is reported: those below are in neither of the next two."""
    confusion: Sequence[Sequence[int]] | None = None
    """Objects, the rows true and the columns found classes; last what was found where nothing is, and what was missed.

    Boxes that overlap by half and more are paired, those that overlap most first, whatever their classes.
    """
    sizes: Sequence[Mapping[str, float]] | None = None
    """By size, the square root of the area from `low` to below `high` in pixels of the image: `objects` and `found`."""

    @property
    def rows(self) -> list[BoxRow]:
        """The classes, the lowest AP50 first."""
        found = (BoxRow(name, **values) for name, values in self.per_class.items())  # type: ignore[arg-type]
        return sorted(found, key=lambda row: row.ap50)

    def lines(self, where: str) -> list[str]:
        """Return the scores in two lines, and a table of the worst classes."""
        sizes = {"small": self.ap_small, "medium": self.ap_medium, "large": self.ap_large}
        by_size = ", ".join(f"{name} {percent(value)}" for name, value in sizes.items() if value is not None)
        worst = self.rows[:SHOWN_CLASSES]
        wide = max([len("lowest AP50"), *(len(row.name) for row in worst)])
        errors = {} if self.errors is None else {name: value for name, value in self.errors.items() if value > 0}
        lost = ", ".join(f"{name} {percent(value)}" for name, value in sorted(errors.items(), key=lambda one: -one[1]))
        return [
            self.headline("AP50", where),
            f"AP {percent(self.ap, 2)}, AP75 {percent(self.ap75, 2)}, recall {percent(self.ar100, 2)}"
            + (f"; AP by size: {by_size}" if by_size else ""),
            *([f"AP50 lost by: {lost}"] if lost else []),
            "",
            f"{'lowest AP50':{wide}}     AP50       AP  objects",
            *(f"{row.name:{wide}}  {percent(row.ap50):>7}  {percent(row.ap):>7}  {row.objects:7,}" for row in worst),
        ]

    @property
    def tiles(self) -> list[Tile]:
        """AP50, AP, AP75 and recall."""
        return [
            ("AP50", percent(self.ap50, 2), self.interval_text),
            ("AP", percent(self.ap, 2), "mean over overlaps from 0.5 to 0.95"),
            ("AP75", percent(self.ap75, 2), "at an overlap of 0.75"),
            ("recall", percent(self.ar100, 2), "of the 100 best of an image"),
        ]


def known(value: float) -> float | None:
    """Return a figure, None if it is not defined."""
    return None if math.isnan(value) else value

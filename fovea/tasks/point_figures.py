"""What an evaluation finds of a network that finds points."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fovea.tasks.figures import ShareFigures, Tile
from fovea.texts import percent

SHOWN_POINTS = 30


class PointRow(NamedTuple):
    """The figures of one point."""

    name: str
    error: float
    """Mean distance, as a share of the longer side of the box around the points of an image."""
    pck: float
    """The share of the images in which it is at most a tenth of that side away."""
    images: int


@dataclass(frozen=True, kw_only=True)
class PointFigures(ShareFigures):
    """Errors are shares of the longer side of the box around the points of an image."""

    told: ClassVar[tuple[str, ...]] = ("nme", "pck")

    nme: float
    """Normalised mean error: the mean over images of the mean distance."""
    interval: tuple[float, float]
    """Where it lies with 95 % confidence, by the bootstrap over images."""
    pck: float
    """The share of the points that are at most a tenth away, from 0 to 1; a mean over images."""
    median: float
    """The error that half of the images are below."""
    per_point: Mapping[str, Mapping[str, float]]
    """`error`, `pck` and `images` by the name of the point."""

    @property
    def rows(self) -> list[PointRow]:
        """The points, the largest error first."""
        found = (PointRow(name, **values) for name, values in self.per_point.items())  # type: ignore[arg-type]
        return sorted(found, key=lambda row: -row.error)

    def lines(self, where: str) -> list[str]:
        """Return the errors in two lines, and a table of the worst points."""
        worst = self.rows[:SHOWN_POINTS]
        wide = max([len("largest error"), *(len(row.name) for row in worst)])
        return [
            self.headline("normalised mean error", where),
            (
                f"PCK@0.1 {percent(self.pck, 2)}, median error {percent(self.median, 2)}, of the longer side of the "
                f"points' box"
            ),
            "",
            f"{'largest error':{wide}}    error  PCK@0.1  images",
            *(
                f"{row.name:{wide}}  {percent(row.error, 2):>7}  {percent(row.pck):>7}  {row.images:6,}"
                for row in worst
            ),
        ]

    @property
    def tiles(self) -> list[Tile]:
        """Normalised mean error, PCK and the median."""
        return [
            ("normalised mean error", percent(self.nme, 2), self.interval_text),
            ("PCK@0.1", percent(self.pck, 2), "points within a tenth of the size"),
            ("median error", percent(self.median, 2), "of the images"),
        ]

"""What an evaluation finds of a network that gives every pixel a class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fovea.tasks.figures import ShareFigures, Tile
from fovea.texts import percent

SHOWN_CLASSES = 30


class MaskRow(NamedTuple):
    """The figures of one class, shares from 0 to 1."""

    name: str
    iou: float
    dice: float
    pixels: int
    """Known pixels of the class."""
    boundary_f1: float | None
    hd95: float | None
    """In pixels of the input; both None if no image that was looked at has an outline of it."""


@dataclass(frozen=True, kw_only=True)
class MaskFigures(ShareFigures):
    """Shares from 0 to 1, of the known pixels of all images together."""

    told: ClassVar[tuple[str, ...]] = ("miou", "dice")

    miou: float
    """Intersection over union, the mean of the classes that are in truth or answer."""
    interval: tuple[float, float]
    """Where it lies with 95 % confidence, by the bootstrap over images."""
    dice: float
    """Dice, the mean of the same classes."""
    pixel_accuracy: float
    boundary_f1: float | None = None
    """How well outlines agree, within `tolerance` pixels; None if no image has an outline."""
    boundary_f1_interval: tuple[float, float] | None = None
    tolerance: float
    """Pixels of the network's input within which outlines agree."""
    hd95: float | None = None
    """How far apart outlines are, in pixels of the input: 95 % of them keep to it. The mean of the classes."""
    hd95_interval: tuple[float, float] | None = None
    per_class: Mapping[str, Mapping[str, float | None]]
    """`iou`, `dice`, `pixels`, `boundary_f1` and `hd95` by class name, of those that are in truth or answer."""
    confusion: Sequence[Sequence[int]]
    """Pixels, the rows true and the columns predicted classes, in the order of the network's classes."""

    @property
    def rows(self) -> list[MaskRow]:
        """The classes, the lowest intersection over union first."""
        found = (MaskRow(name, **values) for name, values in self.per_class.items())  # type: ignore[arg-type]
        return sorted(found, key=lambda row: row.iou)

    def lines(self, where: str) -> list[str]:
        """Return the scores in two lines, and a table of the worst classes."""
        worst = self.rows[:SHOWN_CLASSES]
        wide = max(len("lowest IoU"), *(len(row.name) for row in worst))
        return [
            self.headline("mean IoU", where),
            f"mean Dice {percent(self.dice, 2)}, pixel accuracy {percent(self.pixel_accuracy, 2)}",
            *self._outlines(),
            "",
            f"{'lowest IoU':{wide}}      IoU     Dice  boundary F1  HD95 px      pixels",
            *(
                f"{row.name:{wide}}  {percent(row.iou):>7}  {percent(row.dice):>7}  {_share(row.boundary_f1):>11}  "
                f"{_text(row.hd95, '.1f'):>7}  {row.pixels:10,}"
                for row in worst
            ),
        ]

    def _outlines(self) -> list[str]:
        """Return what is said of outlines, a line or nothing."""
        if self.boundary_f1 is None or self.boundary_f1_interval is None:
            return []
        low, high = self.boundary_f1_interval
        first = (
            f"boundary F1 {percent(self.boundary_f1, 2)} at {self.tolerance:g} px ({100 * low:.2f} to "
            f"{percent(high, 2)})"
        )
        if self.hd95 is None or self.hd95_interval is None:
            return [first]
        near, far = self.hd95_interval
        return [f"{first}, HD95 {self.hd95:.2f} px ({near:.2f} to {far:.2f})"]

    @property
    def tiles(self) -> list[Tile]:
        """Mean IoU, Dice, pixel accuracy and boundary F1."""
        tolerance = f"outlines within {self.tolerance:g} pixels of each other, at input size"
        outlines = [] if self.boundary_f1 is None else [("boundary F1", percent(self.boundary_f1, 2), tolerance)]
        outlines += (
            []
            if self.hd95 is None
            else [("HD95", f"{self.hd95:.2f} px", "95th percentile of the distance between outlines")]
        )
        return [
            ("mean IoU", percent(self.miou, 2), self.interval_text),
            ("mean Dice", percent(self.dice, 2), "mean over classes"),
            ("pixel accuracy", percent(self.pixel_accuracy, 2), "over pixels with a known class"),
            *outlines,
        ]


def _share(value: float | None) -> str:
    return "-" if value is None else percent(value)


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)

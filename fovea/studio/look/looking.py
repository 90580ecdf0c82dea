"""One image in the room "Look": the network's pass of it, the layer that is open, the unit under the pointer.

Pictures are PNG; regions on a layer's picture are x, y, width, height in its pixels.
"""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.drawing.mosaic import Mosaic, as_maps, png
from fovea.errors import UsageError
from fovea.explanation.units.arithmetic import number
from fovea.explanation.units.layers import Layer, Layers
from fovea.explanation.units.reading import Index, Region
from fovea.explanation.units.tape import record
from fovea.inputs import kind_of
from fovea.inputs.interface import Stored
from fovea.model.bundle import Bundle
from fovea.studio.passes import Passes
from fovea.tasks.prediction import Prediction

THUMBNAIL = 74
"""Pixels of the side of a layer's small picture."""
Box = tuple[int, int, int, int]


@dataclass(eq=False)
class Looking:
    """What is looked at; the pass of the image stays in memory while `passes` hold it."""

    bundle: Bundle
    sample: Stored
    """(H, W, C) uint8: the image as the network takes it."""
    passes: Passes = field(default_factory=Passes)
    layer: int = 1
    first: int = 0
    """The first channel of the open layer that is shown."""
    _lock: Lock = field(default_factory=Lock, init=False)

    @property
    def layers(self) -> Layers:
        """The layers of the pass; two threads that ask for it make one."""
        with self._lock:
            return self.passes.of(self, self._pass)

    def _pass(self) -> Layers:
        return Layers(record(self.bundle.model, self.bundle.inputs_of(self.sample[None])))

    @property
    def drawn(self) -> NDArray[np.uint8]:
        """The sample as a picture: (H, W, C) uint8."""
        return kind_of(self.bundle.preprocess).thumbnail(self.sample)

    def look_at(self, sample: Stored) -> None:
        """Look at another image (H, W, C) uint8; the layer that is open stays open."""
        with self._lock:
            self.passes.free(self)
            self.sample = sample
        self.layer = min(self.layer, len(self.layers.all) - 1)

    @property
    def open(self) -> Layer:
        """The layer whose maps are shown."""
        return self.layers.all[self.layer]

    @property
    def mosaic(self) -> Mosaic:
        """How the open layer's maps lie in its picture."""
        return Mosaic.of(self.open.shape, first=self.first)

    def prediction(self) -> Prediction:
        """Return what the network says of the image."""
        target, layers = self.bundle.target, self.layers
        outputs = layers.tape.tensor(layers.tape.output)
        return target.prediction(target.decode(target.condensed(outputs.float().cpu()))[0])

    def picture(self) -> bytes:
        """Return the maps of the open layer."""
        return png(self.mosaic.picture(self.layers.maps(self.open)))

    def small(self, layer: Layer) -> bytes:
        """Return the mean size of a layer's channels at each place, as a small picture."""
        maps = np.abs(self.layers.maps(layer)).reshape(as_maps(layer.shape))
        picture = Mosaic.of((1, *maps.shape[1:])).picture(maps.mean(axis=0))
        width, height = (min(side, THUMBNAIL) for side in picture.size)
        return png(picture.resize((width, height), Image.Resampling.NEAREST))  # the page enlarges smaller ones

    def unit_at(self, x: int, y: int) -> Index | None:
        """Return the unit of the open layer under a pixel of its picture."""
        found = self.mosaic.unit(x, y)
        return None if found is None else self.as_unit(found)

    def as_unit(self, place: tuple[int, int, int]) -> Index:
        """Return channel, row and column as an index into the open layer's shape."""
        flat = int(np.ravel_multi_index(place, as_maps(self.open.shape)))
        return tuple(map(int, np.unravel_index(flat, self.open.shape)))

    def open_layer(self, layer: int, unit: Index | None = None) -> None:
        """Open a layer, at the channel of a unit if one is given.

        Raises:
            UsageError: there is no such layer.
        """
        if not 0 <= layer < len(self.layers.all):
            raise UsageError(f"There is no layer {layer}; there are {len(self.layers.all)}.")
        self.layer, self.first = layer, 0
        if unit is not None:
            channel = self._place(unit)[0]
            while channel >= self.first + self.mosaic.count:
                self.first += self.mosaic.count

    def asked(self, layer: str, unit: str) -> tuple[int, Index | None]:
        """Return the layer that is named by its number or title, and the unit of it that is written as `0,5,7`.

        Raises:
            UsageError: there is no such layer or unit.
        """
        found = [one.number for one in self.layers.all if layer in (str(one.number), one.title)]
        if not found:
            raise UsageError("There is no such layer in this network.")
        if not unit:
            return found[0], None
        shape, numbers = self.layers.all[found[0]].shape, unit.split(",")
        fits = len(numbers) == len(shape) and all(text.strip().isdecimal() and len(text) < 9 for text in numbers)
        if not fits or any(int(text) >= size for text, size in zip(numbers, shape, strict=True)):
            raise UsageError(f"A unit of this layer is written with {len(shape)} numbers below {list(shape)}.")
        return found[0], tuple(int(text) for text in numbers)

    def unit(self, unit: Index) -> dict[str, Any]:
        """Return all that the page shows of a unit of the open layer."""
        layer = self.open
        written = self.layers.written(layer, unit)
        title = f"{layer.title}, {self._named(unit)}: {number(written['network'])}"
        terms = [
            {
                **term,
                "value": number(term["value"]),
                "weight": None if term["weight"] is None else number(term["weight"]),
                "from": self._from(term),
            }
            for term in written["terms"]
        ]
        marks = {
            number: self._mark(self.layers.all[number], region)
            for number, region in self.layers.marks(layer, unit).items()
        }
        return {"title": title, "lines": written["lines"], "terms": terms, "marks": marks, "box": self.box(unit)}

    def box(self, unit: Index) -> Box:
        """Return where a unit of the open layer lies in its picture."""
        channel, row, column = self._place(unit)
        x, y = self.mosaic.corner(channel)
        return (x + column, y + row, 1, 1)

    def _place(self, unit: Index) -> tuple[int, int, int]:
        flat = int(np.ravel_multi_index(unit, self.open.shape))
        channel, row, column = np.unravel_index(flat, as_maps(self.open.shape))
        return int(channel), int(row), int(column)

    def _named(self, unit: Index) -> str:
        if len(unit) == 1:
            return f"unit {unit[0]}"
        return f"channel {unit[0]}, " + (
            f"row {unit[1]}, column {unit[2]}" if len(unit) == 3 else "place " + ",".join(map(str, unit[1:]))
        )

    def _from(self, term: dict[str, Any]) -> str:
        if term["layer"] is None:
            return "padding"
        return f"{self.layers.all[term['layer']].title} [{', '.join(map(str, term['unit']))}]"

    def _mark(self, layer: Layer, region: Region) -> dict[str, Any]:
        """Return a region over all channels as a box, and the size of what it lies in."""
        _, H, W = as_maps(layer.shape)
        spans = region if len(region) != 2 else (region[0], (0, 1), region[1])
        if len(region) == 1:
            spans = ((0, 1), (0, 1), region[0])
        (top, bottom), (left, right) = spans[-2:]
        return {"view": [0, 0, W, H], "box": [left, top, right - left, bottom - top]}

"""All maps of a layer side by side as one small picture, a pixel a unit, and which unit lies under a pixel.

Maps are (C, H, W), series (C, L) and vectors (K,), float.
"""

import math
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

MOST_PIXELS = 1 << 20
"""Of one picture: more maps go to the next one."""
SIGNED, UNSIGNED = "RdBu_r", "viridis"
SMALL = 1 << 15
"""Pixels of a picture that is not compressed."""
GAP = 1
"""Pixels between maps."""


@dataclass(frozen=True, kw_only=True)
class Mosaic:
    """How maps of a shape lie in a picture: `columns` of them in a row, from the channel `first` on."""

    shape: tuple[int, ...]
    """(C, H, W) of what is shown."""
    columns: int
    rows: int
    first: int = 0

    @classmethod
    def of(cls, shape: tuple[int, ...], *, first: int = 0) -> "Mosaic":
        """Return the mosaic of maps of a shape (C, H, W), (C, L) or (K,), from a channel on."""
        C, H, W = as_maps(shape)
        most = max(1, MOST_PIXELS // ((H + GAP) * (W + GAP)))
        count = min(C - first, most)
        columns = max(1, min(count, round(math.sqrt(count * (H + GAP) / (W + GAP)))))
        return cls(shape=(C, H, W), columns=columns, rows=-(-count // columns), first=first)

    @property
    def count(self) -> int:
        """How many maps it shows."""
        return min(self.columns * self.rows, self.shape[0] - self.first)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        _, H, W = self.shape
        return self.columns * (W + GAP) - GAP, self.rows * (H + GAP) - GAP

    def unit(self, x: int, y: int) -> tuple[int, int, int] | None:
        """Return channel, row and column of the unit under a pixel; None between maps and beyond the last."""
        _, H, W = self.shape
        (column, j), (row, i) = divmod(x, W + GAP), divmod(y, H + GAP)
        number = row * self.columns + column
        inside = x >= 0 and y >= 0 and column < self.columns and j < W and i < H and number < self.count
        return (number + self.first, i, j) if inside else None

    def corner(self, channel: int) -> tuple[int, int]:
        """Return the pixel (x, y) of the first unit of a channel's map."""
        _, H, W = self.shape
        row, column = divmod(channel - self.first, self.columns)
        return column * (W + GAP), row * (H + GAP)

    def picture(self, maps: NDArray[np.floating]) -> Image.Image:
        """Return the maps (C, H, W), (C, L) or (K,) float in colours; red is above zero, blue below, if any is below.

        The scale is that of all maps of the layer: the largest size has the strongest colour.
        """
        shown = maps.reshape(self.shape)[self.first : self.first + self.count]
        _, H, W = self.shape
        canvas = np.full((self.rows * (H + GAP), self.columns * (W + GAP)), 255, np.uint8)
        least, largest = float(np.nanmin(maps, initial=0)), float(np.nanmax(maps, initial=0))
        signed = least < 0
        low, high = (-max(-least, largest), max(-least, largest)) if signed else (0.0, largest)
        shares = (np.nan_to_num(shown) - low) / ((high - low) or 1.0)
        levels = np.clip(np.rint(shares * 254), 0, 254).astype(np.uint8)
        for number, level in enumerate(levels):
            row, column = divmod(number, self.columns)
            top, left = row * (H + GAP), column * (W + GAP)
            canvas[top : top + H, left : left + W] = level
        width, height = self.size
        image = Image.fromarray(canvas[:height, :width])
        image.putpalette(_palette(SIGNED if signed else UNSIGNED))
        return image


def as_maps(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape of a sample's output as maps (C, H, W): a series is one row, a vector one map.

    >>> as_maps((64, 7, 7)), as_maps((8, 100)), as_maps((10,))
    ((64, 7, 7), (8, 1, 100), (1, 1, 10))
    """
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2])
    if len(shape) == 2:
        return (shape[0], 1, shape[1])
    if len(shape) < 2:
        return (1, 1, math.prod(shape))
    return (math.prod(shape[:-2]), shape[-2], shape[-1])


def png(image: Image.Image) -> bytes:
    """Return a picture as a PNG file, quickly rather than small."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=int(image.width * image.height > SMALL))
    return buffer.getvalue()


@cache
def _palette(name: str) -> bytes:
    """Return 256 colours, three bytes each; the last is what lies between maps."""
    colours = colormaps[name](np.linspace(0, 1, 255), bytes=True)[:, :3]
    return bytes(colours.tobytes()) + bytes((255, 255, 255))

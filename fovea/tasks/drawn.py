"""Boxes and points drawn on their image. Pictures are (H, W, 3) uint8 0..255."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fovea.decoding.boxes import areas
from fovea.tasks.mask_colours import palette
from fovea.texts import percent

MOST_NAMED = 200
"""Objects of an image whose names are written."""
SMALLEST_SIDE = 384
"""Pixels: smaller images are enlarged, so that names can be read."""


def colour_of(index: int) -> tuple[int, int, int]:
    """Return the colour of a class of objects; none is as dark as the first of masks."""
    red, green, blue = palette()[1 + index % 254]
    return int(red), int(green), int(blue)


def colours(names: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return the colour of each name."""
    return [colour_of(index) for index in range(len(names))]


def boxed(image: NDArray[np.uint8], found: NDArray[Any], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Return an image (H, W, 1 or 3) with boxes (D, 6) of class, x0, y0, x1, y1, score; a score of NaN is not written.

    A small image is enlarged by a whole number. Names and lines fit the boxes; of many objects only these are drawn.
    """
    canvas, factor = _canvas(image)
    usual = factor * float(np.median(np.sqrt(areas(found[:, 1:5])))) if len(found) else 0.0
    height = max(11, min(max(canvas.size) // 40, round(usual / 4)))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=height)
    width = max(1, min(max(canvas.size) // 250, round(usual / 25)))
    for row in found[::-1]:  # the best last, on top
        shade = colour_of(int(row[0]))
        x0, y0, x1, y1 = (float(side) * factor for side in row[1:5])
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=shade, width=width)
        if len(found) > MOST_NAMED:
            continue
        name = classes[int(row[0])] + ("" if np.isnan(row[5]) else f" {percent(row[5], 0)}")
        box = draw.textbbox((x0 + width, y0 + width), name, font=font)
        draw.rectangle(box, fill=shade)
        dark = 0.3 * shade[0] + 0.59 * shade[1] + 0.11 * shade[2] > 140
        draw.text((x0 + width, y0 + width), name, fill=(0, 0, 0) if dark else (255, 255, 255), font=font)
    return np.asarray(canvas)


def pointed(image: NDArray[np.uint8], points: NDArray[Any], *, within: float | None = None) -> NDArray[np.uint8]:
    """Return an image (H, W, 1 or 3) with points (P, 3) of x, y and what else; a small image is enlarged.

    They are as small as an object of so many pixels asks for that they lie `within`; it is the image where it is None.
    """
    canvas, factor = _canvas(image)
    side = max(canvas.size) if within is None else min(max(canvas.size), round(factor * within))
    draw, radius = ImageDraw.Draw(canvas), max(2, side // 120)
    for index, row in enumerate(points):
        x, y = float(row[0]) * factor, float(row[1]) * factor
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour_of(index), outline=(0, 0, 0))
    return np.asarray(canvas)


def _canvas(image: NDArray[np.uint8]) -> tuple[Image.Image, int]:
    """Return an image to draw on, and by how much it was enlarged."""
    factor = max(1, -(-SMALLEST_SIDE // max(image.shape[:2])))
    colour = np.broadcast_to(image, (*image.shape[:2], 3)).repeat(factor, axis=0).repeat(factor, axis=1)
    return Image.fromarray(np.ascontiguousarray(colour)), factor

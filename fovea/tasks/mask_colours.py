"""Masks as pictures: a colour for each class, the same in reports, overlays and palettes.

Masks are (H, W) uint8 class indices; 255 is void. Pictures are (H, W, 3) uint8 0..255.
"""

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.metrics.masks import VOID

Pixels = NDArray[np.uint8]

FIRST = (
    *((24, 24, 40), (230, 97, 1), (0, 150, 199), (94, 201, 98), (253, 211, 37)),
    *((203, 80, 170), (120, 94, 240), (178, 134, 84), (160, 200, 220), (215, 48, 39)),
)
"""The colours of the first classes, the first of which is mostly the background; apart also without colour vision."""
VOID_COLOUR = (128, 128, 128)
MIXED = 1 << 20
"""Pixels that are mixed at a time: each takes some 50 bytes meanwhile."""
GOLDEN_ANGLE = 0.381966
"""Of a turn of hues: colours that follow each other lie far apart."""


@cache
def palette() -> Pixels:
    """Return (256, 3) uint8: the colour of each class; grey is void. Read only."""
    colours = np.empty((256, 3), np.uint8)
    colours[: len(FIRST)] = FIRST
    for index in range(len(FIRST), 256):
        hue = (index * GOLDEN_ANGLE) % 1 * 6 + np.array([0, 4, 2])
        wave = np.clip(np.abs(hue % 6 - 3) - 1, 0, 1)
        value = (1.0, 0.75, 0.55)[index % 3]
        colours[index] = np.round(255 * value * (0.25 + 0.75 * wave))
    colours[VOID] = VOID_COLOUR
    colours.setflags(write=False)
    return colours


def mask_png(mask: NDArray[np.uint8]) -> bytes:
    """Return a mask uint8 (H, W) as a PNG whose pixels are the class indices, shown in the colours of the classes."""
    image = Image.frombytes("P", (mask.shape[1], mask.shape[0]), np.ascontiguousarray(mask).tobytes())
    image.putpalette(palette().tobytes())
    with io.BytesIO() as stream:
        image.save(stream, "PNG")
        return stream.getvalue()


def painted(mask: NDArray[np.uint8]) -> Pixels:
    """Return a mask (H, W) in colours, (H, W, 3)."""
    return palette()[mask]


def overlaid(image: Pixels, mask: NDArray[np.uint8], *, opacity: float = 0.5) -> Pixels:
    """Return an image (H, W, 1 or 3) under the colours of its mask (H, W), (H, W, 3); void leaves it as it is."""
    result = np.empty((*mask.shape, 3), np.uint8)
    rows = max(1, MIXED // max(1, mask.shape[1]))
    for top in range(0, len(mask), rows):
        own = mask[top : top + rows]
        colour = np.broadcast_to(image[top : top + rows], (*own.shape, 3)).astype(np.float32)
        mixed = colour + opacity * (painted(own) - colour)
        result[top : top + rows] = np.where((own == VOID)[..., None], colour, mixed).round()
    return result

"""What the page gets of an image: a picture of bounded size, the mask as a picture."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.preprocess import Pixels, decode
from fovea.studio.elements import png_url

LARGEST = 1600
"""Pixels of the longer side of a picture that is sent."""
SHARP = 512
"""Up to so many the picture is sent without loss."""


def picture_of(file: Path) -> str:
    """Return an image as an address that holds it, at most 1600 pixels wide and high. Raises: ImageError."""
    pixels: Pixels = decode(file, channels=3)
    image = Image.fromarray(pixels)
    if max(image.size) <= SHARP:
        with io.BytesIO() as stream:
            image.save(stream, "PNG")
            return png_url(stream.getvalue())
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.BILINEAR)
    with io.BytesIO() as stream:
        image.save(stream, "JPEG", quality=90)
        return png_url(stream.getvalue()).replace("image/png", "image/jpeg", 1)


def mask_url(mask: NDArray[np.uint8]) -> str:
    """Return a mask (H, W) uint8 as the address of a grey picture whose levels are its values."""
    with io.BytesIO() as stream:
        Image.fromarray(mask).save(stream, "PNG")
        return png_url(stream.getvalue())

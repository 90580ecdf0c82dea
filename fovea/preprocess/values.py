"""What the pixels of an image are stored as, no colour converted and no level scaled: masks are read so."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from fovea.budget import DECODING, IMAGE
from fovea.errors import ImageError
from fovea.preprocess import costs
from fovea.preprocess.decoding import Reservation, decode_image


def decode_values(source: Path | bytes, *, colours: bool) -> NDArray[Any]:
    """Return the values that the pixels of an image are stored as, upright, as `decode` turns it.

    With `colours` they are uint8 (H, W, 3), palettes looked up and transparency left out. Else they are (H, W): uint8
    indices of a palette, levels, or 0 and 1; uint16 levels of a file of 16 bits. Of a file in colours whose channels
    are equal they are the levels.

    Raises: ImageError as `decode`, and for pixels that are no such values.
    """
    allowed = IMAGE.bytes
    with DECODING.share() as take:
        plan = costs.Plan(3, costs.of_array, deep=True)
        room = Reservation(allowed, take)
        return np.array(decode_image(source, None, room, plan, _in_colours if colours else _as_stored))


def _in_colours(image: Image.Image) -> Image.Image:
    """Return the image as RGB, transparency left out."""
    if image.mode.startswith(("I", "F")):
        raise ImageError("it has grey levels of 16 bits or more, not colours")
    return image if image.mode == "RGB" else image.convert("RGB")


def _as_stored(image: Image.Image) -> Image.Image:
    """Return the image with one band: the indices, levels, or 0 and 1 that it holds."""
    if image.mode == "1":
        return image.convert("L").point(lambda level: level // 255)
    if image.mode in ("P", "L") or image.mode.startswith("I;16"):
        return image
    if image.mode == "I" and 0 <= image.getextrema()[0] <= image.getextrema()[1] < 1 << 16:  # type: ignore[operator]
        return image
    bands = image.split() if image.mode in ("LA", "PA", "RGB", "RGBA") else ()
    if not bands:
        raise ImageError(f"its pixels ({image.mode}) are not indices, levels or colours")
    if len(bands) > 2 and any(ImageChops.difference(bands[0], band).getbbox() for band in bands[1:3]):
        raise ImageError("its pixels are colours, and there is no table with the class of each")
    return bands[0]

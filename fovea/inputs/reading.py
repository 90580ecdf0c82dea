"""What people hand to a network (paths, bytes, PIL images, arrays) as stored samples: one way for every container."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from fovea.errors import ImageError, UsageError
from fovea.inputs.interface import Preprocessing, Stored
from fovea.preprocess import Pixels
from fovea.preprocess.decoding import upright_size

Picture = str | Path | bytes | Image.Image | Pixels
"""A path, the bytes of a file, a PIL image, or an array: uint8 (H, W) or (H, W, C) of images."""


def read_sample(source: Picture, preprocess: Preprocessing) -> Stored:
    """Return one stored sample: (H, W, C) uint8 0..255 of images.

    Raises:
        ImageError: a file, or bytes, that cannot be decoded.
        UsageError: an array or object that is not a sample.
    """
    if isinstance(source, str | Path):
        return preprocess.read(Path(source))
    if isinstance(source, Image.Image):
        return preprocess.read(_as_array(source))
    if not isinstance(source, bytes | np.ndarray):
        kind = type(source).__name__
        raise UsageError(
            f"An image must be a path, the bytes of a file, a PIL image or a uint8 array; this is of type `{kind}`."
        )
    return preprocess.read(source)


def check_one_tile(source: Picture, preprocess: Preprocessing) -> None:
    """Raise ImageError for an image larger than the input of a network that sees tiles: one would not be all of it."""
    if (sides := more_than_a_tile(source, preprocess)) is not None:
        H, W = preprocess.stored_shape[:2]
        raise ImageError(
            f"the image has {sides[1]:,} x {sides[0]:,} pixels, and this model takes tiles of {W} x {H}; cut it, or "
            "use `fovea predict`, which covers all tiles."
        )


def more_than_a_tile(source: Picture, preprocess: Preprocessing) -> tuple[int, int] | None:
    """Return (H, W) of an image that is larger than the input of a network that sees tiles; None of all others."""
    if not getattr(preprocess, "tiles", False):
        return None
    sides = _sides(source)
    H, W = preprocess.stored_shape[:2]
    return sides if sides is not None and (sides[0] > H or sides[1] > W) else None


def _sides(source: Picture) -> tuple[int, int] | None:
    """Return (H, W) of an image, from its header; None if it cannot be read, which its decoder says better."""
    if isinstance(source, Image.Image):
        return source.height, source.width
    if isinstance(source, np.ndarray):
        return source.shape[:2]
    return upright_size(Path(source) if isinstance(source, str | Path) else source)


def listed(samples: Picture | Iterable[Picture], axes: int) -> Iterable[Picture]:
    """Return the samples one by one, however they were given; an array of more than `axes` axes holds several."""
    if isinstance(samples, np.ndarray):
        return samples if samples.ndim > axes else [samples]
    return [samples] if isinstance(samples, str | bytes | Path | Image.Image) else samples


def _as_array(image: Image.Image) -> Pixels:
    """Return a PIL image as a uint8 array, upright, as decoding its file would."""
    if image.mode.startswith(("I", "F")):
        raise UsageError(f"A PIL image of mode `{image.mode}` has no fixed range; give its path, or 8-bit pixels.")
    image = ImageOps.exif_transpose(image)
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return np.asarray(image)

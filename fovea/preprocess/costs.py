"""What an image takes in memory at the most, from its header: while it is decompressed, converted, turned and resized.

Bytes per pixel are those of Pillow 13, as measured; `tests/preprocess/test_bounds.py` measures them again.
"""

from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from PIL import ImageFile

from fovea.errors import ImageError
from fovea.preprocess.headers import read_jpeg

OfFinish = Callable[[tuple[int, int], int], int]
"""From (W, H) and the number of channels to what comes of it after it is decoded, in bytes beside the image itself."""

STRIP_PIXELS = 1 << 18
"""Converted at a time, or one row where that is more."""
MAX_SCAN_PIXELS = 1_500_000_000
"""Scans x pixels of a JPEG in several scans, each of which goes through all pixels. Usual are ten scans."""

_FIXED = 4_000_000
"""What decoders keep whatever the size."""
_ROW = 8
"""A pointer for each row of an image."""
_COLOUR = 4
"""Bytes of a pixel, `RGB` and `LA` included."""
_WIDTHS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes of a pixel of the modes that have fewer."""
_STRIP = 24
_STRIP_OF_16_BITS = 56
"""Bytes for each pixel of a strip that is converted: its copies in other modes, or as integers of 32 bits."""
_RAW_ROW = 24
"""Bytes per pixel of the rows that a decoder keeps as they stand in the file: three, of up to 8 bytes a pixel."""
_RAW_PIXEL = 9
"""Bytes per pixel that no file needs: it has fewer even where it does not compress at all."""
_WEBP = 12
"""Bytes per pixel of libwebp's two canvases, and of the pixels that it is decoding or has decoded."""
_TIFF_STRIP, _TIFF_JPEG_STRIP = 2, 12
"""For each byte of a strip or tile of a TIFF, held whole; more where it is a JPEG, perhaps in several scans."""


class Plan(NamedTuple):
    """What is to become of an image."""

    channels: int
    finish: OfFinish
    deep: bool = False
    """Whether pixels of more than 8 bits stay as they are."""


class Cost(NamedTuple):
    """Bytes that an image takes at the most, as it lies in the file, or if it has to be turned too."""

    upright: int
    turned: int


def plane(size: tuple[int, int], width: int) -> int:
    """Return the bytes of an image of (W, H) pixels of `width` bytes."""
    W, H = size
    return H * (_ROW + -(-W * width // 4) * 4)


def of_array(size: tuple[int, int], channels: int) -> int:
    """Return the bytes of the pixels (W, H) as an array."""
    W, H = size
    return W * H * channels


def of_resizing(size: tuple[int, int], target: tuple[int, int], channels: int) -> int:
    """Return the most that resizing (W, H) to `target` (W, H) holds beside the image.

    Rows first, then columns, each with a table of weights: two of 8 bytes for each pixel that goes in.
    """
    width = 1 if channels == 1 else _COLOUR
    weights = 32 * (sum(size) + sum(target))
    return plane((target[0], size[1]), width) + weights + plane(target, width)


def of_webp(size: tuple[int, int], file_bytes: int, plan: Plan) -> Cost:
    """Return what a WebP of (W, H) takes; its decoder is let go before the conversion."""
    image = plane(size, _COLOUR)
    loading = image + _WEBP * size[0] * size[1]
    return _highest(_FIXED + file_bytes, loading, _after(size, image, plan, strip=_STRIP, converts=True))


def of_image(image: ImageFile.ImageFile, stream: BinaryIO, file_bytes: int, plan: Plan, *, twice: bool) -> Cost:
    """Return what an opened image of another format takes; `twice` where it is decoded twice, for its low bytes."""
    W, H = image.size
    source = plane(image.size, _WIDTHS.get(image.mode, _COLOUR))
    loading = source + _RAW_ROW * W + _EXTRA.get(image.format or "", _nothing)(image, stream, source)
    if twice:
        loading += source + _STRIP_OF_16_BITS * max(min(STRIP_PIXELS, W * H), W)
    deep = twice or image.mode.startswith(("I", "F"))
    converts = deep or image.has_transparency_data or image.mode != ("L" if plan.channels == 1 else "RGB")
    strip = _STRIP_OF_16_BITS if deep else _STRIP
    # what a file has beyond its pixels uncompressed can be metadata only, of which several copies are made
    metadata = 3 * max(0, file_bytes - _RAW_PIXEL * W * H)
    return _highest(_FIXED + metadata, loading, _after(image.size, source, plan, strip=strip, converts=converts))


def _after(size: tuple[int, int], source: int, plan: Plan, *, strip: int, converts: bool) -> Cost:
    """Return what an image that takes `source` bytes needs once it is loaded: conversion, turning and finishing."""
    target = plane(size, 1 if plan.channels == 1 else _COLOUR)
    most = max(source + target if converts else source, target + plan.finish(size, plan.channels))
    converting = strip * max(min(STRIP_PIXELS, size[0] * size[1]), size[0])
    return Cost(converting + most, converting + max(most, 2 * target))


def _highest(always: int, loading: int, after: Cost) -> Cost:
    return Cost(always + max(loading, after.upright), always + max(loading, after.turned))


def _nothing(image: ImageFile.ImageFile, stream: BinaryIO, source: int) -> int:
    return 0


def _of_jpeg(image: ImageFile.ImageFile, stream: BinaryIO, source: int) -> int:
    """Return the bytes of its coefficients, which are kept where it comes in several scans."""
    header = read_jpeg(stream)
    if header.scans * header.pixels > MAX_SCAN_PIXELS:
        raise ImageError(f"it has {header.scans:,} scans, too many for its size; save it with fewer scans")
    return header.coefficient_bytes


def _of_tiff(image: ImageFile.ImageFile, stream: BinaryIO, source: int) -> int:
    """Return what the largest strip or tile takes, and the image a second time: it is turned as it is loaded."""
    if all(tile.codec_name == "raw" for tile in image.tile):
        return source
    tags, (W, H) = getattr(image, "tag_v2", {}), image.size
    across, down = int(tags.get(322, W)), int(tags.get(323, min(tags.get(278, H), H)))
    bits = tags.get(258, (8,))
    strip = across * down * int(max(4, sum(bits) // 8, bits[0] * int(tags.get(277, 1)) // 8))
    jpeg = "jpeg" in str(image.info.get("compression", ""))
    return source + (_TIFF_JPEG_STRIP if jpeg else _TIFF_STRIP) * strip


def _of_bmp(image: ImageFile.ImageFile, stream: BinaryIO, source: int) -> int:
    """Return what undoing run lengths takes: an array that grows, and a copy of it."""
    return 3 * image.width * image.height if any(tile.codec_name == "bmp_rle" for tile in image.tile) else 0


_EXTRA = {"JPEG": _of_jpeg, "MPO": _of_jpeg, "TIFF": _of_tiff, "BMP": _of_bmp}

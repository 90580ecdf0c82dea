"""From the bytes of an image to its pixels, with what that takes in memory bounded before anything is decompressed."""

import ctypes
import io
import logging
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from fovea.budget import DECODING, IMAGE
from fovea.errors import ImageError, UsageError
from fovea.files import irregular, open_regular
from fovea.preprocess import costs, foreign
from fovea.preprocess.headers import late_texts, webp_size

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_FILE_BYTES = 100_000_000
MAX_PIXELS = 100_000_000
DECODER_VERSION = f"1/pillow-{PIL.__version__}"
"""Changes whenever the same file may decode to other pixels; decoded caches carry it in their key."""

Pixels = NDArray[np.uint8]


DNG_VERSION = 50706
"""The tag of TIFF that makes it a digital negative."""


class Reservation(NamedTuple):
    """How an image gets its part of what all decoding threads share."""

    allowed: int
    take: Callable[[int], None]

    def check(self, needed: int) -> None:
        """Raise ImageError if that is more than one image may have."""
        if needed > self.allowed:
            raise ImageError(f"decoding it would need {IMAGE.excess(needed)}")

    def reserve(self, cost: costs.Cost) -> None:
        """Wait until there is room for the image; whether it has to be turned may be known only when it is decoded."""
        self.check(cost.upright)
        self.take(min(cost.turned, self.allowed))


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_EXIF = frozenset({"exif", "Raw profile type exif"})
"""Where Pillow keeps what a PNG says of its orientation."""
_ON_ITS_SIDE = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))
_OTHER_BYTE_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


def decode(source: Path | bytes, *, channels: int, at_least: tuple[int, int] | None = None) -> Pixels:
    """Return a JPEG, PNG, WebP, BMP, GIF (first frame) or TIFF (first page) as uint8 (H, W, C) 0..255.

    16 bits become 8 by /257, rounded (PNG grey with alpha: the high byte). Transparent pixels are laid over white. CMYK
    and palettes become RGB, RGB becomes grey by ITU-R 601 as Pillow computes it. The Exif orientation is applied.

    `at_least` (H, W) allows a JPEG to be decoded at 1/2, 1/4 or 1/8 (in its cosine transform, much faster): by the
    largest of them that leaves both sides at least twice the longer side of `at_least`. The same file and `at_least`
    always give the same pixels.

    Raises: ImageError with a reason of one line, which names a path but not bytes. Files above `MAX_FILE_BYTES`, images
    above `MAX_PIXELS`, and those that would take more memory than `fovea.budget` allows are refused from their header,
    before they are decompressed; so is whatever is no regular file.
    """
    return decoded(source, channels=channels, at_least=at_least, finish=as_array, finish_bytes=costs.of_array)


def decoded(
    source: Path | bytes,
    *,
    channels: int,
    at_least: tuple[int, int] | None,
    finish: Callable[[Image.Image], Pixels],
    finish_bytes: costs.OfFinish,
) -> Pixels:
    """Return what `finish` makes of the image, uint8 (H, W, C) 0..255, both within the budget; errors as `decode`."""
    check_channels(channels)
    allowed = IMAGE.bytes  # here, as a setting that is wrong is no fault of the image
    with DECODING.share() as take:
        return finish(decode_image(source, at_least, Reservation(allowed, take), costs.Plan(channels, finish_bytes)))


def upright_size(source: Path | bytes) -> tuple[int, int] | None:
    """Return (H, W) of an image as `decode` gives it, from its header; None for what cannot be used."""
    try:
        with _quietly(), _opened(source) as stream:
            if canvas := webp_size(stream):
                _check_pixels(canvas)
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                _check_pixels(image.size)
                W, H = image.size
                if image.format == "TIFF":  # Pillow may have turned the size already
                    W, H = (image.tag_v2[tag] for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength))  # type: ignore[attr-defined]
                if image.format == "PNG" and not image.info.keys() & _EXIF and not late_texts(stream):
                    return H, W  # Pillow would decode all of it to look for more
                return (W, H) if _turn(image) in _ON_ITS_SIDE else (H, W)
    except (ImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def read_header(path: Path) -> tuple[str, tuple[int, int]] | None:
    """Return Pillow's mode and (W, H) of an image file without decoding it; nothing of a file that cannot be used."""
    try:
        # `open_regular`, as a pipe would be waited for
        with _quietly(), open_regular(path) as stream:
            if canvas := webp_size(stream):
                _check_pixels(canvas)
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                return image.mode, image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


_COLOURS = {
    **dict.fromkeys(("1", "L", "I", "F"), "grey"),
    **dict.fromkeys(("LA", "La"), "grey with transparency"),
    **dict.fromkeys(("RGB", "YCbCr", "HSV", "LAB"), "colour"),
    **dict.fromkeys(("RGBA", "RGBa", "RGBX"), "colour with transparency"),
    **{"P": "a palette", "PA": "a palette with transparency", "CMYK": "CMYK"},
}
"""What Pillow's modes are called; those of 16 bits, as `I;16B`, are grey."""


def conversion(path: Path, *, channels: int) -> str:
    """Return how the colours of a file become 1 (grey) or 3 (RGB) channels, as `from colour to grey`.

    Empty where they are of that kind, and for a file that cannot be used.
    """
    header = read_header(path)
    found = header and _COLOURS.get(header[0].partition(";")[0])
    wanted = "grey" if channels == 1 else "colour"
    return "" if not found or found == wanted else f"from {found} to {wanted}"


def check_channels(channels: int) -> None:
    """Raise UsageError for another number than 1 or 3."""
    if channels not in (1, 3):
        raise UsageError(f"`channels` (={channels}) must be 1 (grey) or 3 (RGB).")


def converted(image: Image.Image, channels: int) -> Image.Image:
    """Return the image as `L` or `RGB`, transparent pixels over white; strip by strip where it is large."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode == mode and not image.has_transparency_data:
        return image
    if image.width * image.height <= costs.STRIP_PIXELS:
        return _in_mode(image, mode)
    whole = Image.new(mode, image.size)
    for box in _strips(image):
        whole.paste(_in_mode(image.crop(box), mode), box)
    return whole


def as_image(pixels: Pixels) -> Image.Image:
    """Return uint8 (H, W, C) as an image."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def as_array(image: Image.Image) -> Pixels:
    """Return an image of 8 bits as uint8 (H, W, C)."""
    W, H = image.size
    whole = np.empty((H, W, len(image.getbands())), np.uint8)
    if W * H <= costs.STRIP_PIXELS:
        whole.reshape(-1)[:] = np.frombuffer(image.tobytes(), np.uint8)
        return whole
    for box in _strips(image):
        whole[box[1] : box[3]] = np.asarray(image.crop(box)).reshape(box[3] - box[1], W, -1)
    return whole


def decode_image(
    source: Path | bytes,
    at_least: tuple[int, int] | None,
    room: Reservation,
    plan: costs.Plan,
    as_stored: Callable[[Image.Image], Image.Image] | None = None,
) -> Image.Image:
    """Return the image upright, in 8 bits and the channels of the plan, or what `as_stored` makes of it."""
    try:
        with _quietly(), _opened(source) as stream:
            image, turn = _load(stream, at_least, room, plan)
            image = as_stored(image) if as_stored else converted(image, plan.channels)
            # turned last: colours do not depend on their place, and the smaller image is turned
            return image if turn is None else image.transpose(turn)
    except Exception as error:  # on damaged data Pillow's decoders raise nearly anything
        name = f"`{source}`: " if isinstance(source, Path) else ""
        kind = foreign.by_suffix(source.name) if isinstance(source, Path) else None
        named = f"this is {kind}" if kind and isinstance(error, UnidentifiedImageError) else ""
        raise ImageError(f"{name}{named or _reason(error)}.") from error


def _opened(source: Path | bytes) -> BinaryIO:
    # A stream, never a path, goes to Pillow: it would map the file, and a file cut short then kills the process.
    if not isinstance(source, Path):
        return io.BytesIO(source)
    if kind := irregular(source):
        raise ImageError(f"this is {kind}, and only files are supported")
    return open_regular(source)


def _load(
    stream: BinaryIO, at_least: tuple[int, int] | None, room: Reservation, plan: costs.Plan
) -> tuple[Image.Image, Image.Transpose | None]:
    """Return the image and how it is to be turned; in 8 bits unless the plan is deep."""
    file_bytes = stream.seek(0, io.SEEK_END)
    if file_bytes == 0:
        raise ImageError("the file is empty")
    if file_bytes > MAX_FILE_BYTES:
        raise ImageError(f"the file has {file_bytes:,} bytes, more than the limit of {MAX_FILE_BYTES:,}")
    if kind := foreign.by_content(_head(stream)):
        raise ImageError(f"this is {kind}")
    cost = None
    if canvas := webp_size(stream):  # whose decoder takes its memory when it is opened
        _check_pixels(canvas)
        room.reserve(cost := costs.of_webp(canvas, file_bytes, plan))
    stream.seek(0)
    image = Image.open(stream, formats=FORMATS)
    _check_pixels(image.size)
    if at_least is not None:
        side = 2 * max(at_least)
        image.draft(None, (side, side))
    low_tiles = _low_byte_tiles(image)
    if cost is None:
        room.reserve(cost := costs.of_image(image, stream, file_bytes, plan, twice=bool(low_tiles)))
    if DNG_VERSION in getattr(image, "tag_v2", ()):  # its first page is a small preview
        raise ImageError(f"this is {foreign.RAW}")
    image.load()
    vars(image).pop("_decoder", None)  # libwebp's canvases, of no more use
    if (turn := _turn(image)) is not None:
        room.check(cost.turned)
    return image if plan.deep else _in_eight_bits(image, stream, low_tiles), turn


def _head(stream: BinaryIO) -> bytes:
    stream.seek(0)
    return stream.read(foreign.HEAD_BYTES)


def _in_eight_bits(image: Image.Image, stream: BinaryIO, low_tiles: list[ImageFile._Tile]) -> Image.Image:
    if low_tiles:
        low = Image.open(stream, formats=FORMATS)
        low.tile = low_tiles
        return _joined(image, low)
    return _by_257(image) if image.mode.startswith(("I", "F")) else image


def _check_pixels(size: tuple[int, int]) -> None:
    if math.prod(size) > MAX_PIXELS:
        raise Image.DecompressionBombError


def _strips(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of whole rows that together are the image."""
    rows = max(1, costs.STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        yield (0, top, image.width, min(top + rows, image.height))


def _low_byte_tiles(image: ImageFile.ImageFile) -> list[ImageFile._Tile]:
    """Return the tiles of a 16-bit colour image, changed to give the low bytes where Pillow gives the high."""
    tiles = []
    for tile in image.tile:
        rawmode, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
        mode, _, order = str(rawmode).partition(";16")
        if mode not in ("RGB", "RGBA") or order not in _OTHER_BYTE_ORDER:
            return []
        swapped = f"{mode};16{_OTHER_BYTE_ORDER[order]}"
        tiles.append(tile._replace(args=(swapped, *rest) if rest else swapped))
    return tiles


def _joined(high: Image.Image, low: Image.Image) -> Image.Image:
    """Return 16-bit colour as 8 bits, made in the place of its high bytes; a transparent colour is not kept."""
    low.load()
    for box in _strips(high):
        values = np.asarray(high.crop(box)).astype(np.uint32) * 256 + np.asarray(low.crop(box))
        high.paste(Image.fromarray(_rounded(values)), box)
    high.info.pop("transparency", None)
    return high


def _by_257(image: Image.Image) -> Image.Image:
    """Return one channel of 16 bits as 8 bits."""
    whole = Image.new("L", image.size)
    for box in _strips(image):
        values = np.asarray(image.crop(box))
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
            raise ImageError("32-bit pixels have no fixed range; save the image with 8 or 16 bits")
        whole.paste(Image.fromarray(_rounded(values.astype(np.uint32))), box)
    return whole


def _rounded(values: NDArray[np.uint32]) -> Pixels:
    return ((values + 128) // 257).astype(np.uint8)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata does not spoil the pixels
        return None


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque)
    elif image.mode == "LAB":  # from which Pillow converts to colour only
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WebP, BMP, GIF or TIFF image, or its header is damaged"
    if isinstance(error, Image.DecompressionBombError):
        return f"the image has more than {MAX_PIXELS:,} pixels, the limit"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


_quiet_lock = threading.Lock()
_quiet_depth = 0
_loud = ExitStack()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # without any, Python prints what Pillow says of damage


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Pillow's warnings and libtiff's words off the terminal while any thread decodes: the error says it.

    Both belong to the whole process: the first thread in silences them, the last one out restores them.
    """
    global _quiet_depth, _loud
    with _quiet_lock:
        _quiet_depth += 1
        if _quiet_depth == 1:
            _loud = ExitStack()
            _loud.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _silence_libtiff(_loud)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _loud.close()


def _silence_libtiff(until: ExitStack) -> None:
    """Take libtiff's handlers away, which write to the terminal; nothing where Pillow does not show that library."""
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        if set_handler := _libtiff_function(name):
            until.callback(set_handler, set_handler(None))


@cache
def _libtiff_function(name: str) -> Callable[[int | None], int | None] | None:
    try:
        # a symbol is looked for in the libraries that the module needs, too
        function: Any = getattr(ctypes.CDLL(Image.core.__file__), name)  # type: ignore[attr-defined]
    except (AttributeError, OSError, TypeError):  # linked otherwise
        return None
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
    return function  # type: ignore[no-any-return]

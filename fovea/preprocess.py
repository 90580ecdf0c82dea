"""From an encoded image to the numbers a network sees: decode, geometry, normalisation.

Training, evaluation, export and serving all go through `Preprocess`, so that what was trained is what is served.
"""

import io
import math
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, get_args

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from fovea.errors import ImageError, UsageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_FILE_BYTES = 100_000_000
MAX_PIXELS = 100_000_000
DECODER_VERSION = f"1/pillow-{PIL.__version__}"
"""Changes whenever the same file may decode to other pixels; decoded caches carry it in their key."""

FILL = 128
"""The grey around a letterboxed image; a constant, so that the pixels do not depend on `mean`."""

Fit = Literal["crop", "letterbox", "squash"]
Pixels = NDArray[np.uint8]

_FIXED = {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": FILL}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_OTHER_BYTE_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an image becomes the input of a network; stored in every model file.

    Raises: UsageError for a field outside its range.
    """

    input: ClassVar[str] = "images"
    """The name of the kind of input, as in `fovea.inputs`."""

    size: tuple[int, int]
    """(H, W) in pixels."""
    channels: int
    """1 (grey) or 3 (RGB)."""
    fit: Fit = "crop"
    """crop: shorter side to size / crop, then the centre; letterbox: longer side to size, rest grey; squash: both."""
    crop: float = 1.0
    """Share of the shorter side that `crop` keeps: 224 / 256 for the centre of 224 pixels after a resize to 256."""
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1."""
    std: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1; above 0."""

    def __post_init__(self) -> None:
        if len(self.size) != 2 or any(type(side) is not int or side < 1 for side in self.size):
            raise UsageError(f"`size` (={self.size}) must be two whole numbers (height, width) of at least 1.")
        if math.prod(self.size) > MAX_PIXELS:
            raise UsageError(f"`size` (={self.size}) must hold at most {MAX_PIXELS:,} pixels.")
        _check_channels(self.channels)
        if self.fit not in get_args(Fit):
            raise UsageError(f"`fit` (={self.fit}) must be one of {', '.join(get_args(Fit))}.")
        if not 0.1 <= self.crop <= 1 or (self.crop < 1 and self.fit != "crop"):
            raise UsageError(f"`crop` (={self.crop}) must lie from 0.1 to 1, and at 1 where `fit` is not `crop`.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(map(math.isfinite, values)):
                raise UsageError(
                    f"`{name}` (={values}) must hold one finite number for each of `channels` (={self.channels})."
                )
        if min(self.std) <= 0:
            raise UsageError(f"`std` (={self.std}) must be above 0.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the network's input."""
        return (self.channels, *self.size)

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of a decoded image in the cache."""
        return (*self.size, self.channels)

    @property
    def dtype(self) -> str:
        """The type of decoded pixels, 0..255."""
        return "uint8"

    @property
    def cache_key(self) -> list[Any]:
        """All that decoded pixels depend on beside their file, as JSON values."""
        return [DECODER_VERSION, self.size, self.channels, self.fit, self.crop]

    def read(self, source: Path | bytes | Pixels) -> Pixels:
        """Return a file, its bytes, or an array as uint8 (H, W, C) 0..255: `decode` or `as_pixels`, then the geometry.

        Raises: ImageError for a file or bytes that cannot be decoded, UsageError for an array that is no image.
        """
        if isinstance(source, np.ndarray):
            return self.fit_stored(as_pixels(source, channels=self.channels))
        H, W = self.size
        at_least = math.ceil(H / self.crop), math.ceil(W / self.crop)
        return _as_array(self._fitted(_decode(source, channels=self.channels, at_least=at_least)))

    def fit_stored(self, pixels: Pixels) -> Pixels:
        """Return uint8 (h, w, C) resized to uint8 (H, W, C); pixels that have the size already are returned unchanged.

        Bilinear with a support that grows with the reduction (antialiased), as Pillow computes it.
        """
        return pixels if pixels.shape[:2] == self.size else _as_array(self._fitted(_as_image(pixels)))

    def _fitted(self, image: Image.Image) -> Image.Image:
        H, W = self.size
        if image.size == (W, H):
            return image
        if self.fit == "squash":
            return image.resize((W, H), Image.Resampling.BILINEAR)
        return _crop(image, H, W, keep=self.crop) if self.fit == "crop" else _letterbox(image, H, W)

    def normalise(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return uint8 (N, H, W, C) as float32 (N, C, H, W): `(x / 255 - mean) / std`."""
        scaled = pixels.transpose(0, 3, 1, 2).astype(np.float32, order="C") / np.float32(255)
        mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return (scaled - mean) / std

    def with_size(self, size: tuple[int, int]) -> "Preprocess":
        """Return the same for another (H, W)."""
        return replace(self, size=size)

    def roomy(self, room: float) -> "Preprocess":
        """Return the same at `room` times the size, so that random crops have a choice."""
        H, W = self.size
        return self.with_size((round(H * room), round(W * room)))

    def with_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "Preprocess":
        """Return the same with another mean and standard deviation per channel."""
        return replace(self, mean=mean, std=std)

    def to_dict(self) -> dict[str, Any]:
        """Return all that is needed to repeat this elsewhere, as JSON values; without `crop` where that is 1."""
        fields = {"size": list(self.size), "channels": self.channels, "fit": self.fit}
        crop = {} if self.crop == 1 else {"crop": self.crop}
        return {**fields, **crop, "mean": list(self.mean), "std": list(self.std), **_FIXED}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Preprocess":
        """Return what `to_dict` wrote.

        Raises: UsageError where a field is missing, unknown, of a wrong type, or asks for another decoder.
        """
        own = {"size", "channels", "fit", "mean", "std"}
        if wrong := sorted(own.union(_FIXED).symmetric_difference(given.keys() - {"crop"})):
            raise UsageError(
                f"The preprocessing has missing or unknown fields: {', '.join(f'`{name}`' for name in wrong)}."
            )
        for name, value in _FIXED.items():
            if given[name] != value:
                raise UsageError(
                    f"The preprocessing field `{name}` (={given[name]}) must be {value}; no other is known here."
                )
        try:
            lists = {name: tuple(given[name]) for name in ("size", "mean", "std")}
            return cls(channels=given["channels"], fit=given["fit"], crop=given.get("crop", 1.0), **lists)
        except TypeError as error:
            raise UsageError(f"The preprocessing has a field of the wrong type: {error}.") from error


def decode(source: Path | bytes, *, channels: int, at_least: tuple[int, int] | None = None) -> Pixels:
    """Return a JPEG, PNG, WebP, BMP, GIF (first frame) or TIFF (first page) as uint8 (H, W, C) 0..255.

    16 bits become 8 by /257, rounded (PNG grey with alpha: the high byte). Transparent pixels are laid over white. CMYK
    and palettes become RGB, RGB becomes grey by ITU-R 601 as Pillow computes it. The Exif orientation is applied.

    `at_least` (H, W) allows a JPEG to be decoded at 1/2, 1/4 or 1/8 (in its cosine transform, much faster): by the
    largest of them that leaves both sides at least twice the longer side of `at_least`. The same file and `at_least`
    always give the same pixels.

    Raises: ImageError with a reason of one line, which names a path but not bytes. Files above `MAX_FILE_BYTES` and
    images above `MAX_PIXELS` are refused from their header, before they are decompressed.
    """
    return _as_array(_decode(source, channels=channels, at_least=at_least))


def as_pixels(array: Pixels, *, channels: int) -> Pixels:
    """Return a uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4 with alpha) as uint8 (H, W, C).

    Conversions are those of `decode`. Raises: UsageError for another dtype or shape.
    """
    _check_channels(channels)
    if array.dtype != np.uint8:
        raise UsageError(
            f"An image array must be uint8 with values 0..255; this one is `{array.dtype}`. Scale and cast it first."
        )
    if array.size == 0 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise UsageError(
            f"An image array must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); this one is `{array.shape}`."
        )
    if array.shape[2:] == (channels,):
        return array
    return _as_array(_converted(_as_image(array), channels))


def _check_channels(channels: int) -> None:
    if channels not in (1, 3):
        raise UsageError(f"`channels` (={channels}) must be 1 (grey) or 3 (RGB).")


def _decode(source: Path | bytes, *, channels: int, at_least: tuple[int, int] | None) -> Image.Image:
    _check_channels(channels)
    try:
        # A stream, never a path, goes to Pillow: it would map the file, and a file cut short then kills the process.
        with (
            _without_pillow_warnings(),
            source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream,
        ):
            return _converted(_load(stream, at_least), channels)
    except Exception as error:  # on damaged data Pillow's decoders raise nearly anything
        name = f"`{source}`: " if isinstance(source, Path) else ""
        raise ImageError(f"{name}{_reason(error)}.") from error


def _load(stream: BinaryIO, at_least: tuple[int, int] | None) -> Image.Image:
    file_bytes = stream.seek(0, io.SEEK_END)
    if file_bytes == 0:
        raise ImageError("the file is empty")
    if file_bytes > MAX_FILE_BYTES:
        raise ImageError(f"the file has {file_bytes:,} bytes, more than the {MAX_FILE_BYTES:,} that are read")
    image = Image.open(stream, formats=FORMATS)
    if math.prod(image.size) > MAX_PIXELS:
        raise Image.DecompressionBombError
    if at_least is not None:
        side = 2 * max(at_least)
        image.draft(None, (side, side))
    low_tiles = _low_byte_tiles(image)
    image.load()
    turn = _turn(image)
    if low_tiles:
        low = Image.open(stream, formats=FORMATS)
        low.tile = low_tiles
        eight_bits = _by_257(np.asarray(image).astype(np.uint32) * 256 + np.asarray(low))
    else:
        eight_bits = _by_257(np.asarray(image)) if image.mode.startswith(("I", "F")) else image
    return eight_bits if turn is None else eight_bits.transpose(turn)


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


def _by_257(values: NDArray[Any]) -> Image.Image:
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ImageError("32-bit pixels have no fixed range; store the image with 8 or 16 bits")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata does not spoil the pixels
        return None


def _converted(image: Image.Image, channels: int) -> Image.Image:
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _as_image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def _as_array(image: Image.Image) -> Pixels:
    return np.array(image).reshape(image.height, image.width, -1)


def _crop(image: Image.Image, H: int, W: int, *, keep: float) -> Image.Image:
    scale = keep * min(image.width / W, image.height / H)
    left, top = max(0.0, (image.width - W * scale) / 2), max(0.0, (image.height - H * scale) / 2)
    box = (left, top, image.width - left, image.height - top)
    return image.resize((W, H), Image.Resampling.BILINEAR, box=box)


def _letterbox(image: Image.Image, H: int, W: int) -> Image.Image:
    scale = max(image.width / W, image.height / H)
    w, h = max(1, round(image.width / scale)), max(1, round(image.height / scale))
    canvas = Image.new(image.mode, (W, H), (FILL,) * len(image.getbands()))
    canvas.paste(image.resize((w, h), Image.Resampling.BILINEAR), ((W - w) // 2, (H - h) // 2))
    return canvas


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, WebP, BMP, GIF or TIFF image, or its header is damaged"
    if isinstance(error, Image.DecompressionBombError):
        return f"the image has more than the {MAX_PIXELS:,} pixels that are decoded"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


_warnings_lock = threading.Lock()
_warnings_depth = 0
_warnings_state = warnings.catch_warnings()


@contextmanager
def _without_pillow_warnings() -> Iterator[None]:
    """Silence Pillow's warnings while any thread decodes.

    The filters belong to the whole process: the first thread in sets them, the last one out restores them.
    """
    global _warnings_depth, _warnings_state
    with _warnings_lock:
        _warnings_depth += 1
        if _warnings_depth == 1:
            _warnings_state = warnings.catch_warnings()
            _warnings_state.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        yield
    finally:
        with _warnings_lock:
            _warnings_depth -= 1
            if _warnings_depth == 0:
                _warnings_state.__exit__(None, None, None)

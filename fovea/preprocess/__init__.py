"""From an encoded image to the numbers a network sees: decode, geometry, normalisation.

Training, evaluation, export and serving all go through `Preprocess`, so that what was trained is what is served.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fovea.errors import UsageError
from fovea.preprocess.costs import of_array, of_resizing
from fovea.preprocess.decoding import (
    DECODER_VERSION,
    FORMATS,
    MAX_PIXELS,
    Pixels,
    as_array,
    as_image,
    check_channels,
    conversion,
    converted,
    decode,
    decoded,
    read_header,
)
from fovea.preprocess.windows import (
    VOID,
    Integers,
    Window,
    majority,
    mirrored,
    moved,
    moved_points,
    nearest,
    smooth,
)

__all__ = [
    "DECODER_VERSION",
    "FILL",
    "FORMATS",
    "MAX_PIXELS",
    "VOID",
    "Fit",
    "Pixels",
    "Preprocess",
    "as_pixels",
    "conversion",
    "decode",
    "read_header",
]

FILL = 128
"""The grey around a letterboxed image; a constant, so that the pixels do not depend on `mean`."""
LARGEST_MEAN, SMALLEST_STD = 1e6, 1e-6
"""Of pixels from 0 to 1: beyond them float32 may overflow."""

Fit = Literal["crop", "letterbox", "squash", "tile"]

_FIXED = {"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": FILL}


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
    """crop: shorter side to size / crop, then the centre; letterbox: longer side to size, rest grey; squash: both;
    tile: as many windows of the image as it is, each of this size; of a single one that in the middle."""
    crop: float = 1.0
    """Share of the shorter side that `crop` keeps: 224 / 256 for the centre of 224 pixels after a resize to 256."""
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1."""
    std: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1; above 0."""
    overlap: int = 0
    """Of `tile`: pixels that the answers of two neighbours share at least."""
    margin: int = 0
    """Of `tile`: pixels on each side that the network does not answer for: those that valid convolutions take."""

    def __post_init__(self) -> None:
        if len(self.size) != 2 or any(type(side) is not int or side < 1 for side in self.size):
            raise UsageError(f"`size` (={self.size}) must be two whole numbers (height, width), each at least 1.")
        if math.prod(self.size) > MAX_PIXELS:
            raise UsageError(f"`size` (={self.size}) must have at most {MAX_PIXELS:,} pixels.")
        check_channels(self.channels)
        if self.fit not in get_args(Fit):
            raise UsageError(f"`fit` (={self.fit}) must be one of {', '.join(get_args(Fit))}.")
        if not 0.1 <= self.crop <= 1 or (self.crop < 1 and self.fit != "crop"):
            raise UsageError(f"`crop` (={self.crop}) must be from 0.1 to 1, and at 1 where `fit` is not `crop`.")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(map(math.isfinite, values)):
                raise UsageError(
                    f"`{name}` (={values}) must have one finite number for each of `channels` (={self.channels})."
                )
        if (self.overlap or self.margin) and self.fit != "tile":
            raise UsageError(f"`overlap` (={self.overlap}) and `margin` (={self.margin}) work only with `fit` tile.")
        answered = min(self.size) - 2 * self.margin
        if self.margin < 0 or not 0 <= self.overlap < answered:
            raise UsageError(
                f"`overlap` (={self.overlap}) must be at least 0 and below {answered} pixels, the part of a tile "
                "that is predicted."
            )
        if max(map(abs, self.mean)) > LARGEST_MEAN:
            raise UsageError(f"`mean` (={self.mean}) must be from {-LARGEST_MEAN:g} to {LARGEST_MEAN:g}.")
        if not SMALLEST_STD <= min(self.std) <= max(self.std) <= 1 / SMALLEST_STD:
            raise UsageError(f"`std` (={self.std}) must be from {SMALLEST_STD:g} to {1 / SMALLEST_STD:g}.")

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

    @property
    def tiles(self) -> bool:
        """Whether an image is as many samples as it has tiles."""
        return self.fit == "tile"

    def read(self, source: Path | bytes | Pixels) -> Pixels:
        """Return a file, its bytes, or an array as uint8 (H, W, C) 0..255: `decode` or `as_pixels`, then the geometry.

        Raises: ImageError for a file or bytes that cannot be decoded, UsageError for an array that is not an image.
        """
        if isinstance(source, np.ndarray):
            return self.fit_stored(as_pixels(source, channels=self.channels))
        H, W = self.size
        at_least = math.ceil(H / self.crop), math.ceil(W / self.crop)
        return decoded(
            source,
            channels=self.channels,
            at_least=None if self.tiles else at_least,
            finish=lambda image: as_array(self._fitted(image)),
            finish_bytes=self._fitting_bytes,
        )

    def fit_stored(self, pixels: Pixels) -> Pixels:
        """Return uint8 (h, w, C) resized to uint8 (H, W, C); pixels that have the size already are returned unchanged.

        Bilinear with a support that grows with the reduction (antialiased), as Pillow computes it.
        """
        return pixels if pixels.shape[:2] == self.size else as_array(self._fitted(as_image(pixels)))

    def _fitted(self, image: Image.Image) -> Image.Image:
        H, W = self.size
        if image.size == (W, H):
            return image
        if self.tiles:
            return as_image(_middle(as_array(image), self.size))
        if self.fit == "squash":
            return image.resize((W, H), Image.Resampling.BILINEAR)
        return _crop(image, H, W, keep=self.crop) if self.fit == "crop" else _letterbox(image, H, W)

    def boxes_in_input(self, boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return where boxes (b, 4) of x0, y0, x1, y1 in an upright image of `size` (H, W) lie in the input: (b, 4).

        float64 pixels, half-open, not cut at the border: what `crop` leaves out lies outside. Of a JPEG that is decoded
        at a fraction of its size, sides are rounded up, so a box may be off by as much as half a pixel of that.
        """
        given, made = self._windows(size)
        return moved(boxes, given, made)

    def boxes_in_image(self, boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return where boxes (B, 4) float64 of the input lie in an image of `size` (H, W): undoes `boxes_in_input`."""
        given, made = self._windows(size)
        return moved(boxes, made, given)

    def points_in_input(self, points: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return where points (..., 2 or more) of an upright image of `size` (H, W) lie in the input, float64.

        The first two columns are x and y in pixels, (0.5, 0.5) the centre of the first; others stay as they are.
        """
        given, made = self._windows(size)
        return moved_points(points, given, made)

    def points_in_image(self, points: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return where points (P, 2) float64 of the input lie in an image of `size` (H, W), from `points_in_input`."""
        given, made = self._windows(size)
        return moved_points(points, made, given)

    def mask_in_input(self, mask: NDArray[Integers], *, void: int = VOID) -> NDArray[Integers]:
        """Return the mask uint8 (h, w) of an upright image as that of the input, uint8 (H, W).

        It moves as the image does: each pixel of the input has the class that covers most of it. `void` stands where a
        letterbox is grey. Numbers of objects, of another type, are taken from the centre of a pixel.
        """
        given, made = self._windows(mask.shape)
        resampled: Any = majority if mask.dtype == np.uint8 else nearest
        moved_mask: NDArray[Integers] = resampled(mask, given, made, size=self.size, void=void)
        return moved_mask

    def mask_in_image(self, mask: Pixels, size: tuple[int, int], *, void: int = VOID) -> Pixels:
        """Return a mask uint8 (H, W) of the input as that of an upright image of `size` (h, w), uint8 (h, w).

        By nearest neighbour; `void` stands where the image has more than the input shows, beside a crop.
        """
        given, made = self._windows(size)
        return nearest(mask, made, given, size=size, void=void)

    def classes_in_image(
        self, mask: NDArray[np.uint8], probability: NDArray[np.float32], size: tuple[int, int], *, classes: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return a mask uint8 (H, W) of the input, and its probability float32 0..1, for an image of `size` (h, w).

        Probabilities are interpolated bilinearly, so that outlines do not have the steps of the input's pixels. `VOID`
        stands where the image has more than the input shows.
        """
        given, made = self._windows(size)
        return smooth(mask, probability, made, given, size=size, void=VOID, classes=classes)

    def _windows(self, size: tuple[int, int]) -> tuple[Window, Window]:
        """Return what the geometry takes of an upright image of `size` (h, w), and where it puts that in the input."""
        (h, w), (H, W) = size, self.size
        if self.tiles:
            left, top = (w - W) // 2, (h - H) // 2
            return (left, top, left + W, top + H), (0, 0, W, H)
        if self.fit == "crop" and size != self.size:
            return _kept((w, h), W, H, keep=self.crop), (0, 0, W, H)
        return (0, 0, w, h), _framed((w, h), W, H) if self.fit == "letterbox" else (0, 0, W, H)

    def _fitting_bytes(self, size: tuple[int, int], channels: int) -> int:
        """Return the most that `_fitted` holds for an image of (W, H), and the array of what comes of it."""
        (w, h), (H, W) = size, self.size
        target, used = (W, H), (w, h)
        if self.tiles:
            return of_array(size, channels) + 2 * of_array((W, H), channels)
        if self.fit == "crop":
            scale = self.crop * min(w / W, h / H)
            used = min(w, math.ceil(W * scale) + 1), min(h, math.ceil(H * scale) + 1)
        elif self.fit == "letterbox":
            left, top, right, bottom = _framed(size, W, H)
            target = right - left, bottom - top
        return of_resizing(used, target, channels) + 4 * W * H + of_array((W, H), channels)

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

    def with_tiles(self, *, overlap: int, margin: int) -> "Preprocess":
        """Return the same for tiles that overlap by so much, of a network with that `margin`."""
        return replace(self, overlap=overlap, margin=margin)

    def with_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "Preprocess":
        """Return the same with another mean and standard deviation per channel."""
        return replace(self, mean=mean, std=std)

    def to_dict(self) -> dict[str, Any]:
        """Return all that is needed to repeat this elsewhere, as JSON values; without what `fit` does not use."""
        fields = {"size": list(self.size), "channels": self.channels, "fit": self.fit}
        crop = {} if self.crop == 1 else {"crop": self.crop}
        tiles = {"overlap": self.overlap, "margin": self.margin} if self.tiles else {}
        return {**fields, **crop, **tiles, "mean": list(self.mean), "std": list(self.std), **_FIXED}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "Preprocess":
        """Return what `to_dict` wrote.

        Raises: UsageError if a field is missing, unknown, of a wrong type, or asks for another decoder.
        """
        tiles = ("overlap", "margin") if given.get("fit") == "tile" else ()
        own = {"size", "channels", "fit", "mean", "std", *tiles}
        if wrong := sorted(own.union(_FIXED).symmetric_difference(given.keys() - {"crop"})):
            raise UsageError(
                f"The preprocessing has missing or unknown fields: {', '.join(f'`{name}`' for name in wrong)}."
            )
        for name, value in _FIXED.items():
            if given[name] != value:
                raise UsageError(
                    f"The preprocessing field `{name}` (={given[name]}) must be {value}; nothing else is supported."
                )
        try:
            lists: dict[str, Any] = {name: tuple(given[name]) for name in ("size", "mean", "std")}
            for name in tiles:
                if type(given[name]) is not int:
                    raise TypeError(f"`{name}` must be a whole number")
            tiled = {name: given[name] for name in tiles}
            return cls(channels=given["channels"], fit=given["fit"], crop=given.get("crop", 1.0), **tiled, **lists)
        except TypeError as error:
            raise UsageError(f"The preprocessing has a field of the wrong type: {error}.") from error


def as_pixels(array: Pixels, *, channels: int) -> Pixels:
    """Return a uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4 with alpha) as uint8 (H, W, C).

    Conversions are those of `decode`. Raises: UsageError for another dtype or shape.
    """
    check_channels(channels)
    if array.dtype != np.uint8:
        raise UsageError(
            f"An image array must be uint8 with values 0..255; this one is `{array.dtype}`. Scale and convert it first."
        )
    if array.size == 0 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise UsageError(
            f"An image array must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); this one is `{array.shape}`."
        )
    if array.shape[2:] == (channels,):
        return array
    return as_array(converted(as_image(array), channels))


def _middle(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the window of `size` (H, W) in the middle of an image (h, w, C), mirrored where that is smaller."""
    (h, w), (H, W) = pixels.shape[:2], size
    return mirrored(
        lambda x, y, width, height: pixels[y : y + height, x : x + width],
        (h, w),
        left=(w - W) // 2,
        top=(h - H) // 2,
        size=size,
    )


def _kept(size: tuple[int, int], W: int, H: int, *, keep: float) -> Window:
    """Return what `crop` takes of an image of `size` (w, h)."""
    w, h = size
    scale = keep * min(w / W, h / H)
    left, top = max(0.0, (w - W * scale) / 2), max(0.0, (h - H * scale) / 2)
    return left, top, w - left, h - top


def _framed(size: tuple[int, int], W: int, H: int) -> tuple[int, int, int, int]:
    """Return where `letterbox` puts an image of `size` (w, h)."""
    scale = max(size[0] / W, size[1] / H)
    w, h = (max(1, round(side / scale)) for side in size)
    left, top = (W - w) // 2, (H - h) // 2
    return left, top, left + w, top + h


def _crop(image: Image.Image, H: int, W: int, *, keep: float) -> Image.Image:
    return image.resize((W, H), Image.Resampling.BILINEAR, box=_kept(image.size, W, H, keep=keep))


def _letterbox(image: Image.Image, H: int, W: int) -> Image.Image:
    left, top, right, bottom = _framed(image.size, W, H)
    canvas = Image.new(image.mode, (W, H), (FILL,) * len(image.getbands()))
    canvas.paste(image.resize((right - left, bottom - top), Image.Resampling.BILINEAR), (left, top))
    return canvas

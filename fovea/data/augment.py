"""Augmentation of whole batches on the device they train on, and recipes of it such as `("flip", "shift 4")`.

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale; results have the same type and are channels-last in
memory. Every image is drawn on its own. Draws are made on the generator's device and moved to that of the images, so
that a CPU generator draws the same everywhere; no step depends on a value that only the device knows.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from fovea.data.batches import pixel_grid, sampled, typed, uniform
from fovea.data.colour import colour_jitter, grey, pca_shift
from fovea.data.trivial import trivial_augment
from fovea.errors import ShapeError, UsageError, unknown


class AugmentContext(NamedTuple):
    """What an augmentation may know of the batch."""

    epoch: int
    indices: Tensor
    """(N,) int64: the index of each image in its data set."""


Augmentation = Callable[[Tensor, Generator, AugmentContext], Tensor]
"""(N, C, H, W) -> (N, C, size, size)"""


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    return _mirrored(images, uniform(images, generator) < 0.5)


def alternating_flip(images: Tensor, *, epoch: int, indices: Tensor) -> Tensor:
    """Mirror each image in every second epoch: half of them in even epochs, the other half in odd ones.

    Jordan 2024, arXiv:2404.00498, section 3.6: two epochs always show both sides of every image.
    """
    half = (indices.to(images.device) * 2_654_435_761 >> 16) & 1  # Knuth's multiplicative hash
    return _mirrored(images, ((half + epoch) & 1).bool()[:, None, None])


def shift(images: Tensor, generator: Generator, *, pixels: int) -> Tensor:
    """Move each image by up to `pixels` in both directions, whole pixels; what enters is a reflection of the border.

    The same as padding by reflection and cropping at random.

    Raises:
        ShapeError: `pixels` is not smaller than the images.
    """
    N, C, H, W = images.shape
    if pixels >= min(H, W):
        raise ShapeError(f"`shift` by {pixels} pixels must be smaller than the images ({H}x{W}); use a smaller shift.")
    y, x = (uniform(images, generator, -pixels, pixels + 1).floor().long() for _ in range(2))
    rows, columns = pixel_grid(images)
    image = torch.arange(N, device=images.device)[:, None, None]
    chosen = (image * H + _reflected(rows + y, H)) * W + _reflected(columns + x, W)
    flat = images.permute(0, 2, 3, 1).reshape(N * H * W, C)
    return flat.index_select(0, chosen.flatten()).view(N, H, W, C).permute(0, 3, 1, 2)


def random_resized_crop(
    images: Tensor,
    generator: Generator,
    *,
    size: int,
    scale: tuple[float, float] = (0.35, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Return a random part of each image at `size` x `size`: (N, C, H, W) -> (N, C, size, size).

    Szegedy et al. 2014, arXiv:1409.4842, section 6: the part has an area drawn from `scale` (fractions of the image)
    and a width : height drawn log-uniformly from `ratio`; a side that would leave the image is cut to it. Bilinear
    without a low-pass filter: a part more than twice `size` wide aliases. On a CPU the part has whole pixels.
    """
    _, _, H, W = images.shape
    area = uniform(images, generator, *scale) * (H * W)
    aspect = uniform(images, generator, *map(math.log, ratio)).exp()
    width, height = (area * aspect).sqrt().clamp(max=W), (area / aspect).sqrt().clamp(max=H)
    left = uniform(images, generator) * (W - width)
    top = uniform(images, generator) * (H - height)
    if images.device.type == "cpu":
        return _cut_and_resized(images, torch.stack((top, top + height, left, left + width)), size)
    steps = (torch.arange(size, device=images.device) + 0.5) / size
    return sampled(images, left + width * steps, top + height * steps[:, None])


def affine(
    images: Tensor,
    generator: Generator,
    *,
    degrees: float = 0.0,
    translate: float = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
) -> Tensor:
    """Rotate by up to `degrees`, move by up to `translate` (a fraction of the side), zoom by up to 1 + `scale` in or
    out, slant by up to `shear` degrees; each drawn uniformly (zoom: log-uniformly), bilinear, borders reflected.
    """
    _, _, H, W = images.shape
    angle, slant = (uniform(images, generator, -math.radians(d), math.radians(d)) for d in (degrees, shear))
    x0, y0 = (uniform(images, generator, -translate, translate) * side for side in (W, H))
    zoom = uniform(images, generator, -math.log1p(scale), math.log1p(scale)).exp()
    rows, columns = pixel_grid(images)
    y, x = (rows + 0.5 - H / 2) * zoom, (columns + 0.5 - W / 2) * zoom
    x = x + slant.tan() * y
    cos, sin = angle.cos(), angle.sin()
    return sampled(images, cos * x - sin * y + (x0 + W / 2), sin * x + cos * y + (y0 + H / 2))


def cutout(images: Tensor, generator: Generator, *, pixels: int) -> Tensor:
    """Fill a square of `pixels` around a random pixel of each image, cut at the border, with the mean of the image.

    DeVries and Taylor 2017, arXiv:1708.04552 (which fills with the mean of the data set).
    """
    _, _, H, W = images.shape
    top, left = (((uniform(images, generator) * side).floor() - pixels // 2) for side in (H, W))
    return _filled(images, top, left, top + pixels, left + pixels)


def erase(images: Tensor, generator: Generator, *, probability: float) -> Tensor:
    """Fill, with `probability`, a random rectangle of 2 to 33 % of the image with the mean of the image.

    Zhong et al. 2017, arXiv:1708.04896, the variant RE-M, sides at most those of the image; width : height 0.3 to 3.3.
    """
    _, _, H, W = images.shape
    chosen = uniform(images, generator) < probability
    area = uniform(images, generator, 0.02, 0.33) * (H * W) * chosen
    aspect = uniform(images, generator, math.log(0.3), math.log(3.3)).exp()
    width, height = (area * aspect).sqrt().clamp(max=W), (area / aspect).sqrt().clamp(max=H)
    top, left = uniform(images, generator) * (H - height), uniform(images, generator) * (W - width)
    return _filled(images, top, left, top + height, left + width)


def centre_crop(images: Tensor, *, size: int) -> Tensor:
    """Return the middle of the images, without a copy: (N, C, H, W) -> (N, C, size, size).

    Raises:
        ShapeError: the images are smaller than `size`.
    """
    _, _, H, W = images.shape
    if size > min(H, W):
        raise ShapeError(
            f"`size` (={size}) must be at most that of the stored images ({H}x{W}); use `crop` to enlarge."
        )
    top, left = (H - size) // 2, (W - size) // 2
    return images[:, :, top : top + size, left : left + size]


def _reflected(position: Tensor, size: int) -> Tensor:
    """Mirror positions in (-size, 2 size - 1) into [0, size) without repeating the border."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


def _mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    N, C, H, W = images.shape
    images = images.contiguous(memory_format=torch.channels_last)
    both = torch.cat((images, images.flip(3))).permute(0, 2, 3, 1).reshape(2 * N, H * W * C)
    # whole rows by index: four times as fast as a choice per pixel
    rows = both.index_select(0, torch.arange(N, device=images.device) + N * chosen.flatten())
    return rows.view(N, H, W, C).permute(0, 3, 1, 2)


def _cut_and_resized(images: Tensor, edges: Tensor, size: int) -> Tensor:
    """Return the boxes with (top, bottom, left, right) `edges` (4, N, ...), to whole pixels, at `size` x `size`.

    One image after the other, twice as fast on a CPU as sampling all of them at positions of their own.
    """
    result = torch.empty(len(images), images.shape[1], size, size, dtype=images.dtype)
    result = result.contiguous(memory_format=torch.channels_last)
    for index, (top, bottom, left, right) in enumerate(edges.flatten(1).round().int().T.tolist()):
        box = images[index : index + 1, :, top : max(bottom, top + 1), left : max(right, left + 1)]
        result[index] = F.interpolate(box, size, mode="bilinear", align_corners=False)[0]
    return result


def _filled(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Return the images with the mean of each where a pixel's centre lies in its rectangle."""
    rows, columns = (position + 0.5 for position in pixel_grid(images))
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    mean = typed(images.mean((2, 3), keepdim=True, dtype=torch.float32), images)
    return torch.where(inside[:, None], mean, images).contiguous(memory_format=torch.channels_last)


class _Number(NamedTuple):
    """A number in a recipe: the argument it stands for and what it may be."""

    argument: str
    low: float
    high: float
    whole: bool = False


_RECIPES: Mapping[str, tuple[_Number, ...]] = MappingProxyType(
    {
        "flip": (),
        "alternating-flip": (),
        "shift": (_Number("pixels", 0, math.inf, whole=True),),
        "crop": (_Number("scale", 0.01, 1),),
        "affine": (
            _Number("degrees", 0, 180),
            _Number("translate", 0, 1),
            _Number("scale", 0, 9),
            _Number("shear", 0, 80),
        ),
        "colour": (_Number("strength", 0, 1),),
        "pca": (_Number("strength", 0, 10),),
        "grey": (_Number("probability", 0, 1),),
        "trivial": (),
        "cutout": (_Number("pixels", 0, math.inf, whole=True),),
        "erase": (_Number("probability", 0, 1),),
        "mixup": (_Number("alpha", 0, 100),),
        "cutmix": (_Number("alpha", 0, 100),),
    }
)
_FUNCTIONS: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "flip": flip,
        "shift": shift,
        "affine": affine,
        "colour": colour_jitter,
        "pca": pca_shift,
        "grey": grey,
        "trivial": trivial_augment,
        "cutout": cutout,
        "erase": erase,
    }
)
_FLIPS = ("flip", "alternating-flip")
_PAINTS = ("colour", "pca", "grey", "cutout", "erase")
MIXES = ("mixup", "cutmix")
"""Specs that mix images and labels, which `fovea.data.mixing` composes."""


def compose(specs: Sequence[str], *, size: int, directional: bool) -> Augmentation:
    """Return the augmentation that a recipe describes; its results are (N, C, size, size).

    Each spec is a name and its numbers: `flip`, `alternating-flip`, `shift PIXELS`, `crop SMALLEST_AREA`,
    `affine DEGREES [TRANSLATE [SCALE [SHEAR]]]`, `colour STRENGTH`, `pca STRENGTH`, `grey PROBABILITY`, `trivial`,
    `cutout PIXELS`, `erase PROBABILITY`. They run in the order given. Without `crop`, images are cut to the middle
    after the last spec that moves pixels. Flips are left out where labels are `directional`; those of MIXES always.

    >>> augment = compose(["flip", "shift 4", "cutout 12"], size=32, directional=False)

    Raises:
        UsageError: an unknown name, too many or too few numbers, or a number out of its range.
    """
    steps = [(name, _step(name, numbers, size)) for name, numbers in map(parsed, specs) if name not in MIXES]
    if directional:
        steps = [(name, step) for name, step in steps if name not in _FLIPS]
    if not any(name == "crop" for name, _ in steps):
        moves = [i for i, (name, _) in enumerate(steps, start=1) if name not in _PAINTS]
        steps.insert(max(moves, default=0), ("centre", lambda images, *_: centre_crop(images, size=size)))

    def augment(images: Tensor, generator: Generator, context: AugmentContext) -> Tensor:
        for _, step in steps:
            images = step(images, generator, context)
        return images

    return augment


def _step(name: str, numbers: Mapping[str, float], size: int) -> Augmentation:
    if name == "alternating-flip":
        return lambda images, _, context: alternating_flip(images, epoch=context.epoch, indices=context.indices)
    if name == "crop":
        scale = (numbers["scale"], 1.0)
        return lambda images, generator, _: random_resized_crop(images, generator, size=size, scale=scale)
    function = _FUNCTIONS[name]
    return lambda images, generator, _: function(images, generator, **numbers)


def parsed(spec: str) -> tuple[str, dict[str, float]]:
    """Return the name and the numbers of a spec; UsageError for one that is not known or has wrong numbers."""
    name, *words = spec.split() or [""]
    if name not in _RECIPES:
        raise unknown("augmentation", name, _RECIPES)
    allowed = _RECIPES[name]
    if len(words) > len(allowed) or (allowed and not words):
        takes = " ".join(number.argument.upper() for number in allowed) or "no number"
        raise UsageError(f"Augmentation `{spec}`: `{name}` takes {takes}.")
    return name, {number.argument: _value(spec, word, number) for word, number in zip(words, allowed, strict=False)}


def _value(spec: str, word: str, number: _Number) -> float:
    try:
        value = int(word) if number.whole else float(word)
    except ValueError:
        value = math.nan
    if not number.low <= value <= number.high:
        kind = "a whole number" if number.whole else "a number"
        bounds = f"of at least {number.low}" if number.high == math.inf else f"from {number.low} to {number.high}"
        raise UsageError(f"Augmentation `{spec}`: {number.argument} (=`{word}`) must be {kind} {bounds}.")
    return value

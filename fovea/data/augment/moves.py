"""Augmentations that move the pixels of whole batches, each with its `source`: where moved pixels come from.

Images as in `recipes`. They are moved by the fastest way to the same place: whole rows or pixels by index, parts cut
out and resized; by `source` itself where there is none.

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from fovea.data.augment.batches import pixel_centres, sampled, uniform
from fovea.data.augment.geometry import Moved
from fovea.errors import ShapeError

ELASTIC_GRID = 3
"""Points along each side that `elastic` displaces."""


def flip(images: Tensor, generator: Generator) -> Moved:
    """Mirror each image left to right with probability 1/2."""
    return _mirrored(images, uniform(images, generator) < 0.5)


def alternating_flip(images: Tensor, *, epoch: int, indices: Tensor) -> Moved:
    """Mirror each image in every second epoch: half of them in even epochs, the other half in odd ones.

    Jordan 2024, arXiv:2404.00498, section 3.6: two epochs always show both sides of every image.
    """
    half = (indices.to(images.device) * 2_654_435_761 >> 16) & 1  # Knuth's multiplicative hash
    return _mirrored(images, ((half + epoch) & 1).bool()[:, None, None])


def turn(images: Tensor, generator: Generator) -> Moved:
    """Show each image in one of its eight symmetric copies: mirrored or not, and turned by quarters; all as likely.

    Images that are not square are turned by halves: four copies.
    """
    N, C, H, W = images.shape
    side = 1 - 2 * (uniform(images, generator) < 0.5).int()
    quarters = (uniform(images, generator, 0, 4)).floor().clamp(max=3).int()
    quarters = quarters if H == W else 2 * (quarters % 2)
    cos, sin = (quarters == 0).int() - (quarters == 2).int(), (quarters == 1).int() - (quarters == 3).int()

    def source(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = side * (x - W / 2), y - H / 2
        return cos * x - sin * y + W / 2, sin * x + cos * y + H / 2

    x, y = (position.long() for position in source(*pixel_centres((H, W), images.device)))
    chosen = (torch.arange(N, device=images.device)[:, None, None] * H + y) * W + x
    turned = images.permute(0, 2, 3, 1).reshape(N * H * W, C).index_select(0, chosen.flatten())
    return Moved(turned.view(N, H, W, C).permute(0, 3, 1, 2), source, (H, W))


def shift(images: Tensor, generator: Generator, *, pixels: int) -> Moved:
    """Move each image by up to `pixels` in both directions, whole pixels; what enters is a reflection of the border.

    The same as padding by reflection and cropping at random.

    Raises:
        ShapeError: `pixels` is not smaller than the images.
    """
    N, C, H, W = images.shape
    if pixels >= min(H, W):
        raise ShapeError(f"`shift` by {pixels} pixels must be smaller than the images ({H}x{W}); use a smaller shift.")
    down, right = (uniform(images, generator, -pixels, pixels + 1).floor().long() for _ in range(2))
    image, row, column = (torch.arange(count, device=images.device) for count in (N, H, W))
    rows, columns = _reflected(row[:, None] + down, H), _reflected(column + right, W)
    chosen = (image[:, None, None] * H + rows) * W + columns
    flat = images.permute(0, 2, 3, 1).reshape(N * H * W, C)
    shifted = flat.index_select(0, chosen.flatten()).view(N, H, W, C).permute(0, 3, 1, 2)
    return Moved(shifted, lambda x, y: (x + right, y + down), (H, W), "reflect")


def random_resized_crop(
    images: Tensor,
    generator: Generator,
    *,
    size: int,
    scale: tuple[float, float] = (0.35, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Moved:
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
    whole_pixels = images.device.type == "cpu"
    if whole_pixels:
        left, width = _whole(left, width, side=W)
        top, height = _whole(top, height, side=H)

    def source(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return left + width * (x / size), top + height * (y / size)

    if whole_pixels:
        crops = _cut_and_resized(images, torch.stack((top, left, height, width)), size)
    else:
        crops = sampled(images, *source(*pixel_centres((size, size), images.device)))
    return Moved(crops, source, (H, W))


def affine(
    images: Tensor,
    generator: Generator,
    *,
    degrees: float = 0.0,
    translate: float = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
) -> Moved:
    """Rotate by up to `degrees`, move by up to `translate` (a fraction of the side), zoom by up to 1 + `scale` in or
    out, slant by up to `shear` degrees; each drawn uniformly (zoom: log-uniformly), bilinear, borders reflected.
    """
    _, _, H, W = images.shape
    angle, slant = (uniform(images, generator, -math.radians(d), math.radians(d)) for d in (degrees, shear))
    x0, y0 = (uniform(images, generator, -translate, translate) * side for side in (W, H))
    zoom = uniform(images, generator, -math.log1p(scale), math.log1p(scale)).exp()
    cos, sin, slope = angle.cos(), angle.sin(), slant.tan()

    def source(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = (x - W / 2) * zoom, (y - H / 2) * zoom
        x = x + slope * y
        return cos * x - sin * y + (x0 + W / 2), sin * x + cos * y + (y0 + H / 2)

    return Moved(sampled(images, *source(*pixel_centres((H, W), images.device))), source, (H, W))


def elastic(images: Tensor, generator: Generator, *, strength: float) -> Moved:
    """Bend each image: a 3 x 3 grid is displaced at random, what lies between by bicubic interpolation.

    Ronneberger et al. 2015, arXiv:1505.04597, section 3.1: normally distributed displacements, of 10 pixels in images
    of 512, a `strength` of 0.02 of the side. Bilinear, borders reflected.
    """
    N, _, H, W = images.shape
    draws = torch.randn(N, 2, ELASTIC_GRID, ELASTIC_GRID, generator=generator, device=generator.device)
    sides = strength * torch.tensor((W, H), device=images.device)
    coarse = draws.to(images.device) * sides[:, None, None]
    bend = F.interpolate(coarse, (H, W), mode="bicubic", align_corners=True)
    x, y = pixel_centres((H, W), images.device)
    bent = sampled(images, x + bend[:, 0], y + bend[:, 1])
    return Moved(bent, lambda x, y: (x.expand(N, -1, -1), y.expand(N, -1, -1)), (H, W), bend=bend)


def random_window(images: Tensor, generator: Generator, *, size: int) -> Moved:
    """Return a random part of each image as it is: (N, C, H, W) -> (N, C, size, size), whole pixels.

    Raises:
        ShapeError: the images are smaller than `size`.
    """
    N, C, H, W = images.shape
    if size > min(H, W):
        raise ShapeError(f"A window of `size` (={size}) must not be larger than the stored images ({H}x{W}).")
    top, left = ((uniform(images, generator) * (side - size + 1)).floor().clamp(max=side - size) for side in (H, W))
    whole = torch.empty(N, C, size, size, dtype=images.dtype, device=images.device)
    whole = whole.contiguous(memory_format=torch.channels_last)
    for index, (row, column) in enumerate(torch.stack((top, left)).flatten(1).int().T.tolist()):
        whole[index] = images[index, :, row : row + size, column : column + size]
    return Moved(whole, lambda x, y: (x + left, y + top), (H, W))


def centre_crop(images: Tensor, *, size: int) -> Moved:
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
    middle = images[:, :, top : top + size, left : left + size]
    return Moved(middle, lambda x, y: (x + left, y + top), (H, W))


def _reflected(position: Tensor, size: int) -> Tensor:
    """Mirror positions in (-size, 2 size - 1) into [0, size) without repeating the border."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


def _mirrored(images: Tensor, chosen: Tensor) -> Moved:
    N, C, H, W = images.shape
    images = images.contiguous(memory_format=torch.channels_last)
    both = torch.cat((images, images.flip(3))).permute(0, 2, 3, 1).reshape(2 * N, H * W * C)
    # whole rows by index: four times as fast as a choice per pixel
    rows = both.index_select(0, torch.arange(N, device=images.device) + N * chosen.flatten())
    mirrored = rows.view(N, H, W, C).permute(0, 3, 1, 2)
    return Moved(mirrored, lambda x, y: (torch.where(chosen, W - x, x), y), (H, W))


def _whole(start: Tensor, length: Tensor, *, side: int) -> tuple[Tensor, Tensor]:
    """Round the ends of an interval, which keeps one pixel of `side` at least; return its new start and length."""
    first = start.round().clamp(max=side - 1)
    return first, ((start + length).round() - first).clamp(min=1)


def _cut_and_resized(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Return the parts with (top, left, height, width) `boxes` (4, N, ...), whole numbers, at `size` x `size`.

    One image after the other, twice as fast on a CPU as sampling all of them at positions of their own.
    """
    result = torch.empty(len(images), images.shape[1], size, size, dtype=images.dtype)
    result = result.contiguous(memory_format=torch.channels_last)
    for index, (top, left, height, width) in enumerate(boxes.flatten(1).int().T.tolist()):
        part = images[index : index + 1, :, top : top + height, left : left + width]
        result[index] = F.interpolate(part, size, mode="bilinear", align_corners=False)[0]
    return result

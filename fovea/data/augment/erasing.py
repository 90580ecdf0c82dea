"""Augmentations that hide a part of each image of a batch; images as in `recipes`.

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale.
"""

import math

import torch
from torch import Generator, Tensor

from fovea.data.augment.batches import pixel_centres, typed, uniform


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


def _filled(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Return the images with the mean of each where a pixel's centre lies in its rectangle."""
    x, y = pixel_centres((images.shape[2], images.shape[3]), images.device)
    inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    mean = typed(images.mean((2, 3), keepdim=True, dtype=torch.float32), images)
    return torch.where(inside[:, None], mean, images).contiguous(memory_format=torch.channels_last)

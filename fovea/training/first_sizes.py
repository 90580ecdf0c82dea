"""Smaller images at first: a training begins on few pixels, whose steps are cheap, and ends at the network's own size.

Progressive resizing (Howard 2018, fast.ai's entry to DAWNBench; Tan and Le 2021, arXiv:2104.00298, section 4).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fovea.errors import UsageError, first_line

if TYPE_CHECKING:
    from torch import Tensor

    from fovea.training.arithmetic import Arithmetic


WITHOUT = "`--set first_sizes=` leaves it out"


class Phase(NamedTuple):
    """Part of a training."""

    pixels: int
    """Height and width of the images; 0 for the network's own."""
    until: float
    """The share of the training at which it ends."""


def phases(specs: Sequence[str]) -> tuple[Phase, ...]:
    """Return the parts of a training on smaller images that `specs` name, each as `24 0.6`: 24 pixels up to 0.6 of it.

    Raises:
        UsageError: one is not two numbers of that kind, or they do not follow each other.
    """
    found: list[Phase] = []
    for spec in specs:
        pixels, _, until = spec.partition(" ")
        try:
            found.append(Phase(int(pixels), float(until)))
        except ValueError:
            raise UsageError(
                f"`first_sizes` (={spec}) must be pixels and a share of the training, as `24 0.6`."
            ) from None
        before = found[-2].until if len(found) > 1 else 0.0
        if found[-1].pixels < 1 or not before < found[-1].until <= 1:
            raise UsageError(
                f"`first_sizes` (={spec}): pixels must be 1 or more, and the share above {before:g} and up to 1."
            )
    return tuple(found)


def required(specs: Sequence[str], arithmetic: "Arithmetic", *, lies_on_image: bool) -> tuple[Phase, ...]:
    """Return the parts of the training of the network that `arithmetic` counts; a size not below its own is its own.

    Raises:
        UsageError: it takes no images of such a size, or its labels lie on the images.
    """
    parts, shape = phases(specs), arithmetic.shape
    if parts and (len(shape) != 3 or lies_on_image):
        raise UsageError(f"`first_sizes` is for images whose labels do not lie on them; {WITHOUT}.")
    parts = tuple(part if part.pixels < min(shape[1:]) else Phase(0, part.until) for part in parts)
    for pixels, _ in parts:
        try:
            arithmetic.of_step(1, pixels=pixels)
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"`first_sizes`: the network takes no images of {pixels} pixels ({first_line(error)}); {WITHOUT}."
            ) from error
    return parts


def pixels_at(parts: Sequence[Phase], progress: float) -> int:
    """Return the size of the images at that share of the training; 0 for the network's own."""
    return next((part.pixels for part in parts if progress < part.until), 0)


def resized(images: "Tensor", pixels: int) -> "Tensor":
    """Return images (N, C, H, W) float32 at `pixels` height and width, bilinear and antialiased; as they are for 0."""
    if not pixels or images.shape[2:] == (pixels, pixels):
        return images
    import torch
    from torch.nn import functional as F

    smaller = F.interpolate(images, (pixels, pixels), mode="bilinear", antialias=True)
    return smaller.contiguous(memory_format=torch.channels_last)

"""The views of an image over which a network's logits are averaged: crops, mirror images and scales.

Ten crops: Krizhevsky et al. 2012, doi:10.1145/3065386, section 4.1: corners and centre of 224 pixels in 256, and their
mirror images. Scales: Simonyan and Zisserman 2014, arXiv:1409.1556, section 4.2.

Departures: logits are averaged, not probabilities, so that one temperature calibrates them as it does a single view.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fovea.errors import UsageError
from fovea.preprocess import Preprocess

if TYPE_CHECKING:
    from torch import Tensor

CROPS = (1, 5, 10)
SHARE = 224 / 256
"""Share of the image's side that a corner keeps, where the preprocessing has no share of its own."""
SMALLEST_SCALE, LARGEST_SCALE = 0.25, 4.0


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Which views of each image count, all equally.

    Raises: UsageError for another number of crops than `CROPS`, or a scale out of range.
    """

    crops: int = 1
    """1: the centre; 5: the four corners too; 10: the mirror images of these five too."""
    flip: bool = False
    """Whether the mirror image of every view counts too, as it always does with ten crops."""
    scales: tuple[float, ...] = (1.0,)
    """Side of the image before it is cropped, relative to its usual side; what then lacks repeats the border."""

    def __post_init__(self) -> None:
        if self.crops not in CROPS:
            raise UsageError(f"`crops` (={self.crops}) must be one of {', '.join(map(str, CROPS))}.")
        if not self.scales or not all(SMALLEST_SCALE <= scale <= LARGEST_SCALE for scale in self.scales):
            listed = ", ".join(f"{scale:g}" for scale in self.scales)
            bounds = f"from {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}"
            raise UsageError(f"`scales` (={listed}) must be one or more numbers {bounds}, as 0.9,1,1.1.")

    @property
    def places(self) -> int:
        """Crops of an image before any is mirrored."""
        return min(self.crops, 5)

    @property
    def mirrored(self) -> bool:
        """Whether the mirror image of each crop counts."""
        return self.flip or self.crops == 10

    @property
    def views(self) -> int:
        """How often the network sees each image."""
        return self.places * (1 + self.mirrored) * len(self.scales)

    @property
    def text(self) -> str:
        """What to say beside a figure; empty if each image is seen once and as it is."""
        if self == PLAIN:
            return ""
        average = f"logits averaged over {self.views} views: " if self.views > 1 else ""
        shown = "each image" if self.places == 1 else "corners and centre of each image"
        mirror = (" and its mirror image" if self.places == 1 else " and their mirror images") if self.mirrored else ""
        listed = ", ".join(f"{scale:g}" for scale in self.scales)
        scales = "" if self.scales == (1.0,) else f" at scale{'s' if len(self.scales) > 1 else ''} {listed}"
        return average + shown + mirror + scales

    def geometry(self, preprocess: Preprocess) -> Preprocess:
        """Return how to decode images so that all views can be cut from them."""
        if self.places == 1 and self.scales == (1.0,):
            return preprocess
        share = SHARE if self.places > 1 and preprocess.crop == 1 else preprocess.crop
        H, W = (round(side / share * max(self.scales)) for side in preprocess.size)
        return replace(preprocess, size=(H, W), crop=1.0)

    def cut(self, images: "Tensor", size: tuple[int, int]) -> "Iterator[Tensor]":
        """Yield the views (N, C, H, W) with (H, W) = `size` of pixels 0..255 (N, C, h, w), decoded as by `geometry`.

        Float32 where they are resized or padded, else of the type of `images`.
        """
        for scale in self.scales:
            whole = _padded(_resized(images, scale / max(self.scales)), size)
            for view in _crops(whole, size)[: self.places]:
                yield view
                if self.mirrored:
                    yield view.flip(3)


PLAIN = Protocol()
"""Each image once, as it is."""


def _resized(images: "Tensor", factor: float) -> "Tensor":
    """Return the images with both sides multiplied, bilinear and antialiased."""
    if factor == 1:
        return images
    from torch.nn import functional as F

    sides = [round(side * factor) for side in images.shape[2:]]
    return F.interpolate(images.float(), sides, mode="bilinear", antialias=True)


def _padded(images: "Tensor", size: tuple[int, int]) -> "Tensor":
    """Return the images enlarged to at least `size` by repeating their border."""
    missing_h, missing_w = (max(0, side - have) for side, have in zip(size, images.shape[2:], strict=True))
    if not missing_h and not missing_w:
        return images
    from torch.nn import functional as F

    top, left = missing_h // 2, missing_w // 2
    return F.pad(images.float(), (left, missing_w - left, top, missing_h - top), mode="replicate")


def _crops(images: "Tensor", size: tuple[int, int]) -> "list[Tensor]":
    """Return the centre and the four corners of images (N, C, h, w), each (N, C, H, W) with (H, W) = `size`."""
    H, W = size
    bottom, right = images.shape[2] - H, images.shape[3] - W
    corners = [(bottom // 2, right // 2), (0, 0), (0, right), (bottom, 0), (bottom, right)]
    return [images[:, :, top : top + H, left : left + W] for top, left in corners]

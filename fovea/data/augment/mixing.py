"""Mixing the images of a batch two by two, with their labels: mixup and cutmix.

One share and one permutation are drawn per batch, as in the authors' code. The share is looked at on the host.

Images are (N, C, H, W), uint8 0..255 or float32 on the same scale.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from fovea.data.augment.batches import typed
from fovea.data.augment.recipes import MIXES, parsed


class MixedLabels(NamedTuple):
    """The labels of images that are two in one."""

    own: Tensor
    """(N,) labels of the images that have `share`."""
    other: Tensor
    """(N,) labels of the images mixed in, which have the rest."""
    share: float
    """Share of the first, 0..1."""

    @property
    def larger(self) -> Tensor:
        """(N,) labels of the larger share."""
        return self.own if self.share >= 0.5 else self.other


Labels = Tensor | MixedLabels
Mixed = tuple[Tensor, MixedLabels]
Mixing = Callable[[Tensor, Tensor, Generator], Mixed]
"""Images (N, C, H, W), uint8 0..255 or float32, and labels (N,) -> the same number of mixed ones."""


def mixup(images: Tensor, labels: Tensor, generator: Generator, *, alpha: float) -> Mixed:
    """Return s x + (1 - s) x' for each image x and another x', with s drawn from Beta(`alpha`, `alpha`).

    Zhang et al. 2017, arXiv:1710.09412, equation (1) and figure 1a. With `alpha` 0 the images stay.
    """
    share, order = _share(generator, alpha), _order(images, generator)
    return blended(images, images[order], share=share), MixedLabels(labels, labels[order], share)


def cutmix(images: Tensor, labels: Tensor, generator: Generator, *, alpha: float) -> Mixed:
    """Return each image with a rectangle of another; the other's share is the area of the rectangle.

    Yun et al. 2019, arXiv:1905.04899, section 3.1 and algorithm A1: its sides are sqrt(1 - s) of the image's, s drawn
    from Beta(`alpha`, `alpha`), around a random pixel and cut at the border. With `alpha` 0 the images stay.
    """
    share, order = _share(generator, alpha), _order(images, generator)
    H, W = images.shape[-2:]
    centre = torch.rand(2, generator=generator, device=generator.device).tolist()
    rows, columns = (
        _interval(int(place * side), side, fraction=math.sqrt(1 - share))
        for place, side in zip(centre, (H, W), strict=True)
    )
    mixed = pasted(images, images[order], rows=rows, columns=columns)
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, MixedLabels(labels, labels[order], 1 - area / (H * W))


def compose_mixing(specs: Sequence[str], *, without: Collection[str] = ()) -> Mixing | None:
    """Return the mixing among the specs of a recipe (`mixup ALPHA`, `cutmix ALPHA`); of several a random one per batch.

    Names in `without` are left out.

    Raises:
        UsageError: as `fovea.data.augment.recipes.compose`.
    """
    own = [spec for spec in specs if spec.split()[:1] and spec.split()[0] in {*MIXES} - {*without}]
    mixes = [(_FUNCTIONS[name], numbers) for name, numbers in map(parsed, own)]
    if not mixes:
        return None

    def mix(images: Tensor, labels: Tensor, generator: Generator) -> Mixed:
        drawn = torch.randint(len(mixes), (), generator=generator, device=generator.device)
        function, numbers = mixes[int(drawn)]
        return function(images, labels, generator, **numbers)

    return mix


def blended(images: Tensor, others: Tensor, *, share: float) -> Tensor:
    """Return `share` of `images` and the rest of `others`, pixel by pixel."""
    return typed(others.float().lerp(images.float(), share), images)


def pasted(images: Tensor, others: Tensor, *, rows: slice, columns: slice) -> Tensor:
    """Return a copy of `images` with a rectangle of `others` at its place."""
    mixed = images.clone(memory_format=torch.channels_last if images.ndim == 4 else torch.preserve_format)
    mixed[..., rows, columns] = others[..., rows, columns]
    return mixed


_FUNCTIONS: Mapping[str, Callable[..., Mixed]] = MappingProxyType({"mixup": mixup, "cutmix": cutmix})


def _share(generator: Generator, alpha: float) -> float:
    """Draw from Beta(`alpha`, `alpha`), by the inverse of its distribution function; 1 where `alpha` is 0."""
    from scipy.special import betaincinv  # half a second that predictions do without

    drawn = torch.rand((), generator=generator, device=generator.device).item()
    alpha_in_range = max(alpha, 1e-300)  # below that the inverse is not a number; the shares are 0 or 1 long before
    return float(betaincinv(alpha_in_range, alpha_in_range, drawn)) if alpha else 1.0


def _order(images: Tensor, generator: Generator) -> Tensor:
    return torch.randperm(len(images), generator=generator, device=generator.device).to(images.device)


def _interval(centre: int, size: int, *, fraction: float) -> slice:
    half = int(size * fraction / 2)
    return slice(max(centre - half, 0), min(centre + half, size))

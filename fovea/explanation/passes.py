"""What methods share that change an input and look at the answer: its changed copies, in batches, and what fills holes.

Inputs are (N, C, H, W) float, normalised: 0 is the mean of the training images, or what stands for it.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.registry import Progress
from fovea.explanation.objective import Objective

Fill = str | Sequence[float] | Tensor
"""What takes the place of hidden pixels: a name of `FILLS`, one normalised value per channel, or an image."""

BLUR = 0.05
"""Deviation of the Gaussian that hides what an image shows, as a share of its shorter side: 11 pixels of 224."""


class Images:
    """The images of a batch one after the other, and how many passes of all are done."""

    def __init__(self, x: Tensor, objective: Objective, *, passes: int, progress: Progress | None) -> None:
        self.x, self.objective, self.progress = x, objective, progress
        self.done, self.total = 0, len(x) * passes

    def __iter__(self) -> Iterator[tuple[Tensor, Objective]]:
        """Yield each image, (1, C, H, W), with its objective."""
        for index in range(len(self.x)):
            yield self.x[index : index + 1], self.objective.of(index)

    def passed(self, count: int) -> None:
        """Count so many passes, and say so."""
        self.done += count
        if self.progress:
            self.progress(self.done, self.total)


@torch.no_grad()
def evidence(model: nn.Module, inputs: Tensor, objective: Objective) -> Tensor:
    """Return the objective of inputs (N, C, H, W), or of one broadcast answer: (N,) float32, or float64 if theirs is.

    Outputs of fewer bits are widened first: sums over many of them must not round.
    """
    return objective(wide(model(inputs)))


def wide(values: Tensor) -> Tensor:
    """Return values of any shape as float32, or as float64 where they are."""
    return values if values.dtype == torch.float64 else values.float()


def laid_out_as(inputs: Tensor, x: Tensor) -> Tensor:
    """Return `inputs` in the type, and the memory format, of `x`, both (N, C, H, W) float."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return inputs.to(x.dtype).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def generator(seed: int) -> torch.Generator:
    """Return a generator of its own, on the CPU: what it draws is the same on every device."""
    return torch.Generator().manual_seed(seed)


def blurred(x: Tensor, deviation: float) -> Tensor:
    """Return `x` (N, C, H, W) float under a Gaussian of this `deviation` in pixels, its border repeated."""
    reach = max(1, round(3 * deviation))
    steps = torch.arange(-reach, reach + 1, device=x.device, dtype=wide(x).dtype)
    kernel = torch.exp(-(steps**2) / (2 * deviation**2)) / torch.exp(-(steps**2) / (2 * deviation**2)).sum()
    y = wide(x).flatten(0, 1)[:, None]  # one channel at a time
    y = nn.functional.conv2d(nn.functional.pad(y, (0, 0, reach, reach), mode="replicate"), kernel[:, None][None, None])
    y = nn.functional.conv2d(nn.functional.pad(y, (reach, reach, 0, 0), mode="replicate"), kernel[None][None, None])
    return y[:, 0].reshape(x.shape).to(x.dtype)


def _places(x: Tensor) -> tuple[int, ...]:
    """Return the axes behind batch and channels."""
    return tuple(range(2, x.ndim))


def _noise(x: Tensor, seed: int) -> Tensor:
    drawn = torch.randn(x.shape[1:], generator=generator(seed)).to(x)
    places = _places(x)
    return wide(x).mean(places, keepdim=True).to(x) + drawn * wide(x).std(places, keepdim=True).to(x)


FILLS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "mean": lambda x, _: torch.zeros_like(x),
    "image": lambda x, _: wide(x).mean(_places(x), keepdim=True).to(x).expand_as(x),
    "black": lambda x, _: x.amin(_places(x), keepdim=True).expand_as(x),
    "blur": lambda x, _: blurred(x, BLUR * min(x.shape[2:])),
    "noise": _noise,
}
"""Functions of an input (N, C, H, W) and a seed that give what takes the place of its pixels.

`mean`: 0, the mean of the training images. `image`: each image's own mean colour. `black`: the least value that each
channel takes in the image; what black is before normalisation no network tells, so give its colour where it matters.
`blur`: the image under a Gaussian. `noise`: normal, of the image's own mean and deviation, one draw for all images.
"""


def filled(x: Tensor, fill: Fill, *, seed: int = 0) -> Tensor:
    """Return what takes the place of hidden pixels of `x`: (N, C, H, W) in its type.

    Raises:
        UsageError: a name that is none of `FILLS`.
        ShapeError: not one value per channel, and no image of this size.
    """
    if isinstance(fill, str):
        if fill not in FILLS:
            raise UsageError(f"Unknown `fill` `{fill}`; known: {', '.join(FILLS)}, or one value per channel.")
        if fill == "blur" and x.ndim != 4:
            raise UsageError(f"`fill` (=blur) works only for images; use {', '.join(sorted(FILLS.keys() - {'blur'}))}.")
        return FILLS[fill](x, seed)
    colour = torch.as_tensor(fill).to(x)
    if colour.ndim == 1 and len(colour) == x.shape[1]:
        return colour.view(-1, *(1,) * (x.ndim - 2)).expand_as(x)
    if colour.ndim >= x.ndim - 1 and colour.shape[1 - x.ndim :] == x.shape[1:]:
        return colour.expand_as(x)
    raise ShapeError(
        f"`fill` is {tuple(colour.shape)}, which is neither a value for each of {x.shape[1]} channels nor an image."
    )

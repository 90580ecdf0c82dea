"""Images that maximise what a part of a network gives: a channel, a unit, a whole layer, or the evidence for an answer.

Erhan, Bengio, Courville and Vincent 2009, "Visualizing higher-layer features of a deep network"; Olah, Mordvintsev and
Schubert 2017, doi:10.23915/distill.00007. Deep dream (Mordvintsev, Olah and Tyka 2015, "Inceptionism") is `whole_layer`
from a photograph with octaves; class inversion (Simonyan, Vedaldi and Zisserman 2013, arXiv:1312.6034, equation 1) is
`answer` with `l2`.

Images are (N, H, W, C) uint8 where they are handed in and out, (N, C, H, W) float 0..1 inside.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fovea.errors import ShapeError, UsageError, first_line
from fovea.explanation.attribution.registry import Progress
from fovea.explanation.maximise.parametrisation import (
    NATURAL_COLOURS,
    Colours,
    Fourier,
    Parametrisation,
    Pixels,
    total_variation,
)
from fovea.explanation.objective import Objective
from fovea.explanation.outputs import LayerOutputs, matching
from fovea.explanation.passes import blurred
from fovea.preprocess import Pixels as Stored

SMALLEST = 8
"""Pixels along the shorter side of an octave, at least."""


class Goal(NamedTuple):
    """What is maximised: a number per image, made of the output of a layer."""

    layer: str
    """Path of a module; empty for the outputs of the network."""
    value: Callable[[Tensor], Tensor]
    """Takes the layer's output, (N, K, ...) float, and returns (N,)."""


def channel(layer: str, channels: int | Sequence[int]) -> Goal:
    """Return the mean of a channel over its map; of several channels, one for each image in turn."""
    return Goal(layer, lambda output: _channels(output, channels, layer).flatten(1).mean(1))


def unit(layer: str, channels: int | Sequence[int], place: tuple[int, int] | None = None) -> Goal:
    """Return one place (row, column) of a channel, by default the one in the middle of the map."""

    def value(output: Tensor) -> Tensor:
        if output.ndim != 4:
            raise ShapeError(f"The output of `{layer}` is {tuple(output.shape)}, which has no positions (row, column).")
        h, w = output.shape[2:]
        row, column = (h // 2, w // 2) if place is None else place
        if not (0 <= row < h and 0 <= column < w):
            raise UsageError(f"`place` (={row},{column}) is outside the map of `{layer}`, which is {h} x {w}.")
        return _channels(output, channels, layer)[:, row, column]

    return Goal(layer, value)


def whole_layer(layer: str) -> Goal:
    """Return the mean square of all that a layer gives: what it already sees in an image is made more of."""
    return Goal(layer, lambda output: output.float().square().flatten(1).mean(1))


def answer(objective: Objective) -> Goal:
    """Return the evidence for an answer, or the difference of two."""
    return Goal("", objective)


def _channels(output: Tensor, channels: int | Sequence[int], layer: str) -> Tensor:
    """Return the map (N, ...) of one channel per image."""
    wanted = [channels] if isinstance(channels, int) else list(channels)
    N, K = output.shape[:2]
    if not all(0 <= index < K for index in wanted):
        raise UsageError(f"`channel` (={max(wanted, key=abs)}) must be from 0 to {K - 1}, the channels of `{layer}`.")
    if len(wanted) not in (1, N):
        raise UsageError(f"{len(wanted)} channels for {N} image(s); give one for all, or one for each.")
    return output[torch.arange(N), wanted * N if len(wanted) == 1 else wanted]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How the image is searched for; every choice stands by itself."""

    steps: int = 256
    """Of Adam, in each octave."""
    lr: float = 0.05
    """Of Adam: about how far a step moves each parameter."""
    parametrisation: Literal["pixels", "fourier"] = "fourier"
    decay: float = 1.0
    """Of the spectrum of `fourier`: amplitudes fall as 1 / frequency^decay."""
    colours: Literal["natural", "independent"] | Tensor = "natural"
    """How channels vary together: as in photographs (of three channels), not at all, or a (C, C) covariance."""
    noise: float = 0.1
    """Standard deviation of the parameters at the start, where that is no image. As much is added in each step to an
    image on which the goal has no gradient at all, as behind a ReLU that is off everywhere."""
    octaves: int = 1
    """Sizes, from small to the whole; what is found at one is enlarged into the next."""
    octave_scale: float = 1.4
    """Ratio of two sizes."""
    jitter: int = 0
    """Pixels by which each step shifts the image at most, along either side; what leaves returns opposite."""
    blur: float = 0.0
    """Pixels of the Gaussian that the image goes through every `blur_every` steps."""
    blur_every: int = 4
    total_variation: float = 0.0
    """Weight of `total_variation` against the goal."""
    l2: float = 0.0
    """Weight of the mean square of the network's input against the goal."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "octaves", "blur_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` (={getattr(self, name)}) must be at least 1.")
        for name in ("noise", "jitter", "blur", "total_variation", "l2"):
            if getattr(self, name) < 0:
                raise UsageError(f"`{name}` (={getattr(self, name)}) must not be negative.")
        if not (self.lr > 0 and self.octave_scale > 1):
            raise UsageError(f"`lr` (={self.lr}) must be above 0, `octave_scale` (={self.octave_scale}) above 1.")
        if self.parametrisation not in ("pixels", "fourier"):
            raise UsageError(f"`parametrisation` (={self.parametrisation}) must be `pixels` or `fourier`.")


DEEP_DREAM = Search(steps=20, lr=0.01, parametrisation="pixels", colours="independent", octaves=4, jitter=16)
"""From a photograph, of `whole_layer`."""
CLASS_INVERSION = Search(steps=200, lr=0.01, parametrisation="pixels", colours="independent", noise=0.01, l2=1.0)
"""Of `answer`, from noise about the mean image: the paper's, which depends only on the size of images."""


@dataclass(frozen=True, kw_only=True)
class Maximised:
    """The images that were found."""

    pixels: Stored
    """(N, H, W, C) uint8."""
    values: Tensor
    """(steps, N) float32: the goal before each step, of all octaves, of the image as it was shifted."""
    last: Tensor
    """(N,) float32: the goal for `pixels`."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """The pixels 0..1 that a network's normalised input stands for."""

    mean: Tensor
    std: Tensor
    """(C,) float, as `Preprocess` has them."""

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], model: nn.Module) -> "Range":
        """Return that of a mean and deviation per channel, on the device of the network."""
        like = matching(model, torch.zeros(()))
        kind = torch.float64 if like.dtype == torch.float64 else torch.float32
        return cls(mean=torch.tensor(mean, device=like.device, dtype=kind), std=torch.tensor(std).to(like.device, kind))

    def normalised(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W), 0..1, as they enter the network."""
        return (images - self.mean.view(1, -1, 1, 1)) / self.std.view(1, -1, 1, 1)

    def images(self, pixels: Stored) -> Tensor:
        """Return stored (N, H, W, C) uint8 as (N, C, H, W) float 0..1."""
        return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).to(self.mean) / 255

    def pixels(self, images: Tensor) -> Stored:
        """Return images (N, C, H, W), 0..1, as stored (N, H, W, C) uint8."""
        levels = (images.detach() * 255).round().clamp(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def maximise(
    model: nn.Module,
    goal: Goal,
    start: Stored | tuple[int, ...],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    search: Search | None = None,
    progress: Progress | None = None,
) -> Maximised:
    """Return images that maximise `goal`, from the images `start` (N, H, W, C) uint8 or from noise of that shape.

    `mean` and `std`, per channel, are those of the network's preprocessing: all pixels stay within 0..255. The images
    of a batch are searched for together and do not depend on each other.

    Raises:
        UsageError: a layer, channel or place that is not there; a `start` of other channels.
        ShapeError: the network does not take images of this size, or of that of an octave.
    """
    search = search or Search()
    task = _Task(model, goal, Range.of(mean, std, model), search, progress or (lambda _, __: None))
    given = start if isinstance(start, np.ndarray) else np.zeros(start, np.uint8)
    if given.ndim != 4 or 0 in given.shape or given.shape[3] != len(mean):
        raise UsageError(f"`start` has shape {tuple(given.shape)}; it must be (N, H, W, {len(mean)}).")
    images, values = task.run(task.range.images(start) if start is given else None, given.shape)
    pixels = task.range.pixels(images)
    with torch.no_grad():
        last = task.value(task.range.images(pixels)).float().cpu()
    return Maximised(pixels=pixels, values=torch.stack(values), last=last)


class _Task:
    """One search: the network, the goal, and the state of chance."""

    def __init__(self, model: nn.Module, goal: Goal, range_: Range, search: Search, progress: Progress) -> None:
        self.model, self.goal, self.range, self.search, self.progress = model, goal, range_, search, progress
        # drawn on the processor, so that every device gets the same
        self.chance = torch.Generator().manual_seed(search.seed)
        self.outputs: LayerOutputs | None = None

    def run(self, given: Tensor | None, shape: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        """Return the images (N, C, H, W) and the goal at every step, from the images `given` or from noise."""
        start = self._noise(shape) if given is None else given
        values: list[Tensor] = []
        found: Tensor | None = None
        base: Tensor | None = None
        for size in octave_sizes((shape[1], shape[2]), self.search):
            smaller, base = base, _resized(start, size)
            images = base
            if found is not None and smaller is not None:
                # what an octave has changed is enlarged, not the image: so its details stay
                images = (base + _resized(found - smaller, size)).clamp(0, 1)
            found = self._climbed(images, values)
        return (start if found is None else found), values

    def value(self, images: Tensor) -> Tensor:
        """Return the goal (N,) for images (N, C, H, W), 0..1."""
        x = self.range.normalised(images)
        try:
            self.outputs = self.outputs or LayerOutputs(self.model, [self.goal.layer], x)
            return self.goal.value(self.outputs(x)[self.goal.layer])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            H, W = x.shape[2:]
            raise ShapeError(
                f"The network does not accept images of {H} x {W} ({first_line(error)}); with `octaves` "
                f"(={self.search.octaves}) it must accept images smaller than the full size."
            ) from error

    def _climbed(self, images: Tensor, values: list[Tensor]) -> Tensor:
        """Return the images after the steps of one octave, and add the goal before each of them to `values`."""
        way = self._parametrisation(images)
        parameters = way.parameters(images).detach().requires_grad_()
        optimiser = torch.optim.Adam([parameters], lr=self.search.lr)
        for step in range(self.search.steps):
            with torch.enable_grad():
                image = way.images(parameters)
                value = self.value(self._shifted(image))
                (parameters.grad,) = torch.autograd.grad(-(value - self._cost(image)).sum(), parameters)
            flat = parameters.grad.flatten(1).abs().amax(1) == 0
            optimiser.step()
            self._moved_on(parameters, flat)
            values.append(value.detach().float().cpu())
            self._kept_valid(way, parameters, blur=self.search.blur > 0 and step % self.search.blur_every == 0)
            self.progress(len(values), self.search.steps * self.search.octaves)
        with torch.no_grad():
            return way.images(parameters).clamp(0, 1)

    def _cost(self, image: Tensor) -> Tensor:
        """Return what is subtracted from the goal, (N,)."""
        cost = image.new_zeros(len(image))
        if self.search.total_variation:
            cost = cost + self.search.total_variation * total_variation(image)
        if self.search.l2:
            cost = cost + self.search.l2 * self.range.normalised(image).square().flatten(1).mean(1)
        return cost

    @torch.no_grad()
    def _kept_valid(self, way: Parametrisation, parameters: Tensor, *, blur: bool) -> None:
        if not blur and isinstance(way, Fourier):
            return  # its images are valid by themselves
        images = way.images(parameters).clamp(0, 1)
        parameters.copy_(way.parameters(blurred(images, self.search.blur) if blur else images))

    @torch.no_grad()
    def _moved_on(self, parameters: Tensor, stuck: Tensor) -> None:
        """Add noise to the parameters (N, ...) of the images that are `stuck` (N,)."""
        if bool(stuck.any()):
            drawn = torch.randn(parameters.shape, generator=self.chance, dtype=torch.float64).to(parameters)
            parameters[stuck] += self.search.noise * drawn[stuck]

    def _shifted(self, image: Tensor) -> Tensor:
        most = self.search.jitter
        if not most:
            return image
        down, right = torch.randint(-most, most + 1, (2,), generator=self.chance).tolist()
        return image.roll((down, right), (2, 3))

    def _parametrisation(self, images: Tensor) -> Parametrisation:
        colours = colours_of(self.range.mean, self.search.colours)
        if self.search.parametrisation == "pixels":
            return Pixels(colours)
        return Fourier(colours, (images.shape[2], images.shape[3]), self.search.decay)

    def _noise(self, shape: tuple[int, ...]) -> Tensor:
        N, H, W, C = shape
        way = self._parametrisation(torch.empty(N, C, H, W, device="meta"))
        like = way.parameters(torch.zeros(1, C, H, W).to(self.range.mean))
        drawn = torch.randn(N, *like.shape[1:], generator=self.chance, dtype=torch.float64) * self.search.noise
        return way.images(drawn.to(like)).clamp(0, 1)


def colours_of(mean: Tensor, wanted: str | Tensor) -> Colours:
    """Return the colours about a mean (C,) 0..1 that `natural`, `independent` or a covariance (C, C) float stands for.

    Of other than three channels the natural ones are independent.
    """
    mean = mean.clamp(0.05, 0.95)  # an image about black or white could vary to one side only
    if isinstance(wanted, Tensor):
        return Colours.of(mean, wanted)
    if wanted not in ("natural", "independent"):
        raise UsageError(f"`colours` (={wanted}) must be `natural`, `independent` or a covariance.")
    return Colours.of(mean, NATURAL_COLOURS if wanted == "natural" and len(mean) == 3 else None)


def octave_sizes(size: tuple[int, int], search: Search) -> list[tuple[int, int]]:
    """Return the sizes (H, W) of the octaves, the whole last.

    Raises: UsageError if the first would be too small.
    """
    factors = [search.octave_scale**-index for index in reversed(range(search.octaves))]
    sizes = [(max(1, math.floor(size[0] * f + 0.5)), max(1, math.floor(size[1] * f + 0.5))) for f in factors]
    if search.octaves > 1 and min(sizes[0]) < SMALLEST:
        H, W = sizes[0]
        raise UsageError(
            f"`octaves` (={search.octaves}): the first would be {H} x {W}, and must be at least {SMALLEST} pixels."
        )
    return sizes


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[2:]) == size:
        return images
    return interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)

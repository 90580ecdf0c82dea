"""Style transfer: an image with the content of one and the style of another, as a network sees them.

Gatys, Ecker and Bethge 2016, "Image style transfer using convolutional neural networks", CVPR.

Departures, so that one set of weights holds for any network, layer and size of image: a Gram matrix is a mean over
places, where equation 3 has a sum; and each layer's loss is relative, over the squared norm of what it compares with,
where equations 1 and 4 have constants that fit VGG. Images are (H, W, C) uint8 outside, (N, C, H, W) float 0..1 inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.attribution.registry import Progress
from fovea.explanation.maximise.parametrisation import Fourier, Parametrisation, total_variation
from fovea.explanation.maximise.parametrisation import Pixels as ByPixel
from fovea.explanation.maximise.search import Range, colours_of
from fovea.explanation.outputs import LayerOutputs, matching
from fovea.explanation.target_layer import PASSED_OVER, Call, calls_of
from fovea.preprocess import Pixels

EPSILON = 1e-12
"""Least squared norm that a loss is relative to."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """How the image is searched for."""

    steps: int = 150
    """Evaluations of the losses."""
    content: float = 1.0
    """Weight of the content: how far a layer's map is from that of the content image, squared and relative."""
    style: float = 100.0
    """Weight of the style: how far Gram matrices are from those of the style image, squared and relative, a mean."""
    total_variation: float = 0.1
    """Weight of the differences between neighbouring pixels."""
    optimiser: Literal["lbfgs", "adam"] = "adam"
    lr: float = 0.05
    """Of Adam."""
    parametrisation: Literal["pixels", "fourier"] = "fourier"
    """What is optimised; `fourier`, with `adam`, suits networks other than VGG (Mordvintsev et al. 2018,
    doi:10.23915/distill.00012)."""

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.lr > 0:
            raise UsageError(f"`steps` (={self.steps}) must be at least 1, `lr` (={self.lr}) above 0.")
        for name in ("content", "style", "total_variation"):
            if getattr(self, name) < 0:
                raise UsageError(f"`{name}` (={getattr(self, name)}) must not be negative.")
        if self.optimiser not in ("lbfgs", "adam") or self.parametrisation not in ("pixels", "fourier"):
            raise UsageError(
                f"`optimiser` (={self.optimiser}) must be `lbfgs` or `adam`, `parametrisation` "
                f"(={self.parametrisation}) `pixels` or `fourier`."
            )


@dataclass(frozen=True, kw_only=True)
class Styled:
    """The image that was found."""

    pixels: Pixels
    """(H, W, C) uint8."""
    content: Tensor
    style: Tensor
    total_variation: Tensor
    """(steps,) float32: each loss at every step, without its weight."""
    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]


def gram(maps: Tensor) -> Tensor:
    """Return the (N, K, K) products of channels, mean over the places, of maps (N, K, h, w): equation 3 over h w."""
    places = maps.flatten(2)
    return places @ places.mT / places.shape[2]


def stage_layers(model: nn.Module, x: Tensor) -> tuple[str, ...]:
    """Return the layers that give the last activation of each stage for inputs `x` (N, C, H, W), from fine to coarse.

    A stage is all that gives maps of one size; pooling and dropout are followed back, as in `target_layer`.

    Raises: UsageError if no layer gives a map of more than one place.
    """
    calls = calls_of(model, matching(model, x[:1]).clone())
    runs = {call.path: call for call in calls}  # the last call of each
    # what pooling gives, also as the output of the module around it, is no activation; dropout may give what it got
    passed = [
        call.result for call in calls if isinstance(call.module, PASSED_OVER) and call.result is not call.given[0]
    ]
    last = dict[tuple[int, ...], Call]()
    for call in calls:
        behind = any(call.result is result for result in passed)
        if call.path and runs[call.path] is call and not behind and _is_activation(call):
            size = tuple(call.result.shape[2:])  # type: ignore[union-attr]
            before = last.get(size)
            # of nested modules that give the same map the outermost
            if before is None or before.result is not call.result or _outer(call, before):
                last[size] = call
    if not last:
        raise UsageError("No layer of this network has a feature map (N, C, h, w) with more than one position.")
    return tuple(call.path for _, call in sorted(last.items(), reverse=True))


def _is_activation(call: Call) -> bool:
    result = call.result
    spatial = result is not None and result.ndim == 4 and result.shape[2:].numel() > 1
    return spatial and not isinstance(call.module, PASSED_OVER)


def _outer(call: Call, other: Call) -> bool:
    return call.path.count(".") <= other.path.count(".")


def transfer_style(
    model: nn.Module,
    content: Pixels,
    style: Pixels,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    content_layers: Sequence[str] | None = None,
    style_layers: Sequence[str] | None = None,
    transfer: Transfer | None = None,
    progress: Progress | None = None,
) -> Styled:
    """Return the image `content` (H, W, C) uint8 in the style of another, (h, w, C) uint8, of any other size.

    By default the style is that of the last activation of each stage, the content that of the last stage but one.
    `mean` and `std`, per channel, are those of the network's preprocessing. The search starts from the content.

    Raises:
        UsageError: a layer that is not there or does not run.
        ShapeError: an image of other channels, or a layer that gives no map.
    """
    transfer, range_ = transfer or Transfer(), Range.of(mean, std, model)
    for name, image in (("content", content), ("style", style)):
        if image.ndim != 3 or image.shape[2] != len(mean):
            raise ShapeError(f"`{name}` has shape {tuple(image.shape)}; it must be (H, W, {len(mean)}).")
    start = range_.images(content[None])
    x = range_.normalised(start)
    stages = stage_layers(model, x) if content_layers is None or style_layers is None else ()
    layers = _Layers(
        tuple(content_layers if content_layers is not None else stages[-2:-1] or stages),
        tuple(style_layers if style_layers is not None else stages),
    )
    losses = _Losses(model, range_, layers, x, range_.normalised(range_.images(style[None])))
    return _searched(losses, start, transfer, progress or (lambda _, __: None))


@dataclass(frozen=True)
class _Layers:
    content: tuple[str, ...]
    style: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.content, *self.style)))


class _Losses:
    """What an image is compared with: maps of the content, Gram matrices of the style."""

    def __init__(self, model: nn.Module, range_: Range, layers: _Layers, content: Tensor, style: Tensor) -> None:
        self.layers, self.range = layers, range_
        self.outputs = LayerOutputs(model, layers.all, content)
        with torch.no_grad():
            self.maps = self._maps(content)
            self.grams = {layer: gram(maps) for layer, maps in self._maps(style).items() if layer in layers.style}

    def __call__(self, images: Tensor) -> Tensor:
        """Return (3,): content, style and total variation of images (1, C, H, W), 0..1."""
        maps, none = self._maps(self.range.normalised(images)), images.new_zeros(())
        content = [_relative(maps[layer], self.maps[layer]) for layer in self.layers.content]
        style = [_relative(gram(maps[layer]), self.grams[layer]) for layer in self.layers.style]
        means = [sum(part, none) / max(1, len(part)) for part in (content, style)]
        return torch.stack([*means, total_variation(images)[0]])

    def _maps(self, x: Tensor) -> dict[str, Tensor]:
        found = self.outputs(x)
        for layer, maps in found.items():
            if maps.ndim != 4:
                raise ShapeError(f"The output of `{layer}` is {tuple(maps.shape)}, not a feature map (N, C, h, w).")
        return {layer: maps.to(self.range.mean.dtype) for layer, maps in found.items()}


def _relative(found: Tensor, wanted: Tensor) -> Tensor:
    return (found - wanted).square().sum() / wanted.square().sum().clamp(min=EPSILON)


def _searched(losses: _Losses, start: Tensor, transfer: Transfer, progress: Progress) -> Styled:
    way = _parametrisation(losses.range, start, transfer)
    parameters = way.parameters(start).detach().requires_grad_()
    weights = torch.tensor([transfer.content, transfer.style, transfer.total_variation]).to(start)
    history: list[Tensor] = []

    def evaluated() -> float:
        with torch.enable_grad():
            parts = losses(way.images(parameters))
            loss = (weights * parts).sum()
            (parameters.grad,) = torch.autograd.grad(loss, parameters)
        history.append(parts.detach().float().cpu())
        progress(min(len(history), transfer.steps), transfer.steps)
        return float(loss.detach())

    optimiser = _optimiser(parameters, transfer)
    while len(history) < transfer.steps:
        optimiser.step(evaluated)
        with torch.no_grad():
            if isinstance(way, ByPixel):  # images of the other are valid by themselves
                parameters.copy_(way.parameters(way.images(parameters).clamp(0, 1)))
    pixels = losses.range.pixels(way.images(parameters))[0]
    content, style, variation = torch.stack(history[: transfer.steps]).unbind(1)
    layers = losses.layers
    return Styled(
        pixels=np.ascontiguousarray(pixels),
        content=content,
        style=style,
        total_variation=variation,
        content_layers=layers.content,
        style_layers=layers.style,
    )


def _optimiser(parameters: Tensor, transfer: Transfer) -> torch.optim.Optimizer:
    if transfer.optimiser == "adam":
        return torch.optim.Adam([parameters], lr=transfer.lr)
    # a few evaluations at a time: between them the pixels are brought back within their range
    return torch.optim.LBFGS(
        [parameters], max_iter=10, max_eval=10, history_size=20, line_search_fn="strong_wolfe", tolerance_change=0.0
    )


def _parametrisation(range_: Range, start: Tensor, transfer: Transfer) -> Parametrisation:
    if transfer.parametrisation == "pixels":
        return ByPixel(colours_of(range_.mean, "independent"))
    return Fourier(colours_of(range_.mean, "natural"), (start.shape[2], start.shape[3]))

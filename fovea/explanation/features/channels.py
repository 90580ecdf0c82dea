"""What the channels of a layer are: their kernels as images, their maps of an image, how they respond to a data set.

Inputs are (N, C, H, W) float, normalised; what comes out is float32 on the CPU.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError, unknown
from fovea.explanation.outputs import matching, outputs_in_batches
from fovea.explanation.target_layer import Call, calls_of


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The kernels of a layer as images."""

    layer: str
    weights: Tensor
    """(F, C, k, k) float32, in the scale of the weights: C channels of the input that each of F filters sees."""
    kind: Literal["colour", "signed", "templates"]
    """`colour`: the channels are red, green and blue of the image; `templates`: each filter weighs the whole of it."""

    @property
    def scaled(self) -> Tensor:
        """(F, C, k, k) float32 from -1 to 1: each filter over its own largest absolute weight."""
        largest = self.weights.abs().amax((1, 2, 3), keepdim=True)
        return self.weights / largest.clamp(min=torch.finfo(torch.float32).tiny)

    @property
    def pixels(self) -> Tensor:
        """(F, C, k, k) uint8: -1 is black, 0 the grey in the middle, 1 white; of three channels, in colour."""
        return (127.5 + 127.5 * self.scaled).round().to(torch.uint8)


def filters(model: nn.Module, x: Tensor, layer: str | None = None) -> Filters:
    """Return the kernels of a layer, by default the first that has any, of a network for inputs `x` (N, C, H, W).

    The rows of a dense layer take the shape of the map, or image, that was flattened before it.

    Raises:
        UsageError: the network has no such layer, or it has no kernels that are images.
    """
    calls = calls_of(model, matching(model, x[:1]).clone())  # a first layer may work in place
    weighing = [call for call in calls if isinstance(call.module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    if layer is not None and layer not in dict(model.named_modules()):
        raise unknown("layer", layer, [call.path for call in weighing])
    found = next((call for call in weighing if layer in (None, call.path)), None)
    if found is None:
        known = ", ".join(f"`{call.path}`" for call in weighing[:5])
        raise UsageError(f"`{layer or 'the network'}` has no kernels; layers with some: {known or 'none'}.")
    weights = _kernels(found, calls)
    # equal, not the same: a wrapper may move or copy its input
    whole = found.given[0].numel() == x[:1].numel() and torch.equal(
        found.given[0].flatten(), matching(model, x[:1]).flatten()
    )
    kind: Literal["colour", "signed", "templates"] = "signed"
    if whole and isinstance(found.module, nn.Linear):
        kind = "templates"
    elif whole and weights.shape[1] == 3:
        kind = "colour"
    return Filters(layer=found.path, weights=weights.detach().float().cpu().contiguous(), kind=kind)


def _kernels(found: Call, calls: list[Call]) -> Tensor:
    """Return the weights (F, C, k, k) of a layer that has run."""
    weight: Tensor = found.module.weight  # type: ignore[assignment]
    if isinstance(found.module, nn.ConvTranspose2d):
        # (G C, F / G, k, k): each group of inputs has outputs of its own
        return weight.reshape(found.module.groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    if isinstance(found.module, nn.Conv2d):
        return weight
    size = weight.shape[1]
    before = calls[: next(index for index, call in enumerate(calls) if call is found)]
    maps = [t for call in before for t in (*call.given, call.result) if t is not None and t.ndim == 4]
    # the latest map of as many values is what was flattened
    shapes = [tuple(tensor.shape[1:]) for tensor in maps if tensor[0].numel() == size]
    return weight.reshape(-1, *(shapes[-1] if shapes else (size, 1, 1)))


def feature_maps(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    """Return all channels of a layer for inputs `x` (N, C, H, W): (N, K, h, w) float32.

    Raises:
        UsageError: the network has no such layer, or it does not run.
        ShapeError: its output is no map.
    """
    ((maps,),) = outputs_in_batches(model, [x], [layer])
    return as_maps(maps, layer).float().cpu()


def as_maps(output: Tensor, layer: str) -> Tensor:
    """Return the output of a layer as a map (N, K, h, w), of its dtype; one of (N, K) has a single place."""
    if output.ndim == 2:
        return output[:, :, None, None]
    if output.ndim != 4:
        raise ShapeError(f"The output of `{layer}` is {tuple(output.shape)}, not a feature map (N, C, h, w).")
    return output


@dataclass(frozen=True, kw_only=True)
class Responses:
    """How the channels of a layer respond to images: over all places of all of them. All are (K,) float32."""

    layer: str
    images: int
    mean: Tensor
    deviation: Tensor
    largest: Tensor
    active: Tensor
    """The share of places where the output is above 0."""
    in_images: Tensor
    """The share of images with such a place: 0 for a channel that is dead on all of them."""


def responses(model: nn.Module, batches: Iterable[Tensor], layer: str) -> Responses:
    """Return what the channels of a layer give for batches of inputs (n, C, H, W), one batch in memory at a time.

    Raises:
        UsageError: no batch; the network has no such layer.
        ShapeError: its output is no map.
    """
    count = images = 0
    sums: Tensor | None = None
    largest = torch.empty(0)
    for (output,) in outputs_in_batches(model, batches, [layer]):
        maps = as_maps(output, layer).cpu().double()
        places = maps.transpose(0, 1).flatten(1)  # (K, n h w)
        above = maps.flatten(2) > 0
        counts = (above.sum((0, 2)), above.any(2).sum(0))
        found = torch.stack([places.sum(1), places.square().sum(1), *(part.double() for part in counts)])
        sums = found if sums is None else sums + found
        top = places.amax(1)
        largest = top if images == 0 else torch.maximum(largest, top)
        count, images = count + places.shape[1], images + len(maps)
    if sums is None:
        raise UsageError("Responses need at least one batch of images.")
    mean = sums[0] / count
    return Responses(
        layer=layer,
        images=images,
        mean=mean.float(),
        deviation=(sums[1] / count - mean.square()).clamp(min=0).sqrt().float(),
        largest=largest.float(),
        active=(sums[2] / count).float(),
        in_images=(sums[3] / images).float(),
    )

"""The images of a data set, and the places in them, that excite a channel most: Zeiler and Fergus 2013, Figure 2.

Inputs are (N, C, H, W) float, normalised; pixels are stored as (N, H, W, C) uint8. arXiv:1311.2901.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.features.channels import as_maps
from fovea.explanation.outputs import evaluating, outputs_in_batches
from fovea.measurement.effective import Rectangle, Unit, seen_rectangle
from fovea.measurement.network import measure_network
from fovea.measurement.result import Layer, Measurement
from fovea.preprocess import Pixels

COUNT = 9
OUTSIDE = 128
"""The grey of what lies beyond the border of the image."""

Number = TypeVar("Number", bound=np.generic)
Images = Pixels | Sequence[Pixels]
"""(N, H, W, C) uint8, or as many (H, W, C), which may be read one by one."""
Project = Callable[[nn.Module, Tensor, str, int], Tensor]
"""Takes the network, inputs (N, C, H, W), the layer and the channel, and returns (N, C, H, W): what of each input the
strongest place of the channel goes back to."""


@dataclass(frozen=True, kw_only=True)
class Strongest:
    """The images that excite each channel of a layer most, strongest first, and where in them: all (K, count).

    Each image counts once, with its strongest place.
    """

    layer: str
    values: Tensor
    """float32: the channel's output there."""
    images: Tensor
    """int64: the number of the image, in the order they came."""
    rows: Tensor
    columns: Tensor
    """int64: the place in the map."""


class Patch(NamedTuple):
    """What one unit sees of one image."""

    image: int
    value: float
    seen: Rectangle
    """Of the input, unclipped."""
    pixels: Pixels
    """(h, w, C) uint8, grey beyond the border of the image."""
    projection: NDArray[np.float32] | None = None
    """(h, w, C) float32, of the same rectangle, 0 beyond the border; where it was asked for."""


def strongest(model: nn.Module, batches: Iterable[Tensor], layer: str, *, count: int = COUNT) -> Strongest:
    """Return the `count` images that excite each channel of a layer most, of batches of inputs (n, C, H, W).

    One batch and `count` places per channel are in memory at a time.

    Raises:
        UsageError: no batch; the network has no such layer.
        ShapeError: its output is no map.
    """
    if count < 1:
        raise UsageError(f"`count` (={count}) must be at least 1.")
    best: Strongest | None = None
    seen = 0
    for (output,) in outputs_in_batches(model, batches, [layer]):
        found = _peaks(as_maps(output, layer).float().cpu(), layer, first=seen)
        seen += len(output)
        best = _top(found if best is None else _joined(best, found), count)
    if best is None:
        raise UsageError("The strongest images of a channel need at least one batch of images.")
    return best


def _peaks(maps: Tensor, layer: str, *, first: int) -> Strongest:
    """Return the strongest place of each channel in each of the maps (n, K, h, w), as (K, n)."""
    n, K, _, w = maps.shape
    values, places = maps.flatten(2).max(2)
    images = torch.arange(first, first + n).expand(K, n)
    return Strongest(layer=layer, values=values.T, images=images, rows=places.T // w, columns=places.T % w)


def _joined(a: Strongest, b: Strongest) -> Strongest:
    parts = {name: torch.cat([getattr(a, name), getattr(b, name)], 1) for name in ("values", "images", "rows")}
    return Strongest(layer=a.layer, columns=torch.cat([a.columns, b.columns], 1), **parts)


def _top(found: Strongest, count: int) -> Strongest:
    # stable: of equal values the earlier image stands first, whatever the batches
    order = found.values.argsort(dim=1, descending=True, stable=True)[:, :count]
    parts = {name: getattr(found, name).gather(1, order) for name in ("values", "images", "rows", "columns")}
    return Strongest(layer=found.layer, **parts)


def fields(model: nn.Module, input_shape: Sequence[int]) -> Measurement:
    """Return the measurement of a network for an input (C, H, W), for `patches`, each layer as its last call sees."""
    with evaluating(model):
        measurement = measure_network(model, input_shape)
    rows = dict[str, Layer]()
    for row in measurement.layers:
        path = row.path.partition("#")[0]
        rows[path] = replace(row, path=path)
    return replace(measurement, layers=tuple(rows.values()))


def patches(
    found: Strongest,
    channel: int,
    pixels: Images,
    measurement: Measurement,
    *,
    projections: Tensor | None = None,
) -> list[Patch]:
    """Return what the strongest units of a channel see, cropped from the images: as many as `found` has.

    `pixels` are all images of the data set, (N, H, W, C) uint8 of the size of the network's input, in the order of
    the batches; `measurement` is that of `fields`; `projections`, (count, C, H, W) float, those of these images. All
    patches have one size, at most that of the image. Where the receptive field is not known they are whole images.

    Raises: UsageError if there is no such channel.
    """
    _require(found, channel)
    patched = []
    for rank, image in enumerate(found.images[channel].tolist()):
        whole: Pixels = np.asarray(pixels[image])
        unit = Unit(found.layer, int(found.rows[channel, rank]), int(found.columns[channel, rank]))
        seen = _seen(measurement, unit, whole.shape)
        projection = None
        if projections is not None:
            back: NDArray[np.float32] = projections[rank].detach().float().cpu().permute(1, 2, 0).numpy()
            projection = crop(back, seen, fill=0)
        value = float(found.values[channel, rank])
        patched.append(Patch(image, value, seen, crop(whole, seen, fill=OUTSIDE), projection))
    return patched


def _require(found: Strongest, channel: int) -> None:
    K = len(found.values)
    if not 0 <= channel < K:
        raise UsageError(f"`channel` (={channel}) must be from 0 to {K - 1}, the channels of `{found.layer}`.")


def _seen(measurement: Measurement, unit: Unit, shape: tuple[int, ...]) -> Rectangle:
    """Return the rectangle that a unit sees of an image (H, W, C); along a side that is no longer, that whole side."""
    H, W = shape[:2]
    try:
        seen = seen_rectangle(measurement, unit)
    except (ShapeError, UsageError):
        # no map, as of a dense layer, or a network that decides by its data
        return Rectangle((0.0, float(H)), (0.0, float(W)))
    sides = ((seen.rows, H), (seen.columns, W))
    return Rectangle(*((0.0, float(size)) if high - low >= size else (low, high) for (low, high), size in sides))


def crop(image: NDArray[Number], seen: Rectangle, *, fill: float) -> NDArray[Number]:
    """Return the part (h, w, C) of an image (H, W, C), of any dtype; what lies outside it is `fill`."""
    (top, bottom), (left, right) = ((int(low), int(high)) for low, high in seen)
    H, W = image.shape[:2]
    part = np.full((bottom - top, right - left, *image.shape[2:]), fill, image.dtype)
    rows, columns = slice(max(top, 0), min(bottom, H)), slice(max(left, 0), min(right, W))
    inside = image[rows, columns]
    part[rows.start - top : rows.start - top + inside.shape[0], columns.start - left :][:, : inside.shape[1]] = inside
    return part


def excited(
    model: nn.Module,
    found: Strongest,
    channel: int,
    pixels: Images,
    inputs: Callable[[Pixels], Tensor],
    *,
    project: Project | None = None,
    measurement: Measurement | None = None,
) -> list[Patch]:
    """Return the patches that excite a channel most, and beside each its projection where `project` makes one.

    `pixels` are those of `patches`, (N, H, W, C) uint8; `inputs` makes (n, C, H, W) float inputs of some of them.
    """
    _require(found, channel)
    x = inputs(np.stack([np.asarray(pixels[image]) for image in found.images[channel].tolist()]))
    measured = measurement or fields(model, x.shape[1:])
    projections = None if project is None else project(model, x, found.layer, channel)
    return patches(found, channel, pixels, measured, projections=projections)

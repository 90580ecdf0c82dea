"""What one unit sees of the input: the rectangle that it can see, and where its gradient really falls.

The effective receptive field is that of Luo, Li, Urtasun and Zemel 2016, arXiv:1701.04128: a gradient is put on the
unit alone, and the size of what arrives at the input is averaged over random inputs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError, unknown
from fovea.hooks import watch
from fovea.measurement.receptive import Axis, Interval
from fovea.measurement.result import Field, Group, Layer, Measurement, Shape, shape_text

INPUTS = 16
"""Random inputs that the gradient's size is averaged over."""
AT_ONCE = 2  # random inputs in one pass: what bounds the memory
SHARE = 0.9545
"""Of a Gaussian lies within two standard deviations."""


class Rectangle(NamedTuple):
    """Rows and columns of the input, each from the first up to, but not including, the second."""

    rows: Interval
    columns: Interval

    @classmethod
    def around(cls, rows: Interval, columns: Interval) -> "Rectangle":
        """Return the smallest rectangle of whole pixels that holds these intervals."""
        return cls(*((float(math.floor(low)), float(math.ceil(high))) for low, high in (rows, columns)))

    def clipped(self, height: int, width: int) -> "Rectangle | None":
        """Return the part inside an image of this size; None if there is none."""
        (top, bottom), (left, right) = self
        inside = Rectangle((max(top, 0), min(bottom, height)), (max(left, 0), min(right, width)))
        return inside if all(low < high for low, high in inside) else None

    @property
    def text(self) -> str:
        """The first and the last row and column: `rows -1 to 5, columns -1 to 5 (7 x 7)`."""
        (top, bottom), (left, right) = self
        size = f"{bottom - top:.0f} x {right - left:.0f}"
        return f"rows {top:.0f} to {bottom - 1:.0f}, columns {left:.0f} to {right - 1:.0f} ({size})"


class Unit(NamedTuple):
    """One position of the map that a layer hands on, all channels of it."""

    layer: str
    row: int
    column: int

    @classmethod
    def parse(cls, text: str) -> "Unit":
        """Return the unit written as `LAYER:ROW,COLUMN`, as in `stage3:5,7`.

        Raises: UsageError for another form.
        """
        layer, _, position = text.rpartition(":")
        numbers = [part.strip() for part in position.split(",")]
        if not layer or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise UsageError(f"`unit` (={text}) must be LAYER:ROW,COLUMN, counted from 0, for example `stage3:5,7`.")
        return cls(layer, *map(int, numbers))


@dataclass(frozen=True, kw_only=True, eq=False)
class Effective:
    """Where the gradient of a unit falls."""

    mass: Tensor
    """(H, W) float64: the share of each pixel in the gradient's size."""
    size: float
    """Root of the number of pixels above 1 - 95.45 % of the largest (section 4; there: of the one in the centre)."""
    rectangle: Rectangle
    """The rows, and the columns, between which 95.45 % of the gradient falls, as much of the rest on either side."""


def seen_rectangle(measurement: Measurement, unit: Unit) -> Rectangle:
    """Return the rectangle of the input that the unit sees, unclipped: padding counts as pixels.

    Raises:
        UsageError: a layer that the network does not have or whose output is no map; a unit outside its map.
        ShapeError: the receptive field of the layer is not known, or the unit sees nothing.
    """
    shape, field = _map_of(measurement, unit.layer)
    if len(shape) != 4 or len(measurement.input_shape) != 3:
        raise UsageError(f"`unit`: the output of `{unit.layer}` is {shape_text(shape)} and has no rows and columns.")
    H, W = shape[2:]
    if unit.row >= H or unit.column >= W:
        raise UsageError(
            f"`unit` (={unit.layer}:{unit.row},{unit.column}) is outside the map of `{unit.layer}`, which is {H} x "
            f"{W}: rows 0 to {H - 1}, columns 0 to {W - 1}."
        )
    if field is None:
        reason = measurement.missing.get("receptive_field", "it does not depend on the input")
        raise ShapeError(f"The receptive field of `{unit.layer}` is unknown: {reason}.")
    rectangle = Rectangle.around(*(_seen(axis, unit) for axis in field))
    if any(low >= high for low, high in rectangle):
        raise ShapeError(
            f"`unit` (={unit.layer}:{unit.row},{unit.column}) has no pixel of the input in its receptive field."
        )
    return rectangle


def _seen(axis: Axis, unit: Unit) -> Interval:
    """Return what a unit of a map, (N, C, H, W), sees along an axis of the input: by its row or by its column."""
    # rows of the map are columns of the input where the network has swapped them
    place = {2: unit.row, 3: unit.column}.get(axis.dim or 0)
    return axis.span if place is None else axis.unit(place)


def _map_of(measurement: Measurement, layer: str) -> tuple[Shape, Field | None]:
    """Return the shape of what a module hands on, at its first call, and its receptive field."""
    # without the first row, the input itself
    rows: tuple[Layer | Group, ...] = (*measurement.layers[1:], *measurement.groups)
    known = {row.path: row for row in rows if _is_module(row.path) and row.output_shapes}
    if layer not in known:
        raise unknown("layer", layer, known, see="See the table of `fovea measure` for all, with `--depth 99`.")
    return known[layer].output_shapes[0], known[layer].field


def _is_module(path: str) -> bool:
    return bool(path) and "()" not in path and "#" not in path


def effective_field(
    model: nn.Module,
    unit: Unit,
    input_shape: Sequence[int],
    *,
    inputs: int = INPUTS,
    progress: Callable[[int, int], None] | None = None,
) -> Effective:
    """Return where the gradient of one unit falls in inputs of `input_shape`, (C, H, W), of independent normal values.

    The gradient on the unit has independent normal values too, one per channel. `model` runs in evaluation mode, in
    which it is left; its own gradients are not touched.

    Raises:
        ShapeError: no gradient reaches the input, or one that is not finite.
    """
    model.eval()
    place = next(model.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    mass = torch.zeros(*input_shape[1:], dtype=torch.float64)
    for done in range(0, inputs, AT_ONCE):
        count = min(AT_ONCE, inputs - done)
        # drawn on the processor, so that every device gets the same values
        x = torch.randn(count, *input_shape, generator=generator).to(place.device, place.dtype).requires_grad_()
        output = output_of(model, unit.layer, x)[:, :, unit.row, unit.column]  # (count, channels)
        signal = torch.randn(output.shape, generator=generator).to(output)
        (gradient,) = torch.autograd.grad(output, x, signal)
        # (count, C, H, W) -> (H, W)
        mass += gradient.double().abs().sum(dim=(0, 1)).cpu()
        if progress is not None:
            progress(done + count, inputs)
    if not 0 < float(mass.sum()) < math.inf:  # a comparison with NaN is false, so NaN ends here too
        raise ShapeError(f"No finite gradient of `{unit.layer}` reaches the input; all of its weights may be zero.")
    return _described(mass / mass.sum())


class _Reached(Exception):
    """Carries the output of the layer that was waited for out of a forward pass."""

    def __init__(self, output: Tensor) -> None:
        self.output = output


def output_of(model: nn.Module, layer: str, x: Tensor) -> Tensor:
    """Return the output of the first call of `layer`, with its graph; what follows in the network does not run.

    `x` is (N, C, H, W), float; the output has the shape and dtype that the layer gives it. What follows might also
    change it in place.
    """

    def leave(path: str, _: nn.Module, outputs: list[Tensor]) -> None:
        if path == layer:
            raise _Reached(outputs[0])

    try:
        with torch.enable_grad(), watch(model, enter=lambda *_: None, leave=leave):
            model(x.clone())  # a first layer may work in place
    except _Reached as reached:
        return reached.output
    raise UsageError(f"The layer `{layer}` does not run in a forward pass.")


def _described(mass: Tensor) -> Effective:
    above = int((mass > (1 - SHARE) * mass.max()).sum())
    rows, columns = (_middle(mass.sum(dim)) for dim in (1, 0))  # (H,): each row's share; (W,): each column's
    return Effective(mass=mass, size=math.sqrt(above), rectangle=Rectangle(rows, columns))


def _middle(shares: Tensor) -> Interval:
    """Return the interval of whole pixels that leaves less than half of 1 - `SHARE` on either side."""
    rest = (1 - SHARE) / 2
    before, behind = shares.cumsum(0), shares.flip(0).cumsum(0)
    return float((before < rest).sum()), float(len(shares) - (behind < rest).sum())

"""What a walk through a network finds: a row per layer, their groups, and the totals."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fovea.measurement.receptive import Axis
from fovea.notebook import Cells, Tabular

Shape = tuple[int, ...]
Field = tuple[Axis, ...]
"""The receptive field of the units of a map: one `Axis` for each axis of the input, rows before columns."""

CONVENTIONS = (
    "1 MAC = 1 multiply-add = 2 FLOPs; bias, norm and activation are not in MACs.",
    "Parameters and buffers are counted apart; MACs and bytes (kB: 10^3) are those of one input.",
    "out: activations that a layer makes; kept: what training keeps of them for the backward pass.",
    "field: input pixels that a unit sees, unclipped; jump: between units; start: centre of the first.",
)
"""Printed under every table."""


SAMPLES = {2: "series", 3: "image", 4: "clip"}
"""What one input is called, by how many sizes it has, channels included."""


def sample_name(input_shape: Shape) -> str:
    """Return what one input of this shape, (C, *sizes), is called.

    >>> sample_name((3, 16, 112, 112)), sample_name((784,))
    ('clip', 'input')
    """
    return SAMPLES.get(len(input_shape), "input")


def article(noun: str) -> str:
    """Return `an image`, `a clip`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def shape_text(shape: Shape) -> str:
    """Return the shape of one image's tensor: `64x112x112`; the batch of one before it is left out."""
    return "x".join(map(str, shape[1:] if len(shape) > 1 else shape)) or "1"  # one number, without dimensions


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Where a window and its stride do not divide one axis of a layer's padded input."""

    axis: int
    """As in `Layer.field`: of images 0 for rows, 1 for columns."""
    size: int
    """Length of the axis, without padding."""
    uncovered: tuple[int, ...]
    """Indices (of rows, columns, frames, steps) that no window reaches, at the end of the axis."""
    padding: int
    """How many positions of the padding behind them none reaches either."""
    rule: str
    """The quotient that is not an integer, as `(7 - 3) / 3 + 1 = 2.33`."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row: a module without children, or an operation that a module with children does itself."""

    path: str
    """As in `named_modules`; `conv#2` is its second call, `block1.add()` an operation of `block1`."""
    type: str
    input_shapes: tuple[Shape, ...] = ()
    """Of all tensors it gets, for a batch of one image, which comes first."""
    output_shapes: tuple[Shape, ...] = ()
    parameters: int = 0
    """Trainable ones. Shared ones stand in the first row that uses them, and only there."""
    frozen: int = 0
    """Parameters that do not require a gradient."""
    buffers: int = 0
    """Values of its buffers, as the moving averages of a batch norm; counters, which have no dimension, left out."""
    parameter_bytes: int = 0
    """Of parameters, frozen ones too."""
    macs: int = 0
    uncounted: tuple[str, ...] = ()
    """Operations that may multiply and that are not counted in `macs`, which then is too small."""
    activation_bytes: int = 0
    """Of the tensors it makes in a forward pass; views, and results written in place, make none."""
    kept_bytes: int | None = None
    """Of the tensors it makes, those that a training keeps until the backward pass; None: see `Measurement.missing`."""
    field: Field | None = None
    """The receptive field of its (first) output; None if that is unknown: see `Measurement.missing`."""
    branches: tuple[Field, ...] = ()
    """The fields that meet in it, where it joins several tensors: `field` is their union."""
    leftovers: tuple[Leftover, ...] = ()
    sources: tuple[int, ...] = ()
    """Indices in `Measurement.layers` of the rows whose outputs it gets: the edges of the graph."""
    ran: bool = True
    """False for what a forward pass in evaluation leaves out, as auxiliary heads."""

    @property
    def macs_per_parameter(self) -> float | None:
        """How often each of its parameters, trainable or frozen, is used; None if it has none, or not all counts."""
        count = self.parameters + self.frozen
        return self.macs / count if count and not self.uncounted else None


@dataclass(frozen=True, kw_only=True)
class Group:
    """A module with children: the rows from `first` up to, but not including, `stop`."""

    path: str
    type: str
    first: int
    stop: int
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    field: Field | None


@dataclass(frozen=True, kw_only=True)
class Total:
    """The sums over all rows."""

    parameters: int
    frozen: int
    buffers: int
    parameter_bytes: int
    macs: int
    activation_bytes: int
    kept_bytes: int | None


SUMMED = tuple(item.name for item in fields(Total))


def total_of(layers: "tuple[Layer, ...]") -> Total:
    """Return the sums over `layers`; a sum with an unknown term is unknown."""
    columns = {name: [getattr(layer, name) for layer in layers] for name in SUMMED}
    sums: dict[str, Any] = {name: None if None in values else sum(values) for name, values in columns.items()}
    return Total(**sums)


@dataclass(frozen=True, kw_only=True, repr=False)
class Measurement(Tabular):
    """What `fovea.measure` returns."""

    name: str
    input_shape: Shape
    """Of one image, (C, H, W)."""
    layers: tuple[Layer, ...]
    """In the order in which they run, the input first; what never runs but has parameters comes last."""
    groups: tuple[Group, ...]
    """In the order in which they begin; the whole network, with the path ``, first."""
    total: Total
    fitting: tuple[tuple[int, ...], ...] = ()
    """For each axis of the input the nearest sizes at which every stride divides; empty if the given ones do."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Columns that could not be measured, each with the reason."""
    nonzero: Mapping[str, int] = field(default_factory=dict)
    """`parameters` and `macs` without those of weights that a pattern fixes at zero, which `total` counts; or empty."""
    notes: tuple[str, ...] = ()
    """What a reader has to know of these figures."""
    convention: str = "pytorch"
    """Whose count of parameters: `pytorch`, buffers apart, or `keras`, which counts them as not trainable."""

    @property
    def headline(self) -> str:
        """The network, its input, and what it costs."""
        macs = "MACs unknown" if "macs" in self.missing else f"{self.total.macs:,} MACs"
        return f"{self.name} on {shape_text((1, *self.input_shape))}, {self.total.parameters:,} parameters, {macs}"

    def cells(self) -> Cells:
        """Return a row per layer, of a deep network per module."""
        from fovea.measurement.cells import cells_of  # which reads this module

        return cells_of(self)

    def records(self) -> list[dict[str, Any]]:
        """Return a row per layer, with all columns of the CSV."""
        from fovea.measurement.tables import records  # which reads this module

        return records(self)

    @property
    def not_trainable(self) -> int:
        """Parameters that are frozen and values in buffers: what Keras calls non-trainable parameters."""
        return self.total.frozen + self.total.buffers

    def share(self, layer: Layer, name: str) -> float | None:
        """Return which part of the total of column `name` is this row's; None if it is unknown or there is none."""
        if name == "macs" and name in self.missing:
            return None
        value, whole = getattr(layer, name), getattr(self.total, name)
        return value / whole if whole and value is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Return all as JSON values."""
        result = asdict(self)
        result["layers"] = [self._row(layer) for layer in self.layers]
        if "macs" in self.missing:
            result["total"]["macs"] = None
        if self.convention == "keras":
            trainable = self.total.parameters
            result["keras"] = {"total": trainable + self.not_trainable, "trainable": trainable} | {
                "non_trainable": self.not_trainable
            }
        for axis in (axis for group in result["groups"] for axis in group["field"] or ()):
            del axis["own"], axis["dim"]
        return {**result, "conventions": CONVENTIONS}

    def _row(self, layer: Layer) -> dict[str, Any]:
        row = asdict(layer)
        # a property, which `asdict` leaves out
        row["macs_per_parameter"] = layer.macs_per_parameter
        if layer.uncounted:
            row["macs"] = None
        row["shares"] = {name: self.share(layer, name) for name in SUMMED}
        for side in ("input", "output"):
            row[f"{side}_shape"] = next(iter(row[f"{side}_shapes"]), None)
        # fields anew: `asdict` has written how an Axis is stored (lo, hi), not what it says (size, jump, start)
        for key in ("field", "branches"):
            fields_ = layer.branches if key == "branches" else (layer.field,)
            dicts = [None if item is None else [axis.to_dict() for axis in item] for item in fields_]
            row["receptive_field" if key == "field" else key] = dicts if key == "branches" else dicts[0]
        del row["field"]
        return row

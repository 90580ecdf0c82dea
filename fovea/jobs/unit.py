"""`fovea measure --unit`: the receptive field of one unit of a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from fovea.display import Display
from fovea.drawing.saving import save_figure
from fovea.drawing.unit import unit_figure
from fovea.files import check_there
from fovea.jobs.measure import Measurable, found
from fovea.layers import copied
from fovea.measurement.effective import INPUTS, Effective, Rectangle, Unit, effective_field, seen_rectangle
from fovea.measurement.network import measure_network
from fovea.measurement.result import shape_text
from fovea.model.bundle import Bundle, load
from fovea.model.container import model_file
from fovea.preprocess import Preprocess
from fovea.storage import picture_path


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What one unit sees, and where the picture of it is."""

    network: str
    unit: Unit
    input_shape: tuple[int, ...]
    rectangle: Rectangle
    """Unclipped: padding counts as pixels."""
    effective: Effective
    picture: Path

    @property
    def clipped(self) -> Rectangle | None:
        """The part of the rectangle inside the input."""
        H, W = self.input_shape[1:]
        return self.rectangle.clipped(H, W)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; rows and columns are the first and the last."""
        return {
            **self.unit._asdict(),
            "unclipped": _ends(self.rectangle),
            "clipped": self.clipped and _ends(self.clipped),
            "effective": {"size": self.effective.size, **_ends(self.effective.rectangle)},
            "picture": str(self.picture),
        }

    def summary(self) -> list[str]:
        """Return the lines for the terminal."""
        layer, row, column = self.unit
        return [
            f"Unit       {row},{column} of {layer} of {self.network} on {shape_text((1, *self.input_shape))}",
            f"Sees       {self.rectangle.text}, padding included",
            f"In image   {self.clipped.text if self.clipped else 'nothing: all of it is padding'}",
            f"Effective  {self.effective.size:.1f} pixels across",
            f"           95 % of the gradient falls on {self.effective.rectangle.text}",
            f"Picture    {self.picture}",
        ]


def see_unit(
    model: Measurable,
    unit: str,
    input_shape: Sequence[int] | None = None,
    *,
    image: str | Path | None = None,
    out: str | Path | None = None,
    display: Display | None = None,
) -> Seen:
    """Return the receptive field of one unit of a network, and draw it on `image` or on a grid.

    `unit` is LAYER:ROW,COLUMN, for example `stage3:5,7`; `model` and `input_shape` are those of `measure`. A network
    of the zoo has random weights, drawn with seed 0. The picture is written to `out`, by default in the current
    folder.

    Raises:
        UsageError: a layer or unit that does not exist, an output without rows and columns, a wrong suffix of `out`.
        ShapeError: the receptive field is unknown, or no gradient reaches the input.
        NotFoundError: the image is not there.
        ImageError, StorageError: the image cannot be read, or the picture cannot be written.
    """
    wanted = Unit.parse(unit)
    if image is not None:
        check_there(image)
    if isinstance(model, str | Path) and model_file(model).suffix == ".safetensors":
        model = load(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, name, shape = found(model, input_shape, weights=True)
    rectangle = seen_rectangle(measure_network(network, shape, name=name), wanted)
    picture = _picture(name, wanted, out)
    pixels = None if image is None else _geometry(model, shape).read(Path(image))
    progress = (display or Display(quiet=True)).counter("gradients")
    effective = effective_field(copied(network), wanted, shape, inputs=INPUTS, progress=progress)
    figure = unit_figure(wanted, rectangle, effective, pixels=pixels, size=(shape[1], shape[2]))
    save_figure(figure, picture)
    return Seen(network=name, unit=wanted, input_shape=shape, rectangle=rectangle, effective=effective, picture=picture)


def _geometry(model: Measurable, shape: tuple[int, ...]) -> Preprocess:
    """Return how an image becomes the input of the network, as far as it can be shown: in grey or colour."""
    size = (shape[1], shape[2])
    if isinstance(model, Bundle):
        return cast(Preprocess, model.preprocess).with_size(size)
    channels = 1 if shape[0] == 1 else 3
    return Preprocess(size=size, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)


def _picture(name: str, unit: Unit, out: str | Path | None) -> Path:
    stem = "-".join((Path(name.partition(":")[0]).stem, *map(str, unit)))
    return picture_path(f"{stem}.png" if out is None else out)


def _ends(rectangle: Rectangle) -> dict[str, list[int]]:
    rows, columns = ([int(low), int(high) - 1] for low, high in rectangle)
    return {"rows": rows, "columns": columns}

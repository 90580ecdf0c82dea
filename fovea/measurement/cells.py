"""A measurement as the table that a notebook shows."""

from collections.abc import Sequence

from fovea.measurement.result import Measurement, shape_text
from fovea.measurement.tables import Choice, named, per_axis, readable_depth, remarks, rows_of
from fovea.notebook import Cells


def cells_of(measurement: Measurement) -> Cells:
    """Return a row per layer, or per module where there are many layers."""
    rows = rows_of(measurement, Choice(depth=readable_depth(measurement)))
    shown = [
        {
            "layer": named(row),
            "type": row.type,
            "output": shape_text(row.output_shapes[0]) if row.output_shapes else "",
            "parameters": row.parameters,
            "MACs": None if row.uncounted else row.macs,
            "field": _field([axis.size for axis in row.field or ()]),
        }
        for row in rows
    ]
    return Cells.of(shown, notes=tuple(remarks(measurement)))


def _field(sizes: Sequence[float]) -> int | str:
    """Return a number where it is a whole one, the same on all axes, so that it stands like the others; else a text."""
    whole = {int(size) for size in sizes if size == int(size)}
    return whole.pop() if len(whole) == len(set(sizes)) == 1 else per_axis(sizes)

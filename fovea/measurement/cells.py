"""A measurement as the table that a notebook shows."""

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
            "field": per_axis([axis.size for axis in row.field or ()]),
        }
        for row in rows
    ]
    return Cells.of(shown, notes=tuple(remarks(measurement)))

"""A measured network as a page takes it: boxes and arrows, a table, and what differs from another."""

from dataclasses import asdict
from typing import Any

from fovea.measurement.result import Measurement, shape_text
from fovea.measurement.tables import (
    COLUMNS,
    Choice,
    comparison,
    differences,
    readable_depth,
    remarks,
    rows_of,
    totals,
)
from fovea.report.graph import drawn
from fovea.report.measurement import tiles

MOST_BOXES, MOST_ROWS, MOST_DIFFERENCES = 600, 1500, 200
"""Of a graph, of a table, and of a comparison."""


def shown(measurement: Measurement, *, depth: int | None) -> dict[str, Any]:
    """Return graph, table and totals, with modules at `depth` as one row; None as deep as it stays readable."""
    depth = bounded(measurement, depth)
    rows = rows_of(measurement, Choice(depth=depth))[:MOST_ROWS]
    columns = [column for column in COLUMNS if any(column.text(measurement, row) for row in rows)]
    return {
        "name": measurement.name,
        "input": shape_text((1, *measurement.input_shape)),
        "graph": asdict(drawn(measurement, depth)),
        "tiles": tiles(measurement),
        "columns": [column.title for column in columns],
        "rows": [[row.path, *(column.text(measurement, row) for column in columns)] for row in rows],
        "lines": [*totals(measurement), *remarks(measurement)],
    }


def compared(a: Measurement, b: Measurement, *, depth: int | None) -> dict[str, Any]:
    """Return the graph of a second network, and where it differs from the first."""
    depth = bounded(b, depth)
    return {
        "beside": {
            "name": b.name,
            "input": shape_text((1, *b.input_shape)),
            "graph": asdict(drawn(b, depth)),
        },
        "comparison": comparison(a, b),
        "differences": differences(a, b, depth=depth)[:MOST_DIFFERENCES],
    }


def bounded(measurement: Measurement, depth: int | None) -> int | None:
    """Return a depth that has no more rows than are drawn."""
    if depth is None:
        return readable_depth(measurement)
    while depth > 1 and len(rows_of(measurement, Choice(depth=depth))) > MOST_BOXES:
        depth = min(depth, _deepest(measurement)) - 1
    return depth


def _deepest(measurement: Measurement) -> int:
    return max((group.path.count(".") + 1 for group in measurement.groups if group.path), default=1)

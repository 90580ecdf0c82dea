"""The page of a measurement: the graph of the network, and the table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fovea.measurement.result import CONVENTIONS, Measurement, article, sample_name, shape_text
from fovea.measurement.tables import (
    COLUMNS,
    Choice,
    megabytes,
    readable_depth,
    remarks,
    rows_of,
    seen_text,
    totals,
)
from fovea.report.graph import drawn
from fovea.report.page import render, write_page
from fovea.texts import scaled

PIXELS = {2: "steps", 4: "frames, rows and columns"}
"""What a receptive field counts, by how many sizes an input has, channels included."""


def measurement_page(measurement: Measurement, choice: Choice, *, lines: Sequence[str] = ()) -> str:
    """Return the page as HTML; `lines` are said below the table, before the conventions.

    Raises: UsageError for a choice that `rows_of` refuses.
    """
    rows = rows_of(measurement, replace(choice, depth=choice.depth or readable_depth(measurement)))
    columns = [column for column in COLUMNS if any(column.text(measurement, row) for row in rows)]
    return render(
        "measurement.html",
        measurement=measurement,
        input=shape_text((1, *measurement.input_shape)),
        tiles=tiles(measurement),
        graph=drawn(measurement, choice.depth),
        columns=columns,
        rows=[[column.text(measurement, row) for column in columns] for row in rows],
        lines=[*totals(measurement), *lines, *remarks(measurement), *CONVENTIONS],
    )


def write_measurement(
    measurement: Measurement, html: str | Path, *, choice: Choice | None = None, lines: Sequence[str] = ()
) -> Path:
    """Write a measurement as a page, with further `lines` below its table; return where it is.

    Raises:
        UsageError: a choice of rows that is not allowed.
        StorageError: the page cannot be written.
    """
    page = measurement_page(measurement, choice or Choice(), lines=lines)
    write_page(Path(html), page)
    return Path(html)


def tiles(measurement: Measurement) -> list[tuple[str, str]]:
    """Return the most important numbers of a network as (what, how much)."""
    total = measurement.total
    per = article(sample_name(measurement.input_shape))
    found = [
        ("trainable parameters", f"{total.parameters:,}"),
        (f"MACs {per}" + (", at least" if "macs" in measurement.missing else ""), scaled(total.macs)),
        (f"MB of activations {per}", megabytes(total.activation_bytes)),
        (f"{PIXELS.get(len(measurement.input_shape), 'pixels')} that the output sees", seen_text(measurement)),
    ]
    return [(name, value) for name, value in found if value]

"""A measurement as a table for people, as wide as their terminal."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fovea.measurement.result import Layer, Measurement, sample_name, shape_text
from fovea.measurement.tables import COLUMNS, Choice, Column, readable_depth, remarks, rows_of, shortened, totals

PROSE = 100
"""Characters of a line of text around the table, at most."""
SHORTEST_PATH, USUAL_PATH = 20, 28
"""Paths are shortened down to the one before one of the main columns is left out, and to the other before another."""
MAIN = 3
"""The highest rank of a main column."""
PIXELS = {2: "steps", 3: "input pixels"}
"""What a receptive field counts, by how many sizes the input has."""


def text_table(measurement: Measurement, choice: Choice, *, width: int | None = None) -> Iterator[str]:
    """Yield the lines of the table, with totals, remarks and a legend.

    Lines have at most `width` characters, without one as many as the table needs. Columns that have no room are left
    out, and named below the table.
    """
    depth = choice.depth or readable_depth(measurement)
    rows = rows_of(measurement, Choice(depth=depth, sort=choice.sort, top=choice.top))
    # without `top`: how many rows are left out is said below the table
    everything = len(rows_of(measurement, Choice(depth=depth)))
    columns = [c for c in COLUMNS if any(c.text(measurement, row) for row in rows)]
    roomy = _with_room(measurement, rows, columns, width=width)
    yield from _wrapped([f"{measurement.name} on {shape_text((1, *measurement.input_shape))}"], width)
    yield ""
    yield from _aligned(measurement, rows, roomy)
    yield ""
    notes = []
    if lacking := [c.name or c.title for c in columns if c not in roomy]:
        notes.append(f"Columns left out: {', '.join(lacking)}; a wider terminal or --markdown shows them.")
    if len(rows) < everything:
        notes.append(f"{everything - len(rows)} more rows.")
    if depth is not None and choice.depth is None:
        notes.append(f"Modules at depth {depth} summed up; --depth 99 for all {len(measurement.layers)} layers.")
    yield from _wrapped([*notes, *totals(measurement), *remarks(measurement), legend(measurement, roomy)], width)


def legend(measurement: Measurement, columns: Iterable[Column]) -> str:
    """Return in one line what those columns mean whose names do not say it."""
    sample = sample_name(measurement.input_shape)
    pixels = PIXELS.get(len(measurement.input_shape), "places of the input")
    meanings = [f"{c.title}: {c.meaning.format(pixels=pixels)}" for c in columns if c.meaning]
    return f"Of one {sample}. {'; '.join(meanings)}."


def _with_room(
    measurement: Measurement, rows: Sequence[Layer], columns: Sequence[Column], *, width: int | None
) -> dict[Column, int]:
    """Return the columns that fit into a line of `width` characters, with how wide each is."""
    widths = {c: max(len(c.title), *(len(c.text(measurement, row)) for row in rows)) for c in columns}
    if width is None:
        return widths
    path, *others = columns
    # columns go by `rank` until the path has room; one of rank 0 never, then it is the path that gets shorter
    while (last := max(others, key=lambda c: c.rank)).rank:
        room = width - sum(widths[c] + 2 for c in others)
        if room >= min(widths[path], USUAL_PATH if last.rank > MAIN else SHORTEST_PATH):
            break
        others.remove(last)
    room = width - sum(widths[c] + 2 for c in others)
    return {path: min(widths[path], max(room, SHORTEST_PATH))} | {c: widths[c] for c in others}


def _aligned(measurement: Measurement, rows: Sequence[Layer], columns: Mapping[Column, int]) -> Iterator[str]:
    """Yield header and rows in columns of these widths."""
    for cells in [[c.title for c in columns]] + [[c.text(measurement, row) for c in columns] for row in rows]:
        padded = (
            shortened(cell, columns[c]).ljust(columns[c]) if c.left else cell.rjust(columns[c])
            for c, cell in zip(columns, cells, strict=True)
        )
        yield "  ".join(padded).rstrip()


def _wrapped(lines: Sequence[str], width: int | None) -> Iterator[str]:
    for line in lines:
        yield from textwrap.wrap(line, min(width or PROSE, PROSE), subsequent_indent="  ", break_on_hyphens=False)

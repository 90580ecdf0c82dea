"""What Python shows: a result as one line, as a table in a notebook, as a data frame; progress as one updating line."""

import html
import importlib
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fovea.errors import MissingDependencyError
from fovea.texts import shown

MOST_ROWS = 60
"""Rows of a table in a notebook; what is left out is said below it."""
MOST_NOTES = 500
"""Lines that the output of a cell keeps."""
PADDING = "padding:.1em 1em .1em 0"
WIDTH, HEIGHT = 420, 120
"""Of a curve, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A table: numbers as they are, text as it is."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    shares: frozenset[str] = frozenset()
    """Columns of shares from 0 to 1, which people read in per cent."""
    notes: Sequence[str] = ()
    """Lines below the table."""

    @classmethod
    def of(
        cls, records: Sequence[Mapping[str, Any]], *, shares: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> "Cells":
        """Return the table of records, a column for each name in them, empty where one lacks it."""
        columns = tuple(dict.fromkeys(name for record in records for name in record))
        rows = [[record.get(name) for name in columns] for record in records]
        return cls(columns=columns, rows=rows, shares=frozenset(shares), notes=notes)


class Tabular:
    """A result with one line and one table that say what it is."""

    @property
    @abstractmethod
    def headline(self) -> str:
        """The result in one line."""

    @abstractmethod
    def cells(self) -> Cells:
        """Return the table that a notebook shows."""

    def records(self) -> list[dict[str, Any]]:
        """Return the rows of the data frame by the names of its columns."""
        cells = self.cells()
        return [dict(zip(cells.columns, row, strict=True)) for row in cells.rows]

    def curve(self) -> Sequence[float]:
        """Return numbers to be drawn as a line; none here."""
        return ()

    def to_frame(self) -> Any:
        """Return the table as a `pandas.DataFrame`, numbers as they are.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError('`to_frame` needs pandas: pip install "fovea-cnn[pandas]".') from None
        return pandas.DataFrame.from_records(self.records())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {shown(self.headline)}>"

    def _repr_html_(self) -> str:
        title = f"<strong>{type(self).__name__}</strong> {_escaped(self.headline)}"
        notes = "".join(f'<div style="opacity:.75">{_escaped(note)}</div>' for note in self.cells().notes)
        return (
            f'<div style="overflow-x:auto"><div>{title}</div>{_table(self.cells())}{_drawn(self.curve())}{notes}</div>'
        )


def _table(cells: Cells) -> str:
    """Return a table in the colours of the page around it, light or dark."""
    rows = cells.rows[:MOST_ROWS]
    numeric = [any(_is_number(row[i]) for row in cells.rows) for i in range(len(cells.columns))]
    sides = ["right" if number else "left" for number in numeric]
    heads = "".join(
        f'<th scope="col" style="text-align:{side};{PADDING}">{_escaped(column)}</th>'
        for side, column in zip(sides, cells.columns, strict=True)
    )
    texts = [
        [_text(value, share=c in cells.shares) for value, c in zip(row, cells.columns, strict=True)] for row in rows
    ]
    body = "".join(f"<tr>{''.join(map(_cell, row, sides))}</tr>" for row in texts)
    left = len(cells.rows) - len(rows)
    more = f"<div>{left:,} more rows; to_frame() has all of them</div>" if left else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(text: str, side: str) -> str:
    whole = ";white-space:nowrap" if side == "right" else ""  # a number stays beside its unit
    return f'<td style="text-align:{side};{PADDING}{whole}">{_escaped(text)}</td>'


def _drawn(values: Sequence[float]) -> str:
    """Return a line through values from left to right, with the first, the last and the lowest one beside it."""
    if len(values) < 3:  # two points are no curve
        return ""
    low, high = min(values), max(values)
    step, scale = (WIDTH - 8) / (len(values) - 1), (HEIGHT - 8) / ((high - low) or 1)
    points = " ".join(f"{4 + i * step:.1f},{4 + (high - value) * scale:.1f}" for i, value in enumerate(values))
    said = f"loss by epoch: {values[0]:.4g} at first, {values[-1]:.4g} at last, {low:.4g} at its lowest"
    line = f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="2"/>'
    frame = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<div><svg role="img" aria-label="{said}" {frame}>{line}</svg></div><div>{said}</div>'


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object, share: bool) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{100 * value:.2f} %" if share else f"{value:.4g}"
        case (int() | float(), int() | float()):  # an interval
            return " to ".join(_text(item, share) for item in value)
        case tuple() | list():
            return ", ".join(_text(item, share) for item in value)
        case dict():
            return " ".join(f"{name} {_text(item, share)}" for name, item in value.items())
        case _:
            return str(value)


class Cell:
    """The output of a cell of a notebook: one line, which each next text replaces, and all notes folded below it."""

    def __init__(self, show: Callable[..., Any]) -> None:
        self.show, self.handle, self.notes = show, None, list[str]()

    def note(self, text: str) -> None:
        """Show a line and keep it among the notes."""
        self.notes = [*self.notes, text][-MOST_NOTES:]
        self.line(text)

    def line(self, text: str) -> None:
        """Show a line in place of the one before."""
        notes = "".join(f"<div>{_escaped(note)}</div>" for note in self.notes)
        page = f"<details><summary>{_escaped(text)}</summary>{notes}</details>"
        content = {"text/plain": shown(text), "text/html": page}
        if self.handle is None:
            self.handle = self.show(content, raw=True, display_id=True)
        else:
            self.handle.update(content, raw=True)


def cell_output() -> Cell | None:
    """Return the output of the cell that runs now; None where this process is no kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    return Cell(importlib.import_module("IPython.display").display)


def _escaped(text: str) -> str:
    return html.escape(shown(text))

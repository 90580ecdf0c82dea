"""What commands print: text, tables, JSON, CSV and errors. No other module of the command line prints.

What comes from data, files and arguments passes `shown` here, whoever calls.
"""

import contextlib
import csv
import os
import shutil
import signal
import stat
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import TypeVar

from fovea.texts import in_cell, shown, strict_json

Item = TypeVar("Item")

WIDE = 100
"""Characters of a line beyond which the columns of a table stand closer."""


def speaks() -> bool:
    """Return whether this process is the one that prints: the only one, or the first of those `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def complain(message: str) -> None:
    """Print an error, in one line, to standard error."""
    remark(f"error: {' '.join(line.strip() for line in message.splitlines())}")


def remark(line: str) -> None:
    """Print one line to standard error."""
    print(shown(line), file=sys.stderr)


def print_trace(error: BaseException) -> None:
    """Print where an error comes from; what its message adds in further lines stands further right."""
    for entry in traceback.TracebackException.from_exception(error).format():
        first, *rest = entry.splitlines()
        print(shown(first), *(f"  {shown(line)}" for line in rest), sep="\n", file=sys.stderr)


def say_warnings_safely() -> None:
    """Let the warnings of libraries, which may quote data, pass `shown` too."""

    def formatted(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        return f"{shown(f'{filename}:{lineno}: {category.__name__}: {message}')}\n"

    warnings.formatwarning = formatted


def print_json(value: object) -> None:
    """Print a value as JSON; numbers that are not finite are null, and what JSON lacks is printed as its text."""
    print(strict_json(value, indent=2))


def print_json_array(values: Iterable[object]) -> None:
    """Print values as they come, as an array that is whole even if an error or Ctrl-C ends them."""
    separator, end = "[\n", "[]\n"
    try:
        for value in values:
            with _uninterrupted():
                sys.stdout.write(separator + strict_json(value))
                separator, end = ",\n", "\n]\n"
    finally:
        sys.stdout.write(end)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV, in which nothing is a formula to a spreadsheet."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([in_cell(cell) for cell in row])


def print_lines(lines: Iterable[str]) -> None:
    """Print text line by line."""
    for line in lines:
        print(shown(line))


def print_prose(lines: Iterable[str], *, indent: int = 2) -> None:
    """Print sentences, each from a new line, and broken between words where the terminal is narrow.

    The rest of a broken line is indented by `indent` characters.
    """
    for line in lines:
        for piece in textwrap.wrap(shown(line), terminal_width() or 10_000, subsequent_indent=" " * indent):
            print(piece)


def terminal_width() -> int | None:
    """Return how many characters a line of the terminal has; None where standard output is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, expendable: Sequence[str] = ()) -> None:
    """Print a table as wide as the terminal, or as wide as its cells where there is none.

    Where the terminal is too narrow, the `expendable` columns are left out, the first of them first, and named.
    """
    cells = [tuple(map(shown, columns)), *([shown(cell) for cell in row] for row in rows)]
    width = terminal_width()
    left_out: list[str] = []
    for name in expendable:
        if width is None or _width(cells) <= width:
            break
        index = cells[0].index(name)
        cells = [(*row[:index], *row[index + 1 :]) for row in cells]
        left_out.append(name)
    _print_cells(cells, width)
    if left_out:
        print_prose([f"Columns left out: {', '.join(left_out)}; a wider terminal shows them."])


def _width(cells: Sequence[Sequence[str]]) -> int:
    """Return how wide a table is, with two blanks between columns, and one at each side."""
    return sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True))


def _narrowed(cells: Sequence[Sequence[str]], width: int) -> Sequence[int | None]:
    """Return how wide each column is where a table is wider than `width`: the widest give way, as far as words allow.

    None for all where words must break as well.
    """
    columns = [*zip(*cells, strict=True)]
    least = [max(len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    widths = [max(map(len, column)) for column in columns]
    room = width - 2 * len(columns)
    if sum(least) > room:
        return [None] * len(columns)
    while sum(widths) > room:
        widths[max((i for i in range(len(widths)) if widths[i] > least[i]), key=widths.__getitem__)] -= 1
    return widths


def _print_cells(cells: Sequence[Sequence[str]], width: int | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console(width=width or 10_000)
    # three blanks between columns, two where the table is wide
    tight = _width(cells) + len(cells[0]) > min(width or WIDE, WIDE)
    widths = _narrowed(cells, width) if width is not None and _width(cells) > width else [None] * len(cells[0])
    heads = (Column(Text(name), width=wide) for name, wide in zip(cells[0], widths, strict=True))
    table = Table(*heads, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=tight)
    for row in cells[1:]:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    if width is not None:
        console.print(table)
        return
    with console.capture() as text:
        console.print(table)
    # one cell of a thousand names would fill up every other line
    print("\n".join(line.rstrip() for line in text.get().splitlines()))


def counted(values: Iterable[Item], *, noun: str) -> Iterator[Item]:
    """Yield `values`; where they go from a terminal into a file, show how many there have been."""
    if not sys.stderr.isatty() or not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        yield from values
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = SpinnerColumn(), TextColumn(f"{{task.completed:,.0f}} {noun}")
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        yield from progress.track(values)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let the first Ctrl-C wait until the body is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[FrameType | None] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if waiting and callable(before):
            before(number, frame)
        waiting.append(frame)

    before = signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting and callable(before):
            before(signal.SIGINT, waiting[0])

"""What commands print: text, tables, JSON and errors."""

import json
import os
import sys
from collections.abc import Iterable, Sequence

from fovea.texts import for_json, plain


def speaks() -> bool:
    """Return whether this process is the one that prints: the only one, or the first of those `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def complain(message: str) -> None:
    """Print an error, in one line, to standard error."""
    print(f"error: {plain(' '.join(message.split()))}", file=sys.stderr)


def print_json(value: object) -> None:
    """Print a value as JSON; what JSON lacks is printed as its text, and a number that is not finite as null."""
    print(json.dumps(for_json(value), indent=2, allow_nan=False))


def print_lines(lines: Iterable[str]) -> None:
    """Print text line by line."""
    for line in lines:
        print(plain(line))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as wide as the terminal, or as wide as its cells where there is none."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 10_000)
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(plain(cell), overflow="fold") for cell in row))
    console.print(table)

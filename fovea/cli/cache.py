"""`fovea cache`."""

from typing import Annotated

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_table


def cache(
    name: Annotated[
        str | None, typer.Argument(help="Only entries whose names begin like this; * and ? stand for anything.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove the entries.")] = False,
    as_json: Json = False,
) -> None:
    """List or clear the cache: decoded images, unpacked archives, downloads."""
    from fovea.jobs.cache import cache as job

    entries = job(clear=clear, name=name)
    if as_json:
        print_json(entries)
        return
    rows = [
        (
            entry["kind"],
            entry["name"],
            f"{entry['bytes'] / 1e6:,.1f}",
            "" if entry["total"] is None else f"{entry['images']:,}/{entry['total']:,}",
            entry["used"][:16].replace("T", " "),
        )
        for entry in entries
    ]
    columns = ("kind", "removed" if clear else "name", "MB", "images", "used")
    print_table(columns, rows, expendable=("kind", "used", "images"))

"""`fovea cache`."""

from typing import Annotated

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_table


def cache(
    name: Annotated[str | None, typer.Argument(help="Only entries that begin like this; * and ? match.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove them.")] = False,
    as_json: Json = False,
) -> None:
    """List what is kept to save time (decoded images, unpacked archives, downloads), or remove it."""
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
            entry["used"],
        )
        for entry in entries
    ]
    print_table(("kind", "removed" if clear else "name", "MB", "images", "used"), rows)

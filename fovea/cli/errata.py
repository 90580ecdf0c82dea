"""`fovea errata`."""

from typing import Annotated

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_lines


def errata(
    deck: Annotated[str | None, typer.Argument(help="Only this deck: 000 to 004.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """List the errors on the lectures' slides, each with the command that shows the right figure."""
    from fovea.jobs.errata import errata as job

    entries = job(deck)
    if as_json:
        print_json([entry.to_dict() for entry in entries])
        return
    for entry in entries:
        print_lines(
            [
                f"{entry.deck}: {entry.where}",
                f"  slide    {entry.printed}",
                f"  right    {entry.right}",
                f"  shown by {entry.command}",
                "",
            ]
        )
    print_lines([f"{len(entries)} errata."])

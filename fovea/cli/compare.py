"""`fovea compare`."""

from typing import Annotated

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_prose, print_table

EXPENDABLE = ("PFLOP", "parameters", "epochs", "seconds", "network")
"""Columns that a narrow terminal lacks, the first that goes first."""


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Runs, or folders of runs; the first run is the baseline.", show_default=False
        ),
    ],
    html: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write a page with the learning curves to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare runs: results with intervals, settings, time, parameters. Seeds of one recipe are one row."""
    from fovea.jobs.compare import compare as job

    result = job(runs, html=html)
    if as_json:
        print_json(result.to_dict())
        return
    print_table(*result.table, expendable=EXPENDABLE)
    print_prose(difference.text for difference in result.differences)
    if result.settings:
        print_table(*result.settings_table)
    print_prose(f"note: {note}" for note in result.notes)

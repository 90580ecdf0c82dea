"""Options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="A model file (.safetensors).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, alone, on standard output.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto for the best one here.")]
READING = {
    "label_from": (
        Annotated[str | None, typer.Option(metavar="REGEX", help="Labels are in the file names: a group finds them.")],
        None,
    ),
    "path_column": (
        Annotated[str | None, typer.Option(help="Column of a manifest (CSV or Parquet) that names the image.")],
        "path",
    ),
    "label_column": (
        Annotated[str | None, typer.Option(help="Column of a manifest (CSV or Parquet) that holds the label.")],
        "label",
    ),
    "split_column": (
        Annotated[str | None, typer.Option(help="Column of a manifest (CSV or Parquet) that names the part.")],
        "split",
    ),
}
"""How labels are found in data that leaves it open; a command takes them as `**reading`."""
AllowBad = Annotated[bool, typer.Option("--allow-bad", help="Go on where more than 5 % of the files are bad.")]
NoImages = Annotated[bool, typer.Option("--no-images", help="Leave thumbnails out of the page.")]

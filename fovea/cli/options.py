"""Options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="A model file (.safetensors).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, alone, on standard output.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto for the best one here.")]
LabelFrom = Annotated[
    str | None, typer.Option(metavar="REGEX", help="Labels are in the file names: a group finds them.")
]
PathColumn = Annotated[str | None, typer.Option(help="Column of a manifest (CSV or Parquet) that names the image.")]
LabelColumn = Annotated[str | None, typer.Option(help="Column of a manifest (CSV or Parquet) that holds the label.")]
SplitColumn = Annotated[str | None, typer.Option(help="Column of a manifest (CSV or Parquet) that names the part.")]
AllowBad = Annotated[bool, typer.Option("--allow-bad", help="Go on where more than 5 % of the files are bad.")]
NoImages = Annotated[bool, typer.Option("--no-images", help="Leave thumbnails out of the page.")]

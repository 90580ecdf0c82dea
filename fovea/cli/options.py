"""Options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="A model file (.safetensors, or .onnx).", show_default=False)]
Bundle = Annotated[str, typer.Argument(help="A model file (.safetensors).", show_default=False)]
"""Of commands that look into the network itself, or change it."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON, alone, on standard output.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto for the best one here.")]
READING = {
    "input": (
        Annotated[
            str | None,
            typer.Option("--input", metavar="KIND", help="What the samples are, where the data leaves that open."),
        ],
        None,
    ),
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
    "label_separator": (
        Annotated[
            str | None,
            typer.Option(metavar="TEXT", help="What separates several labels in one text.", show_default=";"),
        ],
        None,
    ),
    "label_columns": (
        Annotated[
            str | None,
            typer.Option(metavar="A,B,..", help="Columns of a manifest with 1, 0 or nothing for a label each."),
        ],
        None,
    ),
    "order": (Annotated[str | None, typer.Option(metavar="A,B,..", help="The grades, the lowest first.")], None),
}
"""How labels are found in data that leaves it open; a command takes them as `**reading`."""
TASKS = (
    "classes; number (one per image); labels (several per image); grade (classes in an order); "
    "masks, boxes or points on images."
)
"""What `--task` stands for."""
AllowBad = Annotated[bool, typer.Option("--allow-bad", help="Go on where more than 5 % of the files are bad.")]
NoImages = Annotated[bool, typer.Option("--no-images", help="Leave thumbnails out of the page.")]

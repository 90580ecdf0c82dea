"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer


def in_run(text: str) -> str:
    """Return the path of the model file in a run folder; any other text as it is."""
    from fovea.model.container import model_file

    file = model_file(text) if text else Path(text)
    return text if file == Path(text) else str(file)


DATA = "Data"
"""The panel of the help with what says how data is read."""
Model = Annotated[
    str,
    typer.Argument(
        help="A model file (.safetensors or .onnx), or a run.", show_default=False, parser=in_run, metavar="MODEL"
    ),
]
Bundle = Annotated[
    str,
    typer.Argument(help="A model file (.safetensors), or a run.", show_default=False, parser=in_run, metavar="MODEL"),
]
"""Of commands that look into the network itself, or change it."""
Data = Annotated[
    str,
    typer.Argument(help="A folder, a manifest, an archive, or a name: digits, cifar10, ...", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps, or auto: the best one of this machine.")]
BatchSize = Annotated[int, typer.Option(help="Images that are computed at once.", metavar="N", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.", metavar="N", min=0)]
Threads = Annotated[int | None, typer.Option(help="Processor threads.", metavar="N", min=1)]
READING = {
    "input": (
        Annotated[
            str | None,
            typer.Option(
                "--input",
                metavar="KIND",
                help="images, series or clips, if the data does not tell.",
                rich_help_panel=DATA,
            ),
        ],
        None,
    ),
    "label_from": (
        Annotated[
            str | None,
            typer.Option(
                metavar="REGEX",
                help="Labels are in the file names: the group of this expression.",
                rich_help_panel=DATA,
            ),
        ],
        None,
    ),
    "path_column": (
        Annotated[
            str | None,
            typer.Option(help="Column of the manifest (CSV or Parquet) with the image's path.", rich_help_panel=DATA),
        ],
        "path",
    ),
    "label_column": (
        Annotated[str | None, typer.Option(help="Column of the manifest with the label.", rich_help_panel=DATA)],
        "label",
    ),
    "split_column": (
        Annotated[
            str | None,
            typer.Option(help="Column of the manifest with the split: train, val or test.", rich_help_panel=DATA),
        ],
        "split",
    ),
    "label_separator": (
        Annotated[
            str | None,
            typer.Option(
                metavar="TEXT",
                help="What separates the labels of an image, with --task labels.",
                show_default=";",
                rich_help_panel=DATA,
            ),
        ],
        None,
    ),
    "label_columns": (
        Annotated[
            str | None,
            typer.Option(
                metavar="A,B,..",
                help="Columns of the manifest with 1 or 0 for a label each; empty: not known.",
                rich_help_panel=DATA,
            ),
        ],
        None,
    ),
    "order": (
        Annotated[
            str | None,
            typer.Option(
                metavar="A,B,..", help="The grades from lowest to highest, with --task grade.", rich_help_panel=DATA
            ),
        ],
        None,
    ),
}
"""How labels are found in data that leaves it open; a command takes them as `**reading`."""
TASKS = (
    "What is predicted: classes (one per image), labels (several per image), number, grade (classes in an order), "
    "masks, boxes or points."
)
AllowBad = Annotated[
    bool,
    typer.Option("--allow-bad", help="Continue even if more than 5 % of the files are bad.", rich_help_panel=DATA),
]
NoImages = Annotated[bool, typer.Option("--no-images", help="Leave thumbnails out of the page.")]

"""`fovea duplicates`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, TASKS, AllowBad, BatchSize, Bundle, Data, Device, Json
from fovea.cli.output import print_json, print_lines, print_table
from fovea.signatures import spelled_out


@spelled_out(READING, before="allow_bad")
def duplicates(
    model: Bundle,
    data: Data,
    index: Annotated[
        str | None,
        typer.Option(metavar="PATH.fovea-index", help="Store the embeddings in this index, or take them from it."),
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option(
            help="Copies are nearer than this share of the distance to the 20th neighbour; higher finds more.",
            show_default="0.5; 0.22 below 16 pixels",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="The layer whose output is the embedding.", show_default="the input of the last layer"
        ),
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="PATH", help="Write a page that shows the groups.")] = None,
    task: Annotated[str | None, typer.Option(help=TASKS, show_default="the network's own")] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Take every image below the folder; there are no labels.")
    ] = False,
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: BatchSize = 64,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Find copies of images by a network's features: also rotated or recoloured ones, which `check` does not find."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading")}
    from fovea.display import Display
    from fovea.jobs.duplicates import duplicates as job

    with Display() as display:
        result = job(**given, **reading, display=display)
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.summary())
        if rows := result.rows():
            print_table(("found by", "ratio", "images", "more"), rows)

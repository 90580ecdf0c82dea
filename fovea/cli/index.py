"""`fovea index`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, TASKS, AllowBad, BatchSize, Device, Json, in_run
from fovea.cli.output import print_json, print_lines
from fovea.signatures import spelled_out


@spelled_out(READING, before="allow_bad")
def index(
    model: Annotated[
        str,
        typer.Argument(
            help="A model file (.safetensors) or a run; or an index.",
            show_default=False,
            parser=in_run,
            metavar="MODEL|INDEX",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Argument(help="A folder, a manifest, an archive, or a name; not with an index.", show_default=False),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="PATH.fovea-index", help="The index to write or to update.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="The layer whose output is the embedding.", show_default="the input of the last layer"
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Distance of searches by default: l2 or cosine.", show_default="l2 in a new index"),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store float16, which takes half the space.")] = False,
    export: Annotated[
        str | None,
        typer.Option(metavar="FORM", help="Also write the index for another library: faiss, with a CSV of its rows."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Leave out images of these names from now on, as 'private/*'; may be repeated."
        ),
    ] = None,
    restore: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Undo --drop of this pattern; may be repeated.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split: train, val, test or whole (all images).")] = "whole",
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
    """Store the embeddings of all images for `fovea search`; a second time, only of new or changed images.

    With an index alone, show what it holds, or change it: --drop, --restore, --metric, --export.
    """
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading", "drop", "restore")}
    from fovea.display import Display
    from fovea.jobs.index import index as job

    with Display() as display:
        result = job(**given, drop=drop or (), restore=restore or (), **reading, display=display)
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.summary())

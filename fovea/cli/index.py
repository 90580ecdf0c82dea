"""`fovea index`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, TASKS, AllowBad, Device, Json
from fovea.cli.output import print_json, print_lines
from fovea.signatures import spelled_out


@spelled_out(READING, before="allow_bad")
def index(
    model: Annotated[str, typer.Argument(help="A model file (.safetensors); or an index.", show_default=False)],
    data: Annotated[
        str | None, typer.Argument(help="A folder, manifest, archive or name; nothing of an index.", show_default=False)
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="PATH.fovea-index", help="The index: made, or brought up to date.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Embed by what this layer gives.", show_default="what enters the last layer"),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="l2 or cosine: what searches take by default.", show_default="as it is; l2 in a new one"),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    export: Annotated[
        str | None, typer.Option(metavar="FORM", help="Write it for others, too: faiss, with a CSV of its rows.")
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Leave these names out from now on, as 'private/*'; repeatable."),
    ] = None,
    restore: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Take back a pattern that was dropped; repeatable.")
    ] = None,
    split: Annotated[str, typer.Option(help="Part of DATA: train, val, test or whole.")] = "whole",
    task: Annotated[str | None, typer.Option(help=TASKS, show_default="the network's own")] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Take every image below the folder, and no labels.")
    ] = False,
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 64,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Keep what a network makes of every image, to search in: only what is new or changed is embedded.

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

"""`fovea duplicates`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, TASKS, AllowBad, Bundle, Device, Json
from fovea.cli.output import print_json, print_lines, print_table
from fovea.signatures import spelled_out


@spelled_out(READING, before="allow_bad")
def duplicates(
    model: Bundle,
    data: Annotated[str, typer.Argument(help="A folder, manifest, archive or name.", show_default=False)],
    index: Annotated[
        str | None, typer.Option(metavar="PATH.fovea-index", help="Keep the embeddings, or bring these up to date.")
    ] = None,
    ratio: Annotated[
        float, typer.Option(help="Alike are images nearer than this share of their 20th neighbours' distance.")
    ] = 0.5,
    layer: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Embed by what this layer gives.", show_default="what enters the last layer"),
    ] = None,
    page: Annotated[str | None, typer.Option(metavar="PATH", help="Write a page with the groups as pictures.")] = None,
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
    """Find copies in data by their pixels, and by what a network sees: also those that were turned or recoloured."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading")}
    from fovea.display import Display
    from fovea.jobs.duplicates import duplicates as job

    with Display() as display:
        result = job(**given, **reading, display=display)
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.summary())
        print_table(("found by", "ratio", "images", "more"), result.rows())

"""`fovea label`."""

from typing import Annotated

import typer

from fovea.cli.options import Bundle, Device, Json
from fovea.cli.output import print_json, print_lines, print_table

SHOWN = 10
"""Images in the table; the list has all."""


def label(
    model: Bundle,
    data: Annotated[
        str, typer.Argument(help="A folder of any depth, an archive of one, or a manifest.", show_default=False)
    ],
    out: Annotated[str, typer.Option(metavar="LIST.csv", help="The list; rows with a label stay.", show_default=False)],
    count: Annotated[int, typer.Option("-n", "--count", help="How many to label next.", min=1)] = 100,
    by: Annotated[str, typer.Option(help="margin or entropy (least sure), core-set (least known).")] = "margin",
    index: Annotated[
        str | None, typer.Option(metavar="INDEX", help="Under core-set: what is known, from `fovea index`.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Under core-set: whose output is the embedding.", show_default="what enters the last"),
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="PATH", help="Write a page with the images.")] = None,
    input: Annotated[
        str | None, typer.Option("--input", metavar="KIND", help="What the samples are.", show_default="of the model")
    ] = None,
    path_column: Annotated[str, typer.Option(help="Of a manifest: the column of paths.")] = "path",
    label_column: Annotated[str, typer.Option(help="Of a manifest: that of labels; it may be missing.")] = "label",
    device: Device = "auto",
    batch: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 64,
    as_json: Json = False,
) -> None:
    """List the images without a label that are most worth one, for a person to fill in and a training to read."""
    given = {name: value for name, value in locals().items() if name != "as_json"}
    from fovea.display import Display
    from fovea.jobs.label import label as job

    with Display() as display:
        result = job(**given, display=display)
    if as_json:
        print_json(result.to_dict())
        return
    print_lines(result.summary())
    print_table(("image", "prediction", "", "doubt"), result.rows(most=SHOWN))

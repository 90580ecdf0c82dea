"""`fovea label`."""

from typing import Annotated

import typer

from fovea.cli.options import BatchSize, Bundle, Device, Json
from fovea.cli.output import print_json, print_lines, print_table

SHOWN = 10
"""Images in the table; the list has all."""


def label(
    model: Bundle,
    data: Annotated[
        str, typer.Argument(help="A folder (with folders in it), its archive, or a manifest.", show_default=False)
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="LIST.csv", help="The list to write; its rows that have a label stay.", show_default=False
        ),
    ],
    count: Annotated[int, typer.Option("-n", "--count", help="How many images to list.", metavar="N", min=1)] = 100,
    by: Annotated[
        str,
        typer.Option(
            help="Choose by margin or entropy (the network is least sure), or core-set (least similar to known images)."
        ),
    ] = "margin",
    index: Annotated[
        str | None, typer.Option(metavar="INDEX", help="With core-set: the index of the known images.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="With core-set: the layer whose output is the embedding.", show_default="the input of the last layer"
        ),
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="PATH", help="Write a page that shows the images.")] = None,
    input: Annotated[
        str | None,
        typer.Option("--input", metavar="KIND", help="images, series or clips.", show_default="as the model"),
    ] = None,
    path_column: Annotated[str, typer.Option(help="Column of the manifest with the image's path.")] = "path",
    label_column: Annotated[
        str, typer.Option(help="Column of the manifest with the label; it may be missing.")
    ] = "label",
    device: Device = "auto",
    batch: BatchSize = 64,
    as_json: Json = False,
) -> None:
    """List the unlabelled images that are most useful to label next: a CSV to fill in and to train on."""
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

"""`fovea trust`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, BatchSize, Bundle, Data, Device, Json, Seed
from fovea.cli.output import print_json, print_lines, print_table
from fovea.signatures import spelled_out


@spelled_out(READING, before="allow_bad")
def trust(
    model: Bundle,
    data: Data,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,..",
            help="The methods to test, or all; by default those that are fast.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(help="How many images to test on, evenly over the classes.", metavar="N", min=1)
    ] = 16,
    split: Annotated[
        str,
        typer.Option(help="The split: train, val, test or whole (all images). Without a test split: val, then whole."),
    ] = "test",
    layer: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The layer whose map is drawn.", show_default="the last spatial activation"),
    ] = None,
    steps: Annotated[
        int, typer.Option(help="Points on the curves of insertion and deletion.", metavar="N", min=1)
    ] = 16,
    boxes: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A CSV with path, x0, y0, x1, y1 (pixels): where the objects are."),
    ] = None,
    planted: Annotated[
        bool, typer.Option(help="Also test the methods on a small network that has learned a known cue.")
    ] = True,
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="The page to write.", show_default="from MODEL")
    ] = None,
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: BatchSize = 32,
    seed: Seed = 0,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Test which methods of `fovea explain` can be trusted on a network: a table and a page."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading", "method")}
    from fovea.display import Display
    from fovea.jobs.trust import QUICK
    from fovea.jobs.trust import trust as job

    with Display() as display:
        result = job(**given, method=method or QUICK, **reading, display=display)
    if as_json:
        print_json(result.to_dict())
        return
    print_table(*result.table)
    print_lines(result.summary())

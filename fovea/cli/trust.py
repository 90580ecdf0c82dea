"""`fovea trust`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, Bundle, Device, Json
from fovea.cli.output import print_json, print_lines, print_table
from fovea.signatures import spelled_out


@spelled_out(READING, before="allow_bad")
def trust(
    model: Bundle,
    data: Annotated[str, typer.Argument(help="A folder, manifest, archive or name.", show_default=False)],
    method: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,..",
            help="Methods, as for explain, or all; those of few passes where none is named.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[int, typer.Option(help="Images that are drawn, evenly over classes.", min=1)] = 16,
    split: Annotated[
        str, typer.Option(help="Part of DATA: train, val, test or whole; val, then whole, where there is no test.")
    ] = "test",
    layer: Annotated[
        str | None, typer.Option(metavar="PATH", help="The layer whose map is weighed; the last spatial activation.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of the curves of insertion and deletion.", min=1)] = 16,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A CSV with columns path, x0, y0, x1, y1, in pixels: where maps should point."
        ),
    ] = None,
    planted: Annotated[bool, typer.Option(help="Try methods on a small network that learned a known cue, too.")] = True,
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="The page: NAME-trust.html where none.", show_default=False)
    ] = None,
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(help="Inputs at a time.", min=1)] = 32,
    seed: Annotated[int, typer.Option(help="Of what is drawn: images, random maps, random weights.", min=0)] = 0,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Tell which methods of explanation are to be believed on a network: a table, a page, and badges for explain."""
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

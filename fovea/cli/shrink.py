"""`fovea shrink`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, Bundle, Device, Json
from fovea.cli.output import print_json, print_lines, print_table
from fovea.cli.settings import assigned
from fovea.signatures import spelled_out


@spelled_out(READING, before="as_json")
def shrink(
    model: Bundle,
    data: Annotated[str, typer.Argument(help="A folder, manifest, archive or name.", show_default=False)],
    steps: Annotated[
        str | None, typer.Option(metavar="A,B=N,..", help="What is done, in order: fold,finetune=3 (docs/shrink.md).")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="WHAT=HOW", help="In place of --steps: latency=4x, macs=.., bytes=..")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(metavar="POINTS", help="Stop before the step that loses more of the score.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="Model files that the step `distil` learns from.")
    ] = None,
    members: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="Model files that the step `soup` averages with.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="FILE.PY:NET", help="The code of your own network, which no model file holds.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A field of the recipe by which steps train."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="The model file that is written.", show_default="MODEL-small")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished step.")] = False,
    plot: Annotated[
        str | None, typer.Option(metavar="PATH", help="Draw scores against bytes: .png, .jpg, .pdf or .svg.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.", min=0)] = 0,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", min=1)] = None,
    device: Device = "auto",
    allow_bad: AllowBad = False,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Make a network smaller and faster, step by step, each step measured."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading", "assignments")}
    from fovea.display import Display
    from fovea.jobs.shrink import shrink as job

    with Display() as display:
        done = job(**given, recipe=assigned(assignments or (), taken=()), **reading, display=display)
    if as_json:
        print_json(done.to_dict())
    else:
        print_table(done.table.columns, done.table.rows)
        print_lines(done.summary())
    if not done.reached:
        raise typer.Exit(1)

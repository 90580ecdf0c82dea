"""`fovea shrink`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, Bundle, Data, Device, Json, Seed, Threads
from fovea.cli.output import print_json, print_lines, print_table
from fovea.cli.settings import assigned
from fovea.signatures import spelled_out


@spelled_out(READING, before="as_json")
def shrink(
    model: Bundle,
    data: Data,
    steps: Annotated[
        str | None,
        typer.Option(metavar="A,B=N,..", help="The steps in order, as fold,prune=0.5; docs/shrink.md lists them."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="WHAT=HOW", help="Instead of --steps, what to reach: latency=4x, macs=0.5, bytes=1M, ..."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Stop before a step that loses more than this many points of the score."),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="Models that the step `distil` learns from.")
    ] = None,
    members: Annotated[
        str | None, typer.Option(metavar="A,B,..", help="Models that the step `soup` averages with.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="FILE.PY:NET", help="The code of your own network, if the model is one.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A field of the recipe for steps that train; may be repeated."),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="The model file to write.", show_default="MODEL-small")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume after the last finished step.")] = False,
    plot: Annotated[
        str | None, typer.Option(metavar="PATH", help="Draw the score over the size: .png, .jpg, .pdf or .svg.")
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    device: Device = "auto",
    allow_bad: AllowBad = False,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Make a network smaller and faster in steps, and measure after each."""
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

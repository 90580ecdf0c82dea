"""`fovea check`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, TASKS, Data, Device, Json, in_run
from fovea.cli.output import complain, print_json, print_lines, print_table
from fovea.signatures import spelled_out


@spelled_out(READING, before="task")
def check(
    data: Data,
    html: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write a page that shows the images concerned.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there are faults (lines with !).")] = False,
    task: Annotated[str, typer.Option(help=TASKS)] = "classes",
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Also list labels that look wrong to this network.", parser=in_run),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="With --model: the layer whose output is compared.", show_default="the input of the last layer"
        ),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Look for faults in data: bad files, duplicates, leaks between splits, wrong labels, imbalance."""
    given = {name: value for name, value in locals().items() if name not in ("strict", "as_json", "reading")}
    from fovea.display import Display
    from fovea.jobs.check import check as job

    with Display() as display:
        result = job(**given, **reading, display=display)
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.summary())
        rows = [("!" if row.fault and row.found else "", row.what, row.found, row.example) for row in result.findings]
        print_table(("", "looked for", "found", "for example"), rows)
    if strict and result.faults:
        complain(f"--strict allows no faults, and {result.data} has {result.faults}")
        raise typer.Exit(1)

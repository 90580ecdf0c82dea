"""`fovea explain`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, Device, Json, Model
from fovea.cli.output import complain, print_json, print_lines
from fovea.signatures import spelled_out


@spelled_out(READING, before="allow_bad")
def explain(
    model: Model,
    images: Annotated[list[str] | None, typer.Argument(help="Files, folders, globs.", show_default=False)] = None,
    method: Annotated[
        str, typer.Option(metavar="A,B,..", help="Methods: gradcam, layercam, cam, ...; see docs/explain.md.")
    ] = "gradcam",
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="ANSWER", help="Explain this class, label or grade, by name or number; once per answer."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="ANSWER", help="Explain why the answer is not this one.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="PATH", help="The layer whose map is weighed; the last spatial activation.")
    ] = None,
    mistakes: Annotated[
        str | None, typer.Option(metavar="DATA", help="Explain the worst mistakes on this data set.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Part of DATA: train, val, test or whole; val, then whole, where there is no test.")
    ] = "test",
    out: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The page of one image, the folder of several.", show_default=False),
    ] = None,
    allow_bad: AllowBad = False,
    device: Device = "auto",
    batch: Annotated[int, typer.Option(help="Changed images at a time, of methods that take many.", min=1)] = 32,
    seed: Annotated[int, typer.Option(help="Of methods that draw.", min=0)] = 0,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Show where in images a network sees its answer: a page with overlays, pictures and raw maps."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading")}
    from fovea.display import Display
    from fovea.jobs.explain import explain as job

    given |= {"images": images or (), "target": target or ()}
    with Display() as display:
        result = job(**given, **reading, display=display)
    print_json(result.to_dict()) if as_json else print_lines(result.summary())
    if result.failed:
        complain(f"{result.failed} of the images cannot be read")
        raise typer.Exit(1)

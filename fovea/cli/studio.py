"""`fovea studio`."""

from typing import Annotated

import typer

from fovea.cli.output import remark


def studio(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL|RUN|DATA]", help="A model file, an .onnx, a run, or data.", show_default=False),
    ] = None,
    network: Annotated[str | None, typer.Option(metavar="FILE.PY:NET", help="The code of your own network.")] = None,
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open a network in the browser: its layers on any image, each unit with what it sees and how it comes about."""
    from fovea.studio.start import open_studio as job

    job(
        what,
        network=network,
        port=port,
        browser=not no_browser,
        ready=lambda address: remark(f"Studio   {address} (Ctrl-C ends it)"),
    )

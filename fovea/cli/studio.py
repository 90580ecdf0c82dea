"""`fovea studio`."""

from typing import Annotated

import typer

from fovea.cli.output import remark


def studio(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL|RUN|DATA]", help="A model file (.safetensors or .onnx), a run, or data.", show_default=False
        ),
    ] = None,
    network: Annotated[str | None, typer.Option(metavar="FILE.PY:NET", help="The code of your own network.")] = None,
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", metavar="N", min=0, max=65535)] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address; open no browser.")] = False,
) -> None:
    """Open the studio in the browser: train, look into every layer, explain, change, label, learn."""
    from fovea.studio.start import open_studio as job

    job(
        what,
        network=network,
        port=port,
        browser=not no_browser,
        ready=lambda address: remark(f"Studio   {address} (Ctrl-C ends it)"),
    )

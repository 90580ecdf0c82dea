"""`fovea serve`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from fovea.cli.output import remark


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Model files or runs, each as MODEL or NAME=MODEL.", show_default=False
        ),
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen on; one that other machines reach needs a token.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Number of processes.")] = 1,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each process.", show_default="all processors together")
    ] = None,
    batch: Annotated[int, typer.Option(help="Most images that are computed at once.")] = 16,
    wait_ms: Annotated[
        float, typer.Option(help="Longest time that an image waits for others to share its batch, in milliseconds.")
    ] = 4.0,
    queue: Annotated[int, typer.Option(help="Most images that wait in a process; more are refused.")] = 128,
    timeout_s: Annotated[float, typer.Option(help="Longest time of a request, in seconds.")] = 30.0,
    body_mb: Annotated[float, typer.Option(help="Largest request, in megabytes.")] = 32.0,
    files: Annotated[int, typer.Option(help="Most files in one request.")] = 64,
    busy_status: Annotated[int, typer.Option(help="The status that a full server answers with: 503 or 429.")] = 503,
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file with the secret that requests must carry.")
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Allow requests without a secret from other machines.")
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A host name that requests may use; may be repeated.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Reload model files that are replaced.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also offer explanations (model files only, not .onnx).")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(metavar="DATA", help="Measure drift against the validation split of this data.")
    ] = None,
) -> None:
    """Serve models over HTTP: predictions, a page to upload images to, metrics, Open Inference Protocol."""
    given = {name: value for name, value in locals().items() if name not in ("models", "allow_host")}
    from fovea.display import Display
    from fovea.jobs.serve import serve as job

    def ready(names: Sequence[str], origin: str) -> None:
        remark(f"Serving  {', '.join(names)} at {origin} (Ctrl-C ends it)")

    with Display() as display:
        job(models, **given, allow_host=allow_host or (), ready=ready, display=display)

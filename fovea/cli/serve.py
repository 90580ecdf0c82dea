"""`fovea serve`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from fovea.cli.output import remark


def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Model files, each as FILE or NAME=FILE.", show_default=False),
    ],
    host: Annotated[str, typer.Option(help="The address to listen at; others than this machine's want a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    threads: Annotated[
        int | None, typer.Option(help="Of each process.", show_default="all processors together")
    ] = None,
    batch: Annotated[int, typer.Option(help="Images that are computed at once, at most.")] = 16,
    wait_ms: Annotated[
        float, typer.Option(help="How long an image that came while the engine was busy waits for others, at most.")
    ] = 4.0,
    queue: Annotated[int, typer.Option(help="Images that a process takes on at a time; more are refused.")] = 128,
    timeout_s: Annotated[float, typer.Option(help="Seconds for a request, from its head to its answer.")] = 30.0,
    body_mb: Annotated[float, typer.Option(help="Most of one request, in million bytes.")] = 32.0,
    files: Annotated[int, typer.Option(help="Most files of one request.")] = 64,
    busy_status: Annotated[int, typer.Option(help="What a full server answers: 503 or 429.")] = 503,
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Requests must bring the secret in this file.")
    ] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Let anybody ask who reaches the address.")] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name of this server, beside addresses; once per name.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Take over model files that are replaced.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show too where bundles see their answers.")] = False,
    reference: Annotated[
        str | None, typer.Option(metavar="DATA", help="Measure drift against the validation part of this data.")
    ] = None,
) -> None:
    """Answer over HTTP: predictions in batches, a page to upload to, metrics, the Open Inference Protocol."""
    given = {name: value for name, value in locals().items() if name not in ("models", "allow_host")}
    from fovea.display import Display
    from fovea.jobs.serve import serve as job

    def ready(names: Sequence[str], origin: str) -> None:
        remark(f"Serving  {', '.join(names)} at {origin} (Ctrl-C ends it)")

    with Display() as display:
        job(models, **given, allow_host=allow_host or (), ready=ready, display=display)

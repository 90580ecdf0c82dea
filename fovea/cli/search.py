"""`fovea search`."""

from typing import Annotated

import typer

from fovea.cli.options import BatchSize, Device, Json, in_run
from fovea.cli.output import complain, print_json, print_lines, print_table, remark


def search(
    index: Annotated[str, typer.Argument(help="A file that `fovea index` made.", show_default=False)],
    images: Annotated[list[str], typer.Argument(help="Files, folders or patterns.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model that the index was made with.",
            show_default="where it was, below the index",
            parser=in_run,
        ),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", "--count", help="How many of the nearest images to show.", metavar="N", min=1)
    ] = 6,
    metric: Annotated[
        str | None, typer.Option(help="Distance: l2 or cosine.", show_default="that of the index")
    ] = None,
    approximate: Annotated[
        bool,
        typer.Option("--approximate", help="Search only a part of the index (needs faiss); the recall is measured."),
    ] = False,
    html: Annotated[str | None, typer.Option(metavar="PATH", help="Write a page with the images found.")] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="The images of the index.", show_default="where they were, below the index"),
    ] = None,
    device: Device = "auto",
    batch: BatchSize = 64,
    as_json: Json = False,
) -> None:
    """Find the images of an index that are most similar to the given ones."""
    from fovea.display import Display
    from fovea.jobs.search import search as job

    with Display() as display:
        result = job(
            index,
            images,
            model=model,
            k=k,
            metric=metric,
            approximately=approximate,
            html=html,
            data=data,
            device=device,
            batch=batch,
            display=display,
        )
    failed = [answer for answer in result.answers if answer.error]
    for answer in failed:
        complain(f"{answer.image}: {answer.error}")
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.summary())
        print_table(("image", "", "distance", "nearest", "label"), result.rows())
    if failed:
        remark(f"{len(failed)} of the inputs cannot be read")
        raise typer.Exit(1)

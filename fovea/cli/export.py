"""`fovea export`."""

from typing import Annotated

import typer

from fovea.cli.options import Json, Model
from fovea.cli.output import print_json, print_lines


def export(
    model: Model,
    to: Annotated[str, typer.Option(metavar="TARGET", help="What is written: onnx, executorch, pt2, triton, web.")] = "onnx",
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE", help="The file or folder that is written.", show_default="the model's name, another suffix"
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Normalised float32 in, logits out.")] = False,
    dynamic_size: Annotated[bool, typer.Option("--dynamic-size", help="Leave height and width open.")] = False,
    half: Annotated[bool, typer.Option("--half", help="Half precision inside.")] = False,
    images: Annotated[
        str | None, typer.Option(metavar="PATH", help="Prove on these: a file, a folder or a data set.")
    ] = None,
    single_file: Annotated[bool, typer.Option("--single-file", help="With --to web: one HTML file.")] = False,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="With --to web: onnxruntime-web, its archive or folder.", show_default="fetched once"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a network for other programs, proven to compute the same: ONNX with all that its use needs inside."""
    from fovea.display import Display
    from fovea.jobs.export import export as job

    with Display() as display:
        done = job(
            model,
            to=to,
            out=out,
            raw=raw,
            dynamic_size=dynamic_size,
            half=half,
            images=images,
            single_file=single_file,
            runtime=runtime,
            display=display,
        )
    print_json(done.to_dict()) if as_json else print_lines(done.summary())

"""`fovea export`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import READING, AllowBad, Bundle, Json
from fovea.cli.output import print_json, print_lines
from fovea.signatures import spelled_out


@spelled_out(READING, before="as_json")
def export(
    model: Bundle,
    to: Annotated[
        str, typer.Option(metavar="TARGET", help="What is written: onnx, executorch, litert, ncnn, pt2, triton, web.")
    ] = "onnx",
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
    int8: Annotated[
        str | None, typer.Option(metavar="DATA", help="Integers inside, calibrated on the training part of this data.")
    ] = None,
    max_drop: Annotated[
        float, typer.Option(metavar="POINTS", help="With --int8: points of the score that validation may lose.")
    ] = 0.5,
    keep: Annotated[
        str, typer.Option(metavar="A,B,..", help="With --int8: layers that stay float: auto, none, or names.")
    ] = "auto",
    ranges: Annotated[
        str, typer.Option(help="With --int8: how ranges are chosen: minmax, percentile, mse, or auto for the best.")
    ] = "auto",
    allow_bad: AllowBad = False,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Write a network for other programs, proven to compute the same: ONNX with all that its use needs inside."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading")}
    from fovea.display import Display
    from fovea.jobs.export import export as job

    with Display() as display:
        done = job(**given, **reading, display=display)
    print_json(done.to_dict()) if as_json else print_lines(done.summary())

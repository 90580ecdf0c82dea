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
        str, typer.Option(metavar="TARGET", help="The format: onnx, executorch, litert, ncnn, pt2, triton or web.")
    ] = "onnx",
    out: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="The file or folder to write.", show_default="next to the model"),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The bare network: normalised float32 in, logits out.")] = False,
    dynamic_size: Annotated[
        bool, typer.Option("--dynamic-size", help="Accept images of any height and width.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Compute in half precision.")] = False,
    images: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Compare the outputs on these images: a file, a folder or a data set."),
    ] = None,
    single_file: Annotated[bool, typer.Option("--single-file", help="With --to web: write one HTML file.")] = False,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="With --to web: the archive or folder of onnxruntime-web.",
            show_default="downloaded once",
        ),
    ] = None,
    int8: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Compute in 8-bit integers, calibrated on the training split of this data."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(metavar="POINTS", help="With --int8: points of the validation score that may be lost.")
    ] = 0.5,
    keep: Annotated[
        str, typer.Option(metavar="A,B,..", help="With --int8: layers that stay in float: auto, none, or names.")
    ] = "auto",
    ranges: Annotated[
        str,
        typer.Option(help="With --int8: how ranges are chosen: minmax, percentile, mse, or auto (the best of them)."),
    ] = "auto",
    allow_bad: AllowBad = False,
    as_json: Json = False,
    **reading: Any,
) -> None:
    """Write a network for other programs (ONNX and more), and prove that it computes the same."""
    given = {name: value for name, value in locals().items() if name not in ("as_json", "reading")}
    from fovea.display import Display
    from fovea.jobs.export import export as job

    with Display() as display:
        done = job(**given, **reading, display=display)
    print_json(done.to_dict()) if as_json else print_lines(done.summary())

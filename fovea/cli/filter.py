"""`fovea filter`."""

from typing import Annotated, Literal

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_lines

KERNELS = (
    "sobel-x, sobel-y, prewitt-x, prewitt-y, laplacian, sharpen, emboss (images); box, gaussian, low-pass, high-pass "
    "(both), recent, dirac-train (signals), these also with a size, as box-9; or rows of numbers: '0 -1 0; -1 5 -1; "
    "0 -1 0'."
)


def _padding(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdecimal() else text


def filter(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE|SIGNAL.csv", help="An image, or a signal: a CSV with a value per row, or time and value."
        ),
    ],
    kernel: Annotated[str, typer.Option(help=KERNELS, show_default=False)],
    stride: Annotated[int, typer.Option(help="Pixels from one output to the next.", metavar="N", min=1)] = 1,
    padding: Annotated[
        str,
        typer.Option(
            parser=_padding,
            metavar="NAME|N",
            help="Pixels added around the input: same, valid, full, or N.",
        ),
    ] = "same",
    mode: Annotated[
        Literal["zero", "reflect", "replicate", "circular"],
        typer.Option(metavar="MODE", help="What is added around the input: zero, reflect, replicate or circular."),
    ] = "replicate",
    out: Annotated[
        str | None,
        typer.Option(help="The picture to write: .png, .jpg, .pdf or .svg.", show_default="SOURCE-KERNEL.png"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Apply a classic filter to an image or a signal, and draw input, kernel and output."""
    given = {name: value for name, value in locals().items() if name != "as_json"}
    from fovea.display import Display
    from fovea.jobs.filter import filter as job

    with Display() as display:
        result = job(**given, display=display)
    print_json(result.to_dict()) if as_json else print_lines(result.summary())

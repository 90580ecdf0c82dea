"""`fovea measure`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fovea.cli.measure_questions import Answers, Questions, answered
from fovea.cli.options import Json
from fovea.cli.output import print_json, print_lines, print_table, remark, terminal_width
from fovea.cli.settings import assigned
from fovea.errors import UsageError

if TYPE_CHECKING:
    from fovea.measurement.result import Measurement
    from fovea.measurement.tables import Choice


def measure(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A name (`fovea models`), a model file, a run, file.py:Net, or letters.", show_default=False
        ),
    ] = None,
    input: Annotated[
        str | None, typer.Option(metavar="CxHxW", help="Shape of one image: channels, height, width, as 3x224x224.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An argument of the network, as width=0.5.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Sum up layers that are nested deeper; 1 shows the stages.", metavar="N", min=1)
    ] = None,
    sort: Annotated[str | None, typer.Option(help="Largest first, by parameters, macs, kept, ...")] = None,
    top: Annotated[int | None, typer.Option(help="Show only this many rows.", metavar="N", min=1)] = None,
    compare: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="Compare two networks.", show_default=False)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if a stride leaves rows or columns unseen, and list all that do.")
    ] = False,
    convention: Annotated[
        str, typer.Option(metavar="pytorch|keras", help="How parameters are counted; keras includes moving averages.")
    ] = "pytorch",
    unit: Annotated[
        str | None, typer.Option(metavar="LAYER:ROW,COLUMN", help="Draw what one unit sees of the input.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="With --unit: the image to draw on.", show_default="a grid")] = None,
    out: Annotated[
        str | None, typer.Option(help="With --unit: the picture to write, .png, .jpg, .pdf or .svg.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="batch=N", help="Peak memory of prediction and training for N images.")
    ] = None,
    latency: Annotated[bool, typer.Option("--latency", help="Time a prediction on this machine.")] = False,
    device: Annotated[str, typer.Option(help="With --latency: cpu, cuda, mps or auto.")] = "auto",
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write a page with a graph and the table.")] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: a line for each layer.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Show each layer of a network: shapes, parameters, multiply-adds, memory, receptive field."""
    from fovea.jobs.measure import measure as job
    from fovea.measurement.tables import Choice

    if as_json + as_csv + as_markdown > 1:
        raise UsageError("`--json`, `--csv` and `--markdown` cannot be used together; choose one.")
    if (model is None) == (compare is None):
        raise UsageError("Name one network, or two with `--compare A B`.")
    if assignments and (unit or memory or latency):
        raise UsageError(
            "`--set` is for tables and pages; `fovea build` makes a model file for --unit, --memory and --latency."
        )
    questions = Questions(unit, image, out, memory, latency, device, html)
    questions.check(alone=not (compare or as_csv or as_markdown))
    measured = [
        job(name, _shape(input), convention=convention, arguments=assigned(assignments or (), taken=()))
        for name in compare or (model or "",)
    ]
    if strict:
        _require_fitting(measured)
    if len(measured) == 2:
        _print_comparison(*measured, as_json=as_json)
        return
    form = "json" if as_json else "csv" if as_csv else "markdown" if as_markdown else "text"
    choice = Choice(depth=depth, sort=sort, top=top)
    if questions.asked:
        answers = answered(model or "", _shape(input), questions)
        _print_answers(measured[0], choice, answers, html=html, as_json=as_json)
    else:
        _print(measured[0], choice, form=form)


def _require_fitting(measured: "Sequence[Measurement]") -> None:
    """List the strides that do not divide, where there are several, and raise ShapeError for the first."""
    from fovea.jobs.measure import require_fitting
    from fovea.measurement.tables import leftover_lines

    for measurement in measured:
        lines = [line for layer in measurement.layers for line in leftover_lines(layer)]
        for line in lines if len(lines) > 1 else ():
            remark(line)
        require_fitting(measurement)


def _print(measurement: "Measurement", choice: "Choice", *, form: str) -> None:
    from fovea.measurement.result import CONVENTIONS
    from fovea.measurement.tables import csv_table, markdown_table, rows_of
    from fovea.measurement.text_table import text_table

    rows_of(measurement, choice)  # refuses an unknown column before anything is printed
    if form == "json":
        print_json(measurement.to_dict())
    elif form == "csv":
        print_lines(csv_table(measurement, choice).splitlines())
        for line in CONVENTIONS:
            remark(line)
    elif form == "markdown":
        print_lines(markdown_table(measurement, choice))
    else:
        print_lines(text_table(measurement, choice, width=terminal_width()))


def _print_answers(
    measurement: "Measurement", choice: "Choice", answers: "Answers", *, html: str | None, as_json: bool
) -> None:
    """Print what was asked, in place of the table; write the page."""
    from fovea.report.measurement import write_measurement

    lines = [line for answer in answers.values() for line in answer.summary()]
    if html is not None:
        lines = [*lines, f"Page       {write_measurement(measurement, html, choice=choice, lines=lines)}"]
    if as_json:
        print_json({**measurement.to_dict(), **{name: answer.to_dict() for name, answer in answers.items()}})
    else:
        print_lines(lines)


def _print_comparison(a: "Measurement", b: "Measurement", *, as_json: bool) -> None:
    from fovea.measurement.result import CONVENTIONS
    from fovea.measurement.tables import comparison, shortened

    if as_json:
        print_json({"a": a.to_dict(), "b": b.to_dict()})
        return
    print_table(("", shortened(a.name, 26), shortened(b.name, 26), "second / first"), comparison(a, b))
    print_lines(CONVENTIONS[:2])


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    sizes = text.lower().split("x")
    if not all(size.isdecimal() for size in sizes):
        raise UsageError(f"`--input {text}` must be the shape of one image, channels first: 3x224x224.")
    return tuple(map(int, sizes))

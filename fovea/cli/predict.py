"""`fovea predict`."""

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fovea.cli.options import Device, Json, Model
from fovea.cli.output import complain
from fovea.errors import UsageError
from fovea.texts import cell, for_json, plain

if TYPE_CHECKING:
    from fovea.jobs.predict import FilePrediction


def predict(
    model: Model,
    images: Annotated[list[str], typer.Argument(help="Files, folders, globs; - reads names from standard input.")],
    top: Annotated[int | None, typer.Option(help="How many classes to show.", min=1, show_default="5")] = None,
    ensemble: Annotated[str, typer.Option(metavar="B,C", help="Further models to average with.")] = "",
    device: Device = "auto",
    batch: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 64,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line per image and answer.")] = False,
) -> None:
    """Say what images show: the most probable classes of each, its labels, grade or number."""
    from fovea.jobs.predict import predict as job

    if as_json and as_csv:
        raise UsageError("`--json` and `--csv` exclude each other; choose one.")
    others = [name.strip() for name in ensemble.split(",") if name.strip()]
    failed: list[str] = []
    results = job(model, _with_standard_input(images), top=top, ensemble=others, device=device, batch=batch)
    write = _write_json if as_json else _write_csv if as_csv else _write_lines
    write(_counted(_noting_failures(results, failed)))
    if failed:
        complain(f"{len(failed)} of the images cannot be read")
        raise typer.Exit(1)


def _with_standard_input(images: Iterable[str]) -> Iterator[str]:
    for image in images:
        if image == "-":
            yield from (name for line in sys.stdin if (name := line.rstrip("\r\n")))
        else:
            yield image


def _noting_failures(results: "Iterable[FilePrediction]", failed: list[str]) -> "Iterator[FilePrediction]":
    for result in results:
        if result.error:
            failed.append(result.image)
            complain(f"{result.image}: {result.error}")
        yield result


def _counted(results: "Iterable[FilePrediction]") -> "Iterator[FilePrediction]":
    """Yield `results`; where they go from a terminal into a file, show how many there have been."""
    if not sys.stderr.isatty() or not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        yield from results
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = SpinnerColumn(), TextColumn("{task.completed:,.0f} images")
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        yield from progress.track(results)


def _write_lines(results: "Iterable[FilePrediction]") -> None:
    for result in results:
        if result.prediction is not None:
            print(plain(f"{result.image}  {result.prediction.text}"))


def _write_json(results: "Iterable[FilePrediction]") -> None:
    """Print an array, which is closed however the results end."""
    separator = "["
    try:
        for result in results:
            print(separator, json.dumps(for_json(result.to_dict()), allow_nan=False), sep="\n", end="")
            separator = ","
    finally:
        print("\n]" if separator == "," else "[]")


def _write_csv(results: "Iterable[FilePrediction]") -> None:
    """Print one line per image and rank; a number stands as a label without probability.

    An image without any label has a line, too.
    """
    import csv

    writer = csv.writer(sys.stdout)
    writer.writerow(("image", "rank", "label", "probability", "error"))
    for result in results:
        if result.prediction is None:
            writer.writerow(map(cell, (result.image, "", "", "", result.error)))
        else:
            ranked = enumerate(result.prediction.ranked, start=1)
            answers: list[tuple[object, ...]] = [(rank, *answer) for rank, answer in ranked]
            rows = ((result.image, *answer, "") for answer in answers or [("", "", "")])
            writer.writerows(map(cell, row) for row in rows)

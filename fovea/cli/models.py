"""`fovea models`."""

from typing import Annotated, Any

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_lines, print_table

COLUMNS = ("network", "year", "authors", "input", "params", "MACs", "top-1/5", "decks")
LEGEND = "Input: channels (x frames) x side. Accuracy: ImageNet, percent, as published (where: --json)."


def models(
    pattern: Annotated[str, typer.Argument(help="Only names that match; * and ? stand for anything.")] = "*",
    year: Annotated[str | None, typer.Option(metavar="YEAR|FROM-TO", help="Only of this year, or these years.")] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="N", help="Only with at most so many parameters: 5M, 800k.")
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(metavar="N", help="Only with at most so many multiply-adds: 300M, 1.5G.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="PATH", help="Draw accuracy against multiply-adds, and error by year.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the networks: year, authors, input, parameters, multiply-adds, published accuracy, lecture decks."""
    from fovea.jobs.models import models as job

    entries = job(pattern, year=year, max_params=max_params, max_macs=max_macs, plot=plot)
    if as_json:
        print_json([entry.to_dict() for entry in entries])
        return
    print_table(COLUMNS, map(_row, entries))
    print_lines([f"{len(entries)} network{'' if len(entries) == 1 else 's'}. {LEGEND}"])
    if plot is not None:
        print_lines([f"Plot  {plot}"])


def _row(entry: Any) -> tuple[object, ...]:
    return (
        entry.name,
        entry.year,
        entry.authors.replace(" and ", ", "),
        _input(entry.input),
        _short(entry.params),
        _short(entry.macs),
        _accuracy(entry.top1, entry.top5),
        " ".join(str(int(deck)) for deck in entry.decks),
    )


def _input(shape: tuple[int, ...]) -> str:
    """Return `3x224` for images, `1x150 steps` for series, `3x16x112` for clips, whose sides are equal."""
    return f"{shape[0]}x{shape[1]} steps" if len(shape) == 2 else "x".join(map(str, shape[:-1]))


def _accuracy(*figures: float | None) -> str:
    """Return `71.9/90.3`, `-` for what is not published, nothing where none is."""
    return "/".join("-" if x is None else f"{x:.1f}" for x in figures) if any(figures) else ""


def _short(count: int) -> str:
    """Return a count in three or four digits: 61.7k, 138.4M, 15.5G."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)

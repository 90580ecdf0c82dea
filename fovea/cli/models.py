"""`fovea models`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_lines, print_prose, print_table
from fovea.texts import scaled

if TYPE_CHECKING:
    from fovea.registry import Entry

COLUMNS = ("network", "year", "authors", "input", "params", "MACs", "top-1/5", "decks")
EXPENDABLE = ("authors", "decks", "input", "year")
"""Columns that a narrow terminal lacks, the first that goes first."""
LEGEND = (
    "Input: channels x side; series: channels x length; clips: channels x frames x side.\n"
    "Accuracy: ImageNet, percent, as published (where: --json); or what else is answered."
)


def models(
    pattern: Annotated[
        str, typer.Argument(help="A name, or any part of names: resnet. * and ? stand for anything.")
    ] = "*",
    year: Annotated[
        str | None, typer.Option(metavar="YEAR|FROM-TO", help="Only networks of this year, or of these years.")
    ] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="N", help="Only networks with at most this many parameters: 5M, 800k.")
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(metavar="N", help="Only networks with at most this many multiply-adds: 300M, 1.5G.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option(metavar="KIND", help="Only networks for classes, masks, boxes or points.")
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="Show which family descends from which, and what it added.")
    ] = False,
    plot: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Draw accuracy over multiply-adds and error by year; with --tree, the tree."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the networks that can be trained: year, parameters, multiply-adds, published accuracy."""
    from fovea.jobs.models import models as job
    from fovea.zoo import families

    entries = job(pattern, year=year, max_params=max_params, max_macs=max_macs, answers=answers, plot=plot, tree=tree)
    lineage = families.tree(entries) if tree else []
    if as_json:
        print_json([line.to_dict() for line in lineage] if tree else [entry.to_dict() for entry in entries])
        return
    if tree:
        print_lines(line.text() for line in lineage)
    elif not entries:
        print_lines(["0 networks."])
    else:
        print_table(COLUMNS, rows(entries), expendable=EXPENDABLE)
        print_prose(
            f"{len(entries)} network{'' if len(entries) == 1 else 's'}.{_further(pattern)}\n{LEGEND}".splitlines()
        )
    if plot is not None:
        print_lines([f"Plot  {plot}"])


def _further(pattern: str) -> str:
    """Return in a line how many more names hold `pattern`, if it is a name itself, which then stands alone."""
    from fovea import registry

    more = sum(pattern in name for name in registry.names()) - 1 if pattern in registry.names() else 0
    return f"\n`fovea models '*{pattern}*'` lists {more} more." if more else ""


def rows(entries: "Sequence[Entry]") -> Iterator[tuple[object, ...]]:
    """Yield the rows of the table: each family under its title."""
    from fovea.zoo import families

    for name, group in families.grouped(entries).items():
        yield (families.family_of(name).title, *[""] * (len(COLUMNS) - 1))
        yield from map(_row, group)


def _row(entry: "Entry") -> tuple[object, ...]:
    return (
        f"  {entry.name}",
        entry.year,
        entry.authors.replace(" and ", ", "),
        _input(entry.input),
        scaled(entry.params),
        scaled(entry.macs),
        _accuracy(entry.top1, entry.top5) if entry.answers == "classes" else entry.answers,
        " ".join(str(int(deck)) for deck in entry.decks),
    )


def _input(shape: tuple[int, ...]) -> str:
    """Return `3x224` for images, `1x150` for series, `3x16x112` for clips; height and width are equal."""
    return "x".join(map(str, shape if len(shape) == 2 else shape[:-1]))


def _accuracy(*figures: float | None) -> str:
    """Return `71.9/90.3`, `-` for what is not published, nothing where none is."""
    return "/".join("-" if x is None else f"{x:.1f}" for x in figures) if any(figures) else ""

"""`fovea models`."""

from typing import Annotated

import typer

from fovea.cli.options import Json
from fovea.cli.output import print_json, print_table


def models(
    pattern: Annotated[str, typer.Argument(help="Only names that match; * and ? stand for anything.")] = "*",
    as_json: Json = False,
) -> None:
    """List the networks: year, parameters, multiply-adds, paper."""
    from dataclasses import asdict
    from fnmatch import fnmatch

    import fovea.zoo  # noqa: F401 (its import makes the networks known)
    from fovea.registry import card, names

    cards = [card(name) for name in names() if fnmatch(name, pattern)]
    if as_json:
        print_json([asdict(card) for card in cards])
        return
    rows = [
        (c.name, c.year, "x".join(map(str, c.input)), f"{c.params:,}", f"{c.macs / 1e6:,.1f}", c.paper) for c in cards
    ]
    print_table(("name", "year", "input", "parameters", "million MACs", "paper"), rows)

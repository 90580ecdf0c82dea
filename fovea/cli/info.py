"""`fovea info`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fovea.cli.options import Json, Model
from fovea.cli.output import print_json, print_lines, print_prose, print_table
from fovea.texts import command, flattened

if TYPE_CHECKING:
    from fovea.jobs.info import Info

SUMMARY = 11
"""Characters before the words of a line of the summary."""

BELOW = ("classes", "class_ids", "results", "uncalibrated", "coding", "changes", "shrunk")
"""Entries of the card that do not stand in its order: they follow at the end; ids and changes are for --json."""


def info(
    model: Model,
    everything: Annotated[bool, typer.Option("--all", help="Show every field of the model file.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a model file is: how good, which network, trained on what."""
    from fovea.jobs.info import info as job

    result = job(model)
    if as_json:
        print_json(result.to_dict())
    elif everything:
        _print_all(result)
    else:
        print_prose(result.summary(), indent=SUMMARY)
        print_lines([f"{'More':{SUMMARY - 1}} {command('fovea', 'info', model, '--all')}"])


def _print_all(result: "Info") -> None:
    """Print every field of the card."""
    from fovea.card import licences_of
    from fovea.compression.table import rows_in, table_of
    from fovea.report.words import in_words

    known = {key: value for key, value in result.card.items() if key not in BELOW}
    facts = [*flattened({**known, "licences": licences_of(known)})]
    facts += [("parameters and buffers", f"{result.values:,}"), ("bytes", f"{result.bytes:,}")]
    facts += [("coded", result.coded)] if result.coded else []
    facts += [("classes", result.card["classes"])]
    facts += [
        ("result", ", ".join(f"{in_words(key)} {_text(value, key)}" for key, value in flattened(entry)))
        for entry in result.card.get("results", [])
    ]
    facts += _shrunk(result.card)
    print_table(("field", "value"), [(in_words(name), _text(value, name)) for name, value in facts])
    if rows := rows_in(result.card):
        table = table_of(rows, task=str(result.card.get("task")))
        print_table(table.columns, table.rows)
        print_lines(table.lines)
    if result.caution:
        print_lines([result.caution])


def _shrunk(card: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return how the network was shrunk, but for the rows of the table."""
    from fovea.compression.table import SECTION

    section, changes = card.get(SECTION), card.get("changes")
    steps = {name: value for name, value in section.items() if name != "rows"} if isinstance(section, Mapping) else {}
    facts: list[tuple[str, object]] = [
        (name, [str(each.get("file")) if isinstance(each, Mapping) else each for each in value])
        if isinstance(value, list)
        else (name, value)
        for name, value in flattened(steps, prefix=f"{SECTION}.")
    ]
    if isinstance(changes, list):
        facts.append(("changes", [str(change.get("kind")) for change in changes if isinstance(change, Mapping)]))
    return facts


def _text(value: object, name: str = "") -> str:
    """Return a value of the card as people write it: lists without brackets, four digits of a fraction."""
    if isinstance(value, list):
        return (" to " if name.endswith("interval") else ", ").join(map(_text, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not defined"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)

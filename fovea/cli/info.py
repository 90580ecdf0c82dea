"""`fovea info`."""

from fovea.cli.options import Json, Model
from fovea.cli.output import print_json, print_table
from fovea.texts import flattened

BELOW = ("classes", "class_ids", "results")
"""Entries of the card that do not stand in its order: classes and results follow at the end, ids are for --json."""


def info(model: Model, as_json: Json = False) -> None:
    """Show the card of a model file: what it is, what it was trained on, how good it is."""
    from fovea.jobs.info import info as job

    result = job(model)
    if as_json:
        print_json(result.to_dict())
        return
    known = {key: value for key, value in result.card.items() if key not in BELOW}
    facts = [*flattened(known), ("values", f"{result.values:,}"), ("bytes", f"{result.bytes:,}")]
    facts += [("classes", result.card["classes"])]
    facts += [
        ("result", ", ".join(f"{key} {_text(value)}" for key, value in flattened(entry)))
        for entry in result.card.get("results", [])
    ]
    print_table(("field", "value"), [(name, _text(value)) for name, value in facts])


def _text(value: object) -> str:
    """Return a value of the card as people write it: lists without brackets, four digits of a fraction."""
    if isinstance(value, list):
        return " to ".join(map(_text, value)) if _is_interval(value) else ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_interval(values: list[object]) -> bool:
    return len(values) == 2 and all(isinstance(value, float) for value in values)

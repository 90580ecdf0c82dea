"""`fovea info`."""

from fovea.cli.options import Json, Model
from fovea.cli.output import flat, print_json, print_table


def info(model: Model, as_json: Json = False) -> None:
    """Show the card of a model file: what it is, what it was trained on, how good it is."""
    from fovea.jobs.info import info as job

    result = job(model)
    if as_json:
        print_json(result.to_dict())
        return
    card = result.card
    known = {key: card.get(key, "") for key in ("architecture", "task", "fovea", "preprocess", "training", "licences")}
    facts = [*flat(known), ("values", f"{result.values:,}"), ("bytes", f"{result.bytes:,}")]
    facts += [("classes", ", ".join(map(str, card["classes"])))]
    facts += [
        ("result", ", ".join(f"{key} {value}" for key, value in flat(entry))) for entry in card.get("results", [])
    ]
    print_table(("field", "value"), facts)

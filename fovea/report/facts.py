"""What a card says, as rows of text for a page; a card may come from anywhere, so nothing is taken for granted."""

from collections.abc import Mapping
from typing import Any

from fovea.texts import flattened

Rows = list[tuple[str, str]]


def card_facts(card: Mapping[str, Any]) -> dict[str, Rows]:
    """Return the rows of a card by section: `network`, `data`, `recipe` and `versions`."""
    training = section(card, "training")
    data = section(training, "data")
    return {
        "network": [
            ("architecture", text(card.get("architecture"))),
            *_rows(section(card, "arguments")),
            ("loss", text(card.get("loss"))),
            ("temperature", text(card.get("temperature"))),
            *_rows({name: training[name] for name in ("epochs", "seconds", "pflop") if name in training}),
        ],
        "data": [
            *_rows({name: value for name, value in data.items() if name != "notes"}),
            *(("note", text(note)) for note in _listed(data.get("notes"))),
            *_rows(section(card, "preprocess"), "input "),
            *((f"licence of {name}", value) for name, value in _rows(section(card, "licences"))),
        ],
        "recipe": _rows(section(training, "recipe")),
        "versions": [
            *_rows(section(training, "versions")),
            *_rows({name: training[name] for name in ("device", "threads", "seed") if name in training}),
        ],
    }


def temperature_note(card: Mapping[str, Any]) -> str:
    """Return where the temperature of the card comes from."""
    fitted = section(card, "calibration")
    if fitted:
        return (
            f"The temperature was fitted on {text(fitted.get('split'))} ({text(fitted.get('images'))} images), "
            "where it minimises the negative log-likelihood. It stands in the model file; every probability uses it."
        )
    if card.get("temperature") == 1:
        return "No temperature was fitted: that needs a validation part, with at least one image classified wrongly."
    return "The temperature stands in the model file."


def section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object `name` of a card, empty where there is none."""
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def text(value: object) -> str:
    """Return a JSON value for a person."""
    if type(value) is int:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value)) or "none"
    return str(value)


def _rows(values: Mapping[str, Any], prefix: str = "") -> Rows:
    return [(name, text(value)) for name, value in flattened(values, separator=" ", prefix=prefix)]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

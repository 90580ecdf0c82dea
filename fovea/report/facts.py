"""What a card says, as rows of text for a page; a card may come from anywhere, so nothing is taken for granted."""

from collections.abc import Mapping
from typing import Any

from fovea.card import licences_of
from fovea.report.words import in_words
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
            *_target(card),
            *_rows({name: training[name] for name in ("epochs", "seconds", "pflop") if name in training}),
        ],
        "data": [
            *_rows({name: value for name, value in data.items() if name != "notes"}),
            *(("note", text(note)) for note in _listed(data.get("notes"))),
            *_rows(section(card, "preprocess"), "input "),
            *((f"licence of {name}", value) for name, value in licences_of(card).items()),
        ],
        "recipe": [*_rows(section(training, "recipe")), *_changes(training)],
        "versions": [
            *_rows(section(training, "versions")),
            *_rows({name: training[name] for name in ("device", "threads", "seed") if name in training}),
        ],
    }


def temperature_note(card: Mapping[str, Any]) -> str:
    """Return where the temperature of the card comes from, and the thresholds if it has any; or why there is none."""
    fitted, thresholds = section(card, "calibration"), "thresholds" in section(card, "target")
    if fitted:
        highest = " The thresholds are those of the highest F1 there." if thresholds else ""
        return (
            f"The temperature was fitted on {text(fitted.get('split'))} ({text(fitted.get('images'))} images), "
            "where it minimises the negative log-likelihood of labels that are not taken for certain (Platt 1999). "
            f"It is stored in the model file; all probabilities use it.{highest}"
        )
    if card.get("uncalibrated"):
        return uncalibrated_note(card) + (" No thresholds were chosen either." if thresholds else "")
    if card.get("temperature") == 1:
        return "No temperature was fitted, so its confidence is not calibrated: that needs a validation split."
    return "The temperature is stored in the model file."


def uncalibrated_note(card: Mapping[str, Any]) -> str:
    """Return why the probabilities of a network are not calibrated; empty where the card does not say."""
    reason = card.get("uncalibrated")
    return f"Its confidence is not calibrated: {reason}." if reason else ""


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


def _target(card: Mapping[str, Any]) -> Rows:
    """Return what the task keeps in a card; of values for each class, each behind its name."""
    classes = _listed(card.get("classes"))
    return [
        (
            f"target {name}",
            ", ".join(f"{text(of)} {text(one)}" for of, one in zip(classes, value, strict=True))
            if isinstance(value, list) and len(value) == len(classes)
            else text(value),
        )
        for name, value in section(card, "target").items()
    ]


def _changes(training: Mapping[str, Any]) -> Rows:
    """Return what was changed by hand while the network was trained."""
    found = [change for change in _listed(training.get("changes")) if isinstance(change, Mapping)]
    return [
        (
            f"changed after step {text(change.get('step'))}",
            ", ".join(f"{name} {text(value)}" for name, value in change.items() if name != "step"),
        )
        for change in found
    ]


def _rows(values: Mapping[str, Any], prefix: str = "") -> Rows:
    return [(prefix + in_words(name, between=" "), text(value)) for name, value in flattened(values)]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

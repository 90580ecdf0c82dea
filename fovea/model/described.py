"""What a loaded model file says of itself in Python and in a notebook."""

from contextlib import suppress

import torch
from torch import nn

from fovea.card import Card, licences_of


def headline(card: Card) -> str:
    """Return the network, its input, what it answers, and its last result, in one line."""
    classes = card.target.classes
    answer = f"{len(classes)} {card.target.name}" if len(classes) else card.target.name
    return ", ".join([card.architecture, f"input {_shape(card)}", answer, *list(_results(card).values())[-1:]])


def facts(card: Card, model: nn.Module, device: torch.device) -> list[tuple[str, str]]:
    """Return the name and the value of each fact that a reader asks for first."""
    return [
        ("network", card.architecture),
        ("input", _shape(card)),
        ("parameters", f"{sum(parameter.numel() for parameter in model.parameters()):,}"),
        ("answers", ", ".join(card.target.classes) or card.target.noun),
        ("trained on", card.trained_on.name or "unknown"),
        *((f"result on {split}", text) for split, text in _results(card).items()),
        *((f"licence of {name}", value) for name, value in licences_of(card).items()),
        ("device", str(device)),
    ]


def _shape(card: Card) -> str:
    return "x".join(map(str, card.preprocess.shape))


def _results(card: Card) -> dict[str, str]:
    """Return the results as people read them, by split; a foreign card may lack what that needs."""
    found = {}
    for result in card.results or ():
        with suppress(KeyError, TypeError, ValueError):
            found[str(result["split"])] = card.target.result_text(result)
    return found

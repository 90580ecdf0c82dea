"""Weights to begin with: which network they are for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fovea import registry
from fovea.errors import NotFoundError, UsageError
from fovea.files import check_regular
from fovea.model.weights import IMAGENET, at_hand, card_of, network_of

SCRATCH = "none"
"""Asks for random weights where others would be taken."""
FAVOURITE = "mobilenet_v2"
"""The network for `imagenet` where none is asked for."""
USUAL_SIZE = 128
"""The input of a network that does not say its own, in pixels."""
MOST_MACS = 1e9
"""Weights of a larger network are not taken unasked."""


class Start(NamedTuple):
    """Trained weights, and what a network must be like to take them."""

    weights: str
    """A path, or `imagenet`."""
    model: str
    arguments: Mapping[str, Any]
    size: int
    """A good input for them, in pixels; 0 leaves it to what is learned."""


def start_named(start: str, *, model: str | None, grow: bool = False) -> Start:
    """Return what `--from start` means together with `--model`, which with `grow` is a deeper one.

    Raises:
        UsageError: neither says which network it is.
        NotFoundError: `start` is no file.
    """
    check_regular(start)
    if grow:
        return _deeper(start, model)
    if start == IMAGENET:
        return _foreign(start, model or FAVOURITE)
    card = card_of(start)
    if card is not None and card.get("changes"):
        raise UsageError(
            f"`{start}` is shrunk: its layers are no longer those of `{card['architecture']}`. "
            f"Train it further with `fovea shrink {start} DATA --steps finetune=3`."
        )
    if card is not None and card["architecture"] == (model or card["architecture"]) != "custom":
        return _own(start, card)
    network = model or network_of(start)
    if network is None and not Path(start).exists():
        raise NotFoundError(
            f"There is no file `{start}`; --from takes a file of weights, a model file, imagenet or none."
        )
    if network is None or network == "custom":
        raise UsageError(f"`{start}` does not say which network it is for; add --model (see `fovea models`).")
    return _foreign(start, network)


def start_at_hand() -> Start | None:
    """Return the most accurate ImageNet weights that lie here already, of a network that is not too large."""
    entries = {network: registry.entry(network) for network in at_hand() if network in registry.names()}
    fitting = [entry for entry in entries.values() if entry.top1 is not None and entry.macs <= MOST_MACS]
    if not fitting:
        return None
    best = max(fitting, key=lambda entry: entry.top1 or 0.0)
    return start_named(str(at_hand()[best.name]), model=None)


def channels_of(start: str, *, model: str, default: int) -> int:
    """Return how many channels images must have for the weights `start` of the network `model`."""
    card = card_of(start)  # `imagenet` is no such file
    if card is not None:
        return int(card["preprocess"]["channels"])
    return default if ":" in model else registry.entry(model).input[0]


def grafted(start: Start, on: str) -> Start:
    """Return the start of the network `on`, built on the stages of the one that the weights are for."""
    return Start(start.weights, on, {"backbone": start.model}, 0)


def _own(start: str, card: Mapping[str, Any]) -> Start:
    """Return the start from a model file of ours: the same network at the same input."""
    arguments = {key: value for key, value in card["arguments"].items() if key not in ("classes", "c_in", "size")}
    return Start(start, card["architecture"], arguments, card["preprocess"]["size"][0])


def _deeper(start: str, model: str | None) -> Start:
    """Return the start for a network that is deeper than that of the weights; their arguments hold for it too."""
    shallow = start_named(start, model=None)
    deeper = model or shallow.model
    if start == IMAGENET or ":" in deeper:
        raise UsageError("`--grow` takes a weights file for --from, and a network of `fovea models` for --model.")
    takes = registry.arguments_of(deeper)
    arguments = {name: value for name, value in shallow.arguments.items() if name in takes}
    return shallow._replace(model=deeper, arguments=arguments)


def _foreign(start: str, model: str) -> Start:
    entry = None if ":" in model else registry.entry(model)
    if entry is not None and entry.answers != "classes":
        return Start(start, model, {}, 0)
    return Start(start, model, {}, entry.input[-1] if entry else USUAL_SIZE)

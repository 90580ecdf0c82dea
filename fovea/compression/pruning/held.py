"""What keeps a network from costing less, where pruning ends above what was asked for."""

from collections.abc import Mapping, Sequence

from torch import nn

from fovea.compression.channels import Channels, channel_groups
from fovea.compression.pruning.targets import Costs, layers_at
from fovea.texts import percent

LISTED = 3
"""Layers that a line names."""


def held_by(model: nn.Module, input_shape: Sequence[int], costs: Costs) -> str:
    """Return the layers that cost most of what a pruned network costs, each with its share and why it is not narrower.

    Inputs are (C, *sizes).
    """
    layers = layers_at(model, input_shape)
    reasons = _reasons(channel_groups(model, input_shape))
    spent = {path: costs.layer(layer) for path, layer in layers.items()}
    whole = max(costs.network(model, input_shape), sum(spent.values()))
    named = sorted(spent, key=lambda path: -spent[path])[:LISTED]
    listed = [
        f"`{path}` {percent(spent[path] / whole)} ({reasons.get(path, 'as narrow as it may be')})" for path in named
    ]
    others = whole - sum(spent.values())
    if not named or others > spent[named[0]]:
        listed.insert(0, f"what is no convolution or dense layer {percent(others / whole)}")
    return ", ".join(listed)


def _reasons(channels: Channels) -> Mapping[str, str]:
    """Return by path of layer why channels of it stay, where they do."""
    found = dict[str, str]()
    for group in channels.fixed:
        for place in group.places:
            what = {"in": "inputs", "out": "outputs"}.get(place.side, "channels")
            found.setdefault(place.layer, f"its {what} stay: {group.fixed}")
    return found

"""The groups of a network as pruning sees them: channels in the order of importance, widths worth having.

Scores are (channels,) float32; places of channels in a layer are rows (channels, k) of integers from 0.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fovea.compression.channels import Channels, Group, remove
from fovea.compression.pruning.clock import Clock
from fovea.compression.pruning.importance import IMPORTANCES, NORMS, Samples, channel_scores
from fovea.compression.pruning.selection import Narrowing
from fovea.compression.pruning.sensitivity import Judged, Outputs, Sensitivity
from fovea.compression.pruning.targets import LayerAt
from fovea.compression.pruning.widths import candidates, worthwhile
from fovea.errors import UsageError, unknown
from fovea.layers import PartialConv2d, copied
from fovea.measurement.network import without_values

UNTIMED = 32
"""Widths of a group that are considered where none are timed."""


def scores_of(
    model: nn.Module, groups: Sequence[Group], *, importance: str, samples: Samples | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the importance of the channels of each group, (channels,) float32; of others why they have none.

    Raises:
        UsageError: an unknown importance, or one that needs samples.
    """
    if importance not in IMPORTANCES:
        raise unknown("importance", importance, IMPORTANCES)
    found = IMPORTANCES[importance](model, samples)
    scores: dict[str, Tensor] = {}
    reasons: dict[str, str] = {}
    for group in groups:
        layers = _judges(model, group, by_norms=importance == "taylor")
        try:
            scores[group.name] = channel_scores(found, layers, kind=importance)
        except UsageError as error:
            reasons[group.name] = str(error)
    return scores, reasons


def judged(model: nn.Module, group: Group, scores: Tensor, *, aligned: bool = False) -> Judged:
    """Return a group with its channels from the least important on; of several cells one channel of each in turn.

    `aligned` cells lose the channels at the same places in each, those that matter least together.
    """
    cells: dict[int, list[int]] = {}
    for channel in range(len(group)) if aligned else scores.argsort(stable=True).tolist():
        cells.setdefault(int(group.cells[channel]), []).append(channel)
    fewest = min(map(len, cells.values()))
    ranks = list(range(fewest))
    if aligned:
        together = [sum(float(scores[cell[rank]]) for cell in cells.values()) for rank in ranks]
        ranks.sort(key=together.__getitem__)
    order = [cell[rank] for rank in ranks for cell in cells.values()]
    order += [channel for cell in cells.values() for channel in cell[fewest:]]
    return Judged(name=group.name, order=order, outputs=makers(model, group))


def orders_of(model: nn.Module, channels: Channels, scores: Mapping[str, Tensor]) -> dict[str, Judged]:
    """Return each group with a score, its channels in order, so that any beginning of whole rounds of cells may go.

    Where channels are shuffled between groups of convolutions, those at the same places of all cells go together.
    """
    groups = [group for group in channels.free if group.name in scores]
    orders = {group.name: judged(model, group, scores[group.name]) for group in groups}
    several = [group for group in groups if cells_of(group) > 1]
    keep = {
        group.name: sorted(orders[group.name].order[len(group) // cells_of(group) // 2 * cells_of(group) :])
        for group in several
    }
    try:
        remove(copied(without_values(model)), channels, keep)
    except UsageError:
        return orders | {group.name: judged(model, group, scores[group.name], aligned=True) for group in several}
    return orders


def cells_of(group: Group) -> int:
    """Return how many cells a group has."""
    return len(set(group.cells.tolist()))


def makers(model: nn.Module, group: Group) -> Outputs:
    """Return by path of layer which of its outputs each channel is: convolutions, dense layers and norms."""
    modules = dict(model.named_modules())
    found: dict[str, list[list[int]]] = {}
    for place in group.places:
        layer = modules.get(place.layer)
        if layer is None or place.side not in ("out", "each"):
            continue
        parts = {place.layer: place.index.tolist()}
        if isinstance(layer, PartialConv2d):
            parts = _single(place.layer, layer, parts[place.layer])
        for path, rows in parts.items():
            before = found.get(path, [[] for _ in rows])  # a layer that runs twice
            found[path] = [[*a, *b] for a, b in zip(before, rows, strict=True)]
    return dict(found)


def _single(path: str, layer: PartialConv2d, rows: Sequence[Sequence[int]]) -> dict[str, list[list[int]]]:
    """Return the same of the convolutions of one output each that such a layer is made of."""
    return {
        f"{path}.maps.{output}": [[0] if output in row else [] for row in rows] for output in range(len(layer.maps))
    }


def narrowing(group: Group, judged: Judged, damages: "Damages", widths: Sequence[int]) -> Narrowing:
    """Return what may become of a group."""
    outputs, inputs = _counts(group)
    makers = max(1, len(group.at("out")))
    return Narrowing(
        name=group.name,
        widths=tuple(widths),
        damages=tuple(damages.of(judged, width, layers=makers) for width in widths),
        outputs=outputs,
        inputs=inputs,
    )


class Damages:
    """What a width does to the network: the loss that was measured, else what of the importance is left.

    Then it is -log of the share that is left, once for each layer that makes the channels: so all groups shrink alike
    where nothing tells them apart, and none vanishes.
    """

    def __init__(self, scores: Mapping[str, Tensor], sensitivity: Sensitivity | None) -> None:
        self.scores = scores
        self.curves = {curve.name: curve for curve in sensitivity.curves} if sensitivity else {}

    def of(self, group: Judged, kept: int, *, layers: int) -> float:
        """Return the damage of keeping so many channels of a group that so many layers make."""
        if group.name in self.curves:
            curve = self.curves[group.name]
            return curve.at(kept) - curve.at(curve.channels)
        scores = self.scores[group.name] + 1e-12
        left = scores[torch.tensor(group.order[len(group.order) - kept :], dtype=torch.long)].sum() / scores.sum()
        return -layers * math.log(min(1.0, left.item()))


def widths_of(group: Group, layers: Mapping[str, LayerAt], *, clock: Clock | None, fewest: int) -> tuple[int, ...]:
    """Return the numbers of channels that a group may keep, falling from all to `fewest` at least."""
    cells = cells_of(group)
    fewest = min(len(group), max(cells, fewest))
    if clock is None:
        return candidates(len(group), multiple=cells, least=fewest, most=UNTIMED)
    outputs, inputs = _counts(group)
    paths = [path for path in layers if path in outputs or path in inputs]
    if not paths:
        return (len(group),)

    def seconds(width: int) -> float:
        lost = len(group) - width
        less = (layers[path].less(lost * inputs.get(path, 0), lost * outputs.get(path, 0)) for path in paths)
        return sum(layer.calls * clock.layer(layer.form) for layer in less)

    return worthwhile(candidates(len(group), multiple=cells, least=fewest), seconds)


def _counts(group: Group) -> tuple[dict[str, int], dict[str, int]]:
    """Return by path of layer how many outputs, and inputs, of it one channel is."""
    outputs: dict[str, int] = {}
    inputs: dict[str, int] = {}
    for place in group.places:
        count = place.index.shape[1]
        if place.side in ("out", "each"):
            outputs[place.layer] = outputs.get(place.layer, 0) + count
        if place.side in ("in", "each"):
            inputs[place.layer] = inputs.get(place.layer, 0) + count
    return outputs, inputs


def _judges(model: nn.Module, group: Group, *, by_norms: bool) -> Outputs:
    """Return the layers that a group is judged by; by the loss, norms stand for the layers before them."""
    found = makers(model, group)
    norms = {path: rows for path, rows in found.items() if isinstance(model.get_submodule(path), NORMS)}
    return norms if by_norms and norms else found

"""Live pictures that are tables: a network's layers as measured, networks beside each other, what layers cost."""

from collections import defaultdict

import torch

import fovea.zoo  # noqa: F401  its networks become known
from fovea import registry
from fovea.layers import Unfilled
from fovea.measurement.network import measure_network
from fovea.measurement.result import Layer, Measurement
from fovea.report.lessons.drawn import Drawn, Row, Settings, kind

MOST_ROWS = 32
CONTEST = ("alexnet", "zfnet", "vgg16", "vgg19", "googlenet", "resnet152", "senet154")
"""Winners of the ImageNet contest and those beside them, by year."""
SMALL_MACS = 1_000_000_000


@kind("network")
def layers_of(settings: Settings) -> Drawn:
    """Return the layers of a network of the zoo with their counts; its stages where there are many."""
    name = settings["network"]
    entry = registry.entry(name)
    with Unfilled(), torch.device("meta"):
        model = registry.build(name)
    found = measure_network(model, entry.input, name=name)
    shown = [layer for layer in found.layers if layer.parameters or layer.macs or "Pool" in layer.type]
    rows = _by_layer(shown) if len(shown) <= MOST_ROWS else _by_stage(found)
    total = found.total
    words = (
        f"{name} ({entry.year}): {total.parameters:,} parameters, {total.macs:,} multiply-adds for an input of "
        f"{' x '.join(map(str, entry.input))}."
    )
    return Drawn(words=words, head=("layer", "kind", "output", "multiply-adds", "parameters"), rows=_with_shares(rows))


def _by_layer(layers: list[Layer]) -> list[tuple[str, str, str, int, int]]:
    return [(one.path, one.type, _shape(one), one.macs, one.parameters) for one in layers]


def _by_stage(found: Measurement) -> list[tuple[str, str, str, int, int]]:
    """Return the sums over each child of the network."""
    stages: dict[str, list[Layer]] = defaultdict(list)
    for layer in found.layers[1:]:
        stages[layer.path.partition(".")[0]].append(layer)
    return [
        (stage, f"{len(of)} layers", _shape(of[-1]), sum(one.macs for one in of), sum(one.parameters for one in of))
        for stage, of in stages.items()
    ]


def _shape(layer: Layer) -> str:
    return " x ".join(map(str, layer.output_shapes[0][1:])) if layer.output_shapes else ""


def _with_shares(rows: list[tuple[str, str, str, int, int]]) -> list[Row]:
    largest = max((row[-1] for row in rows), default=0) or 1
    return [Row((*row[:3], f"{row[3]:,}", f"{row[4]:,}"), row[4] / largest) for row in rows]


@kind("networks")
def beside_each_other(settings: Settings) -> Drawn:
    """Return networks of one kind of answer, or of one family: year, parameters, multiply-adds, published error."""
    entries = [entry for entry in map(registry.entry, registry.names()) if _wanted(entry, settings)]
    entries.sort(key=lambda entry: (entry.year, entry.params))
    largest = max((entry.params for entry in entries), default=1)
    rows = [
        Row(
            (
                entry.name,
                str(entry.year),
                f"{100 - entry.top5:.1f} %" if entry.top5 else "",
                f"{entry.macs / 1e6:,.0f} M",
                f"{entry.params / 1e6:,.1f} M",
            ),
            entry.params / largest,
        )
        for entry in entries
    ]
    words = f"{len(rows)} networks; top-5 errors are published ones on ImageNet, one crop unless stated otherwise."
    return Drawn(words=words, head=("network", "year", "top-5 error", "multiply-adds", "parameters"), rows=rows)


def _wanted(entry: registry.Entry, settings: Settings) -> bool:
    if entry.answers != settings["answers"]:
        return False
    family = settings.get("family", "decks" if entry.answers == "classes" else "")
    if family == "ilsvrc":
        return entry.name in CONTEST
    if family == "published":
        return any(peer.weights for peer in entry.peers.values())
    if family == "small":
        return entry.top5 is not None and entry.macs < SMALL_MACS
    return entry.top5 is not None and bool(entry.decks) if family == "decks" else True


@kind("counts")
def costs(settings: Settings) -> Drawn:
    """Return the parameters of dense layers on a square image against a convolution's: the example of deck 004."""
    side, channels = int(settings["side"]), int(settings["channels"])
    inputs = side * side * channels
    counts = {
        "100 dense units": inputs * 100 + 100,
        "and 26 outputs": 100 * 26 + 26,
        "100 filters of 3 x 3": 9 * channels * 100 + 100,
    }
    dense = counts["100 dense units"] + counts["and 26 outputs"]
    rows = [Row((name, f"{count:,}"), count / counts["100 dense units"]) for name, count in counts.items()]
    words = f"{inputs:,} inputs: the dense network has {dense:,} parameters."
    return Drawn(words=words, head=("layer", "parameters"), rows=rows)

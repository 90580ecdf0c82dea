"""A stack of layers over one axis: what a unit of the last layer depends on."""

from fovea.report.lessons.drawn import Drawn, Settings, Stack, kind

MOST_LAYERS, MOST_KERNEL, MOST_STRIDE = 6, 9, 4


@kind("stack")
def stack(settings: Settings) -> Drawn:
    """Return the units of each layer that one unit of the last depends on, and the lines between them."""
    layers, kernel, stride = (int(settings[name]) for name in ("layers", "kernel", "stride"))
    if not (1 <= layers <= MOST_LAYERS and 1 <= kernel <= MOST_KERNEL and 1 <= stride <= MOST_STRIDE):
        raise ValueError("layers, kernel or stride are out of range")
    doubling, causal = settings["dilation"] == "doubling", settings["causal"] == "yes"
    needed: list[set[int]] = [{0}]
    edges = []
    for layer in range(layers, 0, -1):
        dilation = 2 ** (layer - 1) if doubling else int(settings["dilation"])
        reach = (kernel - 1) * dilation
        lead = reach if causal else reach // 2
        reads = {unit: [unit * stride + tap * dilation - lead for tap in range(kernel)] for unit in needed[0]}
        jump = stride ** (layer - 1)
        edges += [(layer, unit * jump * stride, place * jump) for unit, places in reads.items() for place in places]
        needed.insert(0, {place for places in reads.values() for place in places})
    low, high = min(needed[0]), max(needed[0])
    units = [
        [(place, place // stride**layer in seen) for place in range(low, high + 1) if place % stride**layer == 0]
        for layer, seen in enumerate(needed)
    ]
    words = f"The unit depends on {high - low + 1} neighbouring inputs, and reads {len(needed[0])} of them."
    return Drawn(words=words, stack=Stack(units, edges, low, high))

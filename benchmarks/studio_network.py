"""The studio's room Network: from a change of a network to what the page is sent, without the browser.

Milliseconds of processor time to build the network without weights, walk it twice, lay out its graph and write all of
it as JSON; beside that of one forward pass on the device `meta` alone, below which no walk can be. Target: 200 ms for
ResNet-18.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import arguments, begun

from fovea import registry
from fovea.layers import Unfilled
from fovea.studio.network.asked import Asked, letters_of, measured
from fovea.studio.network.shown import shown
from fovea.studio.opened import Opened

NAMES = ("lenet5", "resnet18", "mobilenet_v2", "resnet50", "densenet121")


def main() -> None:
    given = begun(arguments(__doc__, quick="fewer rounds"))
    rounds, opened = 3 if given.quick else 15, Opened()
    networks = [Asked(text=name) for name in NAMES]
    networks.append(letters_of(Asked(text="resnet18"), opened, (3, 224, 224)))
    for asked in networks:
        change = measured_ms(lambda asked=asked: answer(asked, opened), rounds)
        ceiling = measured_ms(lambda asked=asked: forward(asked), rounds)
        print(f"{asked.text[:24]}: {change:.0f} ms for a change, {change / ceiling:.1f} times a forward pass alone")


def answer(asked: Asked, opened: Opened) -> str:
    """Return what a page is sent after a change."""
    return json.dumps(shown(measured(asked, opened), depth=None))


def forward(asked: Asked) -> None:
    """Build a network without weights, and pass an image without values through it."""
    name, given = ("pattern", {"pattern": asked.letters, "size": 224}) if asked.letters else (asked.text, {})
    with Unfilled(), torch.device("meta"), torch.no_grad():
        registry.build(name, **given).eval()(torch.empty(1, *((3, 224, 224) if given else registry.entry(name).input)))


def measured_ms(work: Callable[[], object], rounds: int) -> float:
    """Return the median milliseconds of processor time, the first round left out."""
    found = []
    for _ in range(rounds + 1):
        begin = time.process_time()
        work()
        found.append(1000 * (time.process_time() - begin))
    return float(np.median(found[1:]))


if __name__ == "__main__":
    main()

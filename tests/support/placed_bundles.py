"""Networks of masks, boxes and points with seeded weights, in memory, whose answers vary from image to image."""

from functools import cache

import torch
from seeded_bundles import FIXED
from torch import nn

import fovea.zoo  # noqa: F401  registers the networks
from fovea.card import Card
from fovea.exporting.onnx_file import proven
from fovea.model.bundle import Bundle
from fovea.registry import build

NAMES = {"masks": ["cell", "rim", "rest"], "boxes": ["red", "blue"], "points": ["left", "right"]}
NETWORKS = {
    "masks": ("unet_padded", {"width": 2, "batch_norm": True, "dropout": 0.0}, "mask"),
    "boxes": ("centres", {"backbone": "cifar_resnet20", "width": 8}, "centres"),
    "points": ("simple_baseline", {"backbone": "cifar_resnet20", "width": 8}, "heat-maps"),
}


def placed_bundle(kind, *, fit="letterbox", size=32):
    """Return a network of a kind with an input of `size` pixels a side, in colour."""
    architecture, arguments, loss = NETWORKS[kind]
    names = NAMES[kind]
    arguments = {"classes": len(names), "c_in": 3, "size": size, **arguments}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(architecture, **arguments).eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.bias is not None:
                nn.init.normal_(module.weight, std=0.6)  # heads begin at the same answer for any image
                nn.init.zeros_(module.bias)
    half = [0.5] * 3
    card = {
        **{"format": 4, "fovea": "0.1.0", "architecture": architecture, "arguments": arguments, "task": kind},
        **{"loss": loss, "classes": names, "outputs": len(names), "temperature": 1.0},
        "preprocess": {"size": [size] * 2, "channels": 3, "fit": fit, "mean": half, "std": half, **FIXED},
    }
    return Bundle(model=model, card=Card.from_dict(card, source="a test"), device=torch.device("cpu"))


@cache
def exported_placed(kind, **changes):
    """Return the exported file, the proof and the card of such a network; each is exported once."""
    return proven(placed_bundle(kind, **changes))

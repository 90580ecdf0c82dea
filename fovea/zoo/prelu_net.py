"""PReLU-net: He, Zhang, Ren and Sun 2015, arXiv:1502.01852. Networks A, B and C: Table 3.

Every hidden layer is followed by max(0, x) + a min(0, x), with an a for each channel that is learnt and begins at 0.25.
The last map is pooled over 7 x 7, 3 x 3, 2 x 2 and 1 x 1 windows (spatial pyramid pooling, arXiv:1406.4729).

Departures: none. Initialisation is the paper's, equation 15; the logits keep PyTorch's.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained


class Model(NamedTuple):
    c: tuple[int, int, int]  # channels of the 3x3 convolutions at 56 x 56, 28 x 28 and 14 x 14
    n: int  # convolutions of each size


TABLE_3 = {
    "A": Model((256, 512, 512), 5),
    "B": Model((256, 512, 512), 6),
    "C": Model((384, 768, 896), 6),
}
STEM, PYRAMID, DENSE = 96, (7, 3, 2, 1), 4096
SLOPE = 0.25
"""Of what is negative, before training: a in equation 1."""


class PyramidPooling(nn.Module):
    """The maxima of 7 x 7, 3 x 3, 2 x 2 and 1 x 1 windows that share out the map: (N, c, H, W) -> (N, 63 c)."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.AdaptiveMaxPool2d(level) for level in levels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima, level by level."""
        return torch.cat([level(x).flatten(1) for level in self.levels], dim=1)


def he_2015(model: Classifier) -> Classifier:
    """Draw hidden layers from N(0, 2 / ((1 + a^2) fan-in)), equation 15; biases are 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module is not model.head.logits:
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            nn.init.zeros_(cast(Tensor, module.bias))
    return model


def _head(c: int, classes: int, dropout: float) -> nn.Sequential:
    """Pyramid pooling, two hidden layers, logits: (N, c, H, W) -> (N, classes)."""
    layers: dict[str, nn.Module] = {"pyramid": PyramidPooling(PYRAMID)}
    features = c * sum(level**2 for level in PYRAMID)
    for i in (1, 2):
        layers |= {f"dense{i}": nn.Linear(features, DENSE), f"prelu{i}": nn.PReLU(DENSE, SLOPE)}
        layers[f"dropout{i}"] = nn.Dropout(dropout)
        features = DENSE
    return nn.Sequential(OrderedDict({**layers, "logits": nn.Linear(features, classes)}))


def _prelu_net(model: str, *, classes: int, c_in: int, size: int, dropout: float) -> Classifier:
    row = TABLE_3[model]
    pools = [Window(f"{place}.pool", 2, stride=2) for place in ("stem", "stage1", "stage2")]
    chained(size, [Window("stem.conv", 7, stride=2, padding=3), *pools])
    stem = {
        "conv": nn.Conv2d(c_in, STEM, 7, stride=2, padding=3),
        "prelu": nn.PReLU(STEM, SLOPE),
        "pool": nn.MaxPool2d(2),
    }
    stages: list[nn.Sequential] = []
    before = STEM
    for c in row.c:
        layers = OrderedDict[str, nn.Module]()
        for i in range(1, row.n + 1):
            layers |= {f"conv{i}": nn.Conv2d(before, c, 3, padding=1), f"prelu{i}": nn.PReLU(c, SLOPE)}
            before = c
        if len(stages) < len(row.c) - 1:  # the last map goes into the pyramid
            layers["pool"] = nn.MaxPool2d(2)
        stages.append(nn.Sequential(layers))
    head = _head(before, classes, dropout)
    return he_2015(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=head))


_register = partial(
    register,
    paper="arXiv:1502.01852",
    title="Delving deep into rectifiers: surpassing human-level performance on ImageNet classification",
    authors="He et al.",
    year=2015,
    input=(3, 224, 224),
)


@_register(params=178_032_072, macs=19_058_106_368)
def prelu_net_a(classes: int = 1000, *, c_in: int = 3, size: int = 224, dropout: float = 0.5) -> Classifier:
    return _prelu_net("A", classes=classes, c_in=c_in, size=size, dropout=dropout)


@_register(params=183_343_048, macs=23_219_904_512)
def prelu_net_b(classes: int = 1000, *, c_in: int = 3, size: int = 224, dropout: float = 0.5) -> Classifier:
    return _prelu_net("B", classes=classes, c_in=c_in, size=size, dropout=dropout)


@_register(
    params=330_623_944,
    macs=53_463_130_112,
    top1=78.41,
    top5=94.29,
    published="table in lecture 002: densely, at several sizes",
    decks=("002",),
)
def prelu_net_c(classes: int = 1000, *, c_in: int = 3, size: int = 224, dropout: float = 0.5) -> Classifier:
    return _prelu_net("C", classes=classes, c_in=c_in, size=size, dropout=dropout)

"""SqueezeNet: Iandola et al. 2016, arXiv:1602.07360. Block: Figure 1. Version 1.0: Table 1. Version 1.1: authors' code.

Departures: He uniform initialisation (authors' code: Xavier). The last convolution pads nothing, as in torchvision;
the authors' code pads one pixel, which only adds zeros plus bias around the map. Table 1 prints the map of a 227x227
input under 224x224: 7x7 at stride 2 gives 111 for the former and 109 for the latter.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained


class FireModule(nn.Module):
    """1x1 (squeeze), ReLU; 1x1 and 3x3 side by side (expand), ReLU: (N, c_in, H, W) -> (N, e1x1 + e3x3, H, W)."""

    def __init__(self, c_in: int, s1x1: int, e1x1: int, e3x3: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(c_in, s1x1, 1)
        self.relu1 = nn.ReLU()
        self.expand1x1 = nn.Conv2d(s1x1, e1x1, 1)
        self.expand3x3 = nn.Conv2d(s1x1, e3x3, 3, padding=1)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of both expand convolutions, 1x1 first."""
        x = self.relu1(self.squeeze(x))
        return cast(Tensor, self.relu2(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1)))


class Fire(NamedTuple):
    s1x1: int  # squeeze
    e1x1: int  # expand
    e3x3: int


class Version(NamedTuple):
    c: int  # channels of conv1
    k: int  # its kernel; stride 2
    stages: tuple[tuple[Fire, ...], ...]  # 3x3 max pooling with stride 2 before each; fire modules count from 2


FIRE_2_TO_9 = (
    #   s1x1 e1x1 e3x3
    Fire(16,  64,  64),
    Fire(16,  64,  64),
    Fire(32, 128, 128),
    Fire(32, 128, 128),
    Fire(48, 192, 192),
    Fire(48, 192, 192),
    Fire(64, 256, 256),
    Fire(64, 256, 256),
)  # fmt: skip

# maps at 227 x 227:                55 x 55           27 x 27           13 x 13
TABLE_1 = Version(96, 7, (FIRE_2_TO_9[:3], FIRE_2_TO_9[3:7], FIRE_2_TO_9[7:]))
VERSION_1_1 = Version(64, 3, (FIRE_2_TO_9[:2], FIRE_2_TO_9[2:4], FIRE_2_TO_9[4:]))


def _head(c_in: int, classes: int) -> nn.Sequential:
    """Dropout, 1x1 convolution (conv10), ReLU, global average pooling: (N, c_in, H, W) -> (N, classes)."""
    layers = {
        "dropout": nn.Dropout(0.5),
        "logits": nn.Conv2d(c_in, classes, 1),
        "relu": nn.ReLU(),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return nn.Sequential(OrderedDict(layers))


def he_uniform(model: Classifier) -> Classifier:
    """Draw weights from U(-b, b), b = sqrt(6 / fan-in) (arXiv:1502.01852), conv10's from N(0, 0.01^2); biases are 0."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
            if name == "head.logits":
                nn.init.normal_(module.weight, std=0.01)
            else:
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
    return model


def _squeezenet(version: Version, classes: int, *, c_in: int, size: int) -> Classifier:
    stem = nn.Sequential(OrderedDict({"conv": nn.Conv2d(c_in, version.c, version.k, stride=2), "relu": nn.ReLU()}))
    windows, stages, c, fire = [Window("stem.conv", version.k, stride=2)], [], version.c, 2
    for i, rows in enumerate(version.stages, start=1):
        windows.append(Window(f"stage{i}.pool", 3, stride=2, ceil=True))
        layers: dict[str, nn.Module] = {"pool": nn.MaxPool2d(3, stride=2, ceil_mode=True)}
        for row in rows:
            layers[f"fire{fire}"] = FireModule(c, *row)
            c, fire = row.e1x1 + row.e3x3, fire + 1
        stages.append(nn.Sequential(OrderedDict(layers)))
    chained(size, windows)
    return he_uniform(Classifier(stem=stem, stages=stages, head=_head(c, classes)))


def _rules(stages: Sequence[Sequence[int]]) -> tuple[tuple[str, str], ...]:
    """Return torchvision's names as ours, from the positions of each stage's fire modules in its `features`."""
    positions = [(stage, position) for stage, listed in enumerate(stages, start=1) for position in listed]
    fires = ((rf"^features\.{at}\.", f"stage{stage}.fire{i}.") for i, (stage, at) in enumerate(positions, start=2))
    return (*fires, (r"^features\.0\.", "stem.conv."), (r"^classifier\.1\.", "head.logits."))


def _peers(name: str, digest: str, rules: tuple[tuple[str, str], ...]) -> dict[str, Peer]:
    weights = f"https://download.pytorch.org/models/{name}-{digest}.pth"
    return {"torchvision": Peer(name, rules, weights=weights, licence="BSD-3-Clause (torchvision)")}


RULES_1_0 = _rules(([3, 4, 5], [7, 8, 9, 10], [12]))
RULES_1_1 = _rules(([3, 4], [6, 7], [9, 10, 11, 12]))

_register = partial(
    register,
    paper="arXiv:1602.07360",
    title="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    authors="Iandola et al.",
    year=2016,
    input=(3, 224, 224),
    published="torchvision 0.28, IMAGENET1K_V1 (paper: 57.5, 80.3 for version 1.0)",
)


@_register(
    params=1_248_424,
    macs=818_924_576,
    top1=58.092,
    top5=80.420,
    decks=("002",),
    peers=_peers("squeezenet1_0", "b66bff10", RULES_1_0),
)
def squeezenet1_0(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _squeezenet(TABLE_1, classes, c_in=c_in, size=size)


@_register(
    params=1_235_496,
    macs=349_151_936,
    top1=58.178,
    top5=80.624,
    peers=_peers("squeezenet1_1", "b8a52dc0", RULES_1_1),
)
def squeezenet1_1(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _squeezenet(VERSION_1_1, classes, c_in=c_in, size=size)

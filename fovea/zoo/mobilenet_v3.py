"""MobileNetV3: Howard et al. 2019, arXiv:1905.02244. Block: Figure 4. Networks: Tables 1 (large) and 2 (small).

Squeeze-and-excitation narrows to a quarter of the expanded maps, rounded to a multiple of 8, and has the hard sigmoid
of Section 5.2; h-swish is x ReLU6(x + 3) / 6.

Departures: Table 2 marks the last convolution of the small network with squeeze-and-excitation; the authors' code and
published weights have none there. Dropout of 0.2. He normal initialisation; the paper names none.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.zoo.mnasnet import END, SE, Design, MBConv, Shape, conv_bn_act
from fovea.zoo.mobilenet_v2 import rounded
from fovea.zoo.resnet import he_normal


class Bneck(NamedTuple):
    k: int  # kernel of the depthwise convolution
    exp_size: int  # maps it sees
    out: int  # output maps
    se: bool  # squeeze-and-excitation
    nl: str  # nonlinearity: RE, ReLU, or HS, h-swish
    s: int  # stride


FIRST = 16  # maps of the first convolution, 3x3 at stride 2
LARGE_LAST, SMALL_LAST = (960, 1280), (576, 1024)  # maps of the last convolution, units of the layer after the pooling
TABLE_1 = (
    #     k  exp  out  se     nl    s
    Bneck(3,  16,  16, False, "RE", 1),  # 112 x 112
    Bneck(3,  64,  24, False, "RE", 2),  #  56 x  56
    Bneck(3,  72,  24, False, "RE", 1),  #  56 x  56
    Bneck(5,  72,  40, True,  "RE", 2),  #  28 x  28
    Bneck(5, 120,  40, True,  "RE", 1),  #  28 x  28
    Bneck(5, 120,  40, True,  "RE", 1),  #  28 x  28
    Bneck(3, 240,  80, False, "HS", 2),  #  14 x  14
    Bneck(3, 200,  80, False, "HS", 1),  #  14 x  14
    Bneck(3, 184,  80, False, "HS", 1),  #  14 x  14
    Bneck(3, 184,  80, False, "HS", 1),  #  14 x  14
    Bneck(3, 480, 112, True,  "HS", 1),  #  14 x  14
    Bneck(3, 672, 112, True,  "HS", 1),  #  14 x  14
    Bneck(5, 672, 160, True,  "HS", 2),  #   7 x   7
    Bneck(5, 960, 160, True,  "HS", 1),  #   7 x   7
    Bneck(5, 960, 160, True,  "HS", 1),  #   7 x   7
)  # fmt: skip
TABLE_2 = (
    #     k  exp  out  se     nl    s
    Bneck(3,  16,  16, True,  "RE", 2),  #  56 x  56
    Bneck(3,  72,  24, False, "RE", 2),  #  28 x  28
    Bneck(3,  88,  24, False, "RE", 1),  #  28 x  28
    Bneck(5,  96,  40, True,  "HS", 2),  #  14 x  14
    Bneck(5, 240,  40, True,  "HS", 1),  #  14 x  14
    Bneck(5, 240,  40, True,  "HS", 1),  #  14 x  14
    Bneck(5, 120,  48, True,  "HS", 1),  #  14 x  14
    Bneck(5, 144,  48, True,  "HS", 1),  #  14 x  14
    Bneck(5, 288,  96, True,  "HS", 2),  #   7 x   7
    Bneck(5, 576,  96, True,  "HS", 1),  #   7 x   7
    Bneck(5, 576,  96, True,  "HS", 1),  #   7 x   7
)  # fmt: skip
EPS = 1e-3  # of batch norm
DESIGNS = {
    "RE": Design(nn.ReLU, gate=nn.Hardsigmoid, eps=EPS),
    "HS": Design(nn.Hardswish, gate=nn.Hardsigmoid, eps=EPS),
}


def _head(c_in: int, hidden: int, classes: int) -> nn.Sequential:
    """Global average pooling, dense layer, h-swish, dropout, logits: (N, c_in, H, W) -> (N, classes). Figure 5."""
    layers = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(c_in, hidden),
        "act": nn.Hardswish(),
        "dropout": nn.Dropout(0.2),
        "logits": nn.Linear(hidden, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def stages_of(rows: Sequence[Bneck]) -> list[list[Bneck]]:
    """Return the rows in stages: those with equally many output maps."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row.out)]


def _mobilenet(rows: Sequence[Bneck], last: tuple[int, int], *, classes: int, c_in: int) -> Classifier:
    c, stages = FIRST, []
    stem = conv_bn_act(c_in, c, 3, stride=2, design=DESIGNS["HS"])
    for group in stages_of(rows):
        blocks: dict[str, nn.Module] = {}
        for i, row in enumerate(group, start=1):
            shape = Shape(row.k, row.s, row.exp_size, rounded(row.exp_size // 4) if row.se else 0)
            blocks[f"block{i}"] = MBConv(c, row.out, shape, design=DESIGNS[row.nl])
            c = row.out
        stages.append(nn.Sequential(OrderedDict(blocks)))
    maps, hidden = last
    stages.append(conv_bn_act(c, maps, 1, design=DESIGNS["HS"]))
    return he_normal(Classifier(stem=stem, stages=stages, head=_head(maps, hidden, classes)))


INSIDE = (
    (r"(^stage1\..*residual)\.0\.0\.", r"\1.depthwise."),
    (r"(^stage1\..*residual)\.0\.1\.", r"\1.bn2."),
    (r"(^stage1\..*residual)\.[12]\.0\.", r"\1.project."),
    (r"(^stage1\..*residual)\.[12]\.1\.", r"\1.bn3."),
    (r"residual\.0\.0\.", "residual.expand."),
    (r"residual\.0\.1\.", "residual.bn1."),
    (r"residual\.1\.0\.", "residual.depthwise."),
    (r"residual\.1\.1\.", "residual.bn2."),
    (r"residual\.\d\.fc", "residual.se.fc"),
    (r"residual\.[23]\.0\.", "residual.project."),
    (r"residual\.[23]\.1\.", "residual.bn3."),
    *SE,
)
"""Layers of a block in torchvision's names: the first stage expands nothing, and only some have a gate."""


def _torchvision(rows: Sequence[Bneck]) -> tuple[tuple[str, str], ...]:
    """Return torchvision's names as ours: its blocks are counted through."""
    stages = stages_of(rows)
    places = [(i, j) for i, stage in enumerate(stages, start=1) for j in range(1, len(stage) + 1)]
    after = len(rows) + 1
    return (
        (r"^features\.0\.0\.", "stem.conv."),
        (r"^features\.0\.1\.", "stem.bn."),
        (rf"^features\.{after}\.0\.", f"stage{len(stages) + 1}.conv."),
        (rf"^features\.{after}\.1\.", f"stage{len(stages) + 1}.bn."),
        *((rf"^features\.{at}\.block\.", f"stage{i}.block{j}.residual.") for at, (i, j) in enumerate(places, start=1)),
        *INSIDE,
        (r"^classifier\.0\.", "head.dense."),
        END,
    )


def _peers(name: str, rows: Sequence[Bneck], file: str) -> dict[str, Peer]:
    address = f"https://download.pytorch.org/models/{file}"
    return {"torchvision": Peer(name, _torchvision(rows), weights=address, licence="BSD-3-Clause (torchvision)")}


_register = partial(
    register,
    paper="arXiv:1905.02244",
    title="Searching for MobileNetV3",
    authors="Howard et al.",
    year=2019,
    input=(3, 224, 224),
)


@_register(
    params=5_483_032,
    macs=216_589_760,
    top1=74.042,
    top5=91.340,
    published="torchvision 0.28, IMAGENET1K_V1 (paper, Table 3: 75.2)",
    peers=_peers("mobilenet_v3_large", TABLE_1, "mobilenet_v3_large-8738ca79.pth"),
)
def mobilenet_v3_large(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(TABLE_1, LARGE_LAST, classes=classes, c_in=c_in)


@_register(
    params=2_542_856,
    macs=56_510_400,
    top1=67.668,
    top5=87.402,
    published="torchvision 0.28, IMAGENET1K_V1 (paper, Table 3: 67.4)",
    peers=_peers("mobilenet_v3_small", TABLE_2, "mobilenet_v3_small-047dcff4.pth"),
)
def mobilenet_v3_small(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(TABLE_2, SMALL_LAST, classes=classes, c_in=c_in)

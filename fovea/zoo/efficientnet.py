"""EfficientNet: Tan and Le 2019, arXiv:1905.11946. B0: Table 1. Scaling: equation 3; B1 to B7: the authors' code.

The paper prints alpha = 1.2, beta = 1.1 and gamma = 1.15; `SCALES` has the rounded powers of the authors' code.
Each block squeezes to a quarter of its input and activates by SiLU; residual branches have stochastic depth.

Departures: batch norm has an epsilon of 1e-5 in B0 to B4 and 1e-3 in B5 to B7 (authors: 1e-3 throughout), and padding
is the same on all sides, both as published weights in PyTorch have it. He normal initialisation.
"""

from collections import OrderedDict
from functools import partial
from math import ceil
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier, stochastic_depths
from fovea.registry import Peer, register
from fovea.zoo.inception import dropout_head
from fovea.zoo.mnasnet import APACHE, END, RELEASES, Design, MBConv, Shape, conv_bn_act, timm_rules
from fovea.zoo.mobilenet_v2 import rounded
from fovea.zoo.mobilenet_v3 import INSIDE
from fovea.zoo.resnet import he_normal


class Stage(NamedTuple):
    t: int  # expansion: MBConv1 or MBConv6
    k: int  # kernel
    c: int  # channels
    n: int  # layers
    s: int  # stride of the first of them; the others have stride 1


FIRST, LAST = 32, 1280  # stages 1 and 9, the convolutions before and after
TABLE_1 = (
    #     t  k    c  n  s
    Stage(1, 3,  16, 1, 1),  # 112 x 112
    Stage(6, 3,  24, 2, 2),  #  56 x  56
    Stage(6, 5,  40, 2, 2),  #  28 x  28
    Stage(6, 3,  80, 3, 2),  #  14 x  14
    Stage(6, 5, 112, 3, 1),  #  14 x  14
    Stage(6, 5, 192, 4, 2),  #   7 x   7
    Stage(6, 3, 320, 1, 1),  #   7 x   7
)  # fmt: skip


class Scale(NamedTuple):
    width: float  # multiplies the channels
    depth: float  # multiplies the layers
    dropout: float  # before the logits
    eps: float  # of batch norm


SCALES = (
    #     width depth drop eps
    Scale(1.0, 1.0, 0.2, 1e-5),  # B0, 224 x 224
    Scale(1.0, 1.1, 0.2, 1e-5),  # B1, 240 x 240
    Scale(1.1, 1.2, 0.3, 1e-5),  # B2, 260 x 260
    Scale(1.2, 1.4, 0.3, 1e-5),  # B3, 300 x 300
    Scale(1.4, 1.8, 0.4, 1e-5),  # B4, 380 x 380
    Scale(1.6, 2.2, 0.4, 1e-3),  # B5, 456 x 456
    Scale(1.8, 2.6, 0.5, 1e-3),  # B6, 528 x 528
    Scale(2.0, 3.1, 0.5, 1e-3),  # B7, 600 x 600
)


def scaled(scale: Scale) -> tuple[Stage, ...]:
    """Return Table 1 with its channels multiplied, to multiples of 8, and its layers, rounded up."""
    return tuple(row._replace(c=rounded(row.c * scale.width), n=ceil(row.n * scale.depth)) for row in TABLE_1)


def _efficientnet(number: int, *, classes: int, c_in: int, stochastic_depth: float) -> Classifier:
    scale = SCALES[number]
    design = Design(nn.SiLU, squeeze=nn.SiLU, eps=scale.eps)
    rows, c = scaled(scale), rounded(FIRST * scale.width)
    depths = stochastic_depths(stochastic_depth, sum(row.n for row in rows))
    stem, stages = conv_bn_act(c_in, c, 3, stride=2, design=design), []
    for row in rows:
        blocks: dict[str, nn.Module] = {}
        for i in range(1, row.n + 1):
            shape = Shape(row.k, row.s if i == 1 else 1, c * row.t, c // 4)
            blocks[f"block{i}"] = MBConv(c, row.c, shape, design=design, depth=next(depths))
            c = row.c
        stages.append(nn.Sequential(OrderedDict(blocks)))
    last = rounded(LAST * scale.width)
    stages.append(conv_bn_act(c, last, 1, design=design))
    return he_normal(Classifier(stem=stem, stages=stages, head=dropout_head(last, classes, dropout=scale.dropout)))


MOST = max(row.n for row in scaled(SCALES[-1]))
TORCHVISION = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.bn."),
    (r"^features\.8\.0\.", "stage8.conv."),
    (r"^features\.8\.1\.", "stage8.bn."),
    *((rf"^features\.(\d)\.{j}\.block\.", rf"stage\1.block{j + 1}.residual.") for j in range(MOST)),
    *INSIDE,
    END,
)


def _peers(number: int, file: str, timm: str = "") -> dict[str, Peer]:
    """Return torchvision's network, and timm's if it has the same epsilon; `timm` is its weights' file."""
    name, address = f"efficientnet_b{number}", f"https://download.pytorch.org/models/{file}"
    peers = {"torchvision": Peer(name, TORCHVISION, weights=address, licence="BSD-3-Clause (torchvision)")}
    if timm:
        peers["timm"] = Peer(name, timm_rules(7, MOST), weights=f"{RELEASES}/{timm}", licence=APACHE)
    return peers


_register = partial(
    register,
    paper="arXiv:1905.11946",
    title="EfficientNet: rethinking model scaling for convolutional neural networks",
    authors="Tan, Le",
    year=2019,
    published="torchvision 0.28, IMAGENET1K_V1",
)


@_register(
    input=(3, 224, 224),
    params=5_288_548,
    macs=385_814_752,
    top1=77.692,
    top5=93.532,
    peers=_peers(0, "efficientnet_b0_rwightman-7f5810bc.pth", "efficientnet_b0_ra-3dd342df.pth"),
)
def efficientnet_b0(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(0, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)


@_register(
    input=(3, 240, 240),
    params=7_794_184,
    macs=686_802_832,
    top1=78.642,
    top5=94.186,
    peers=_peers(1, "efficientnet_b1_rwightman-bac287d4.pth", "efficientnet_b1-533bc792.pth"),
)
def efficientnet_b1(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(1, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)


@_register(
    input=(3, 260, 260),
    params=9_109_994,
    macs=993_561_872,
    top1=80.608,
    top5=95.31,
    published="torchvision 0.28, IMAGENET1K_V1, at 288x288",
    peers=_peers(2, "efficientnet_b2_rwightman-c35c1473.pth", "efficientnet_b2_ra-bcdf34b7.pth"),
)
def efficientnet_b2(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(2, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)


@_register(
    input=(3, 300, 300),
    params=12_233_232,
    macs=1_827_141_392,
    top1=82.008,
    top5=96.054,
    peers=_peers(3, "efficientnet_b3_rwightman-b3899882.pth", "efficientnet_b3_ra2-cf984f9c.pth"),
)
def efficientnet_b3(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(3, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)


@_register(
    input=(3, 380, 380),
    params=19_341_616,
    macs=4_393_771_024,
    top1=83.384,
    top5=96.594,
    peers=_peers(4, "efficientnet_b4_rwightman-23ab8bcd.pth", "efficientnet_b4_ra2_320-7eb33cd5.pth"),
)
def efficientnet_b4(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(4, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)


@_register(
    input=(3, 456, 456),
    params=30_389_784,
    macs=10_266_384_752,
    top1=83.444,
    top5=96.628,
    peers=_peers(5, "efficientnet_b5_lukemelas-1a07897c.pth"),
)
def efficientnet_b5(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(5, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)


@_register(
    input=(3, 528, 528),
    params=43_040_704,
    macs=19_067_593_536,
    top1=84.008,
    top5=96.916,
    peers=_peers(6, "efficientnet_b6_lukemelas-24a108a5.pth"),
)
def efficientnet_b6(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(6, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)


@_register(
    input=(3, 600, 600),
    params=66_347_960,
    macs=37_745_884_192,
    top1=84.122,
    top5=96.908,
    peers=_peers(7, "efficientnet_b7_lukemelas-c5b4e57e.pth"),
)
def efficientnet_b7(classes: int = 1000, *, c_in: int = 3, stochastic_depth: float = 0.2) -> Classifier:
    return _efficientnet(7, classes=classes, c_in=c_in, stochastic_depth=stochastic_depth)

"""Dual path networks: Chen et al. 2017, arXiv:1707.01629. Block: Figure 2(d). Stages: Table 1.

A map has two parts: to the first a block adds, as ResNet does; to the second it appends k maps, as DenseNet does.

Departures: Table 1 has neither DPN-68 nor DPN-131; their rows are those of the authors' code. Batch norms have an eps
of 0.001, as there. He normal initialisation counts the fan-out; the logits keep PyTorch's.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.wiring import ChannelSplit
from fovea.zoo.resnet import he_normal, head


class Stage(NamedTuple):
    width: int  # channels of the first 1x1 and of the 3x3 convolution
    c: int  # channels that are added up
    k: int  # channels that each block appends: (+k) in the table
    n: int  # blocks
    s: int  # stride of the first; the others have stride 1


class Network(NamedTuple):
    c: int  # channels of the first convolution
    kernel: int  # its size
    groups: int  # G of every 3x3 convolution
    stages: tuple[Stage, ...]


TABLE_1 = {
    # layers             conv2: 56 x 56            conv3: 28 x 28             conv4: 14 x 14                conv5: 7 x 7
    68: Network(10, 3, 32, (Stage(128, 64, 16, 3, 1), Stage(256, 128, 32, 4, 2), Stage(512, 256, 32, 12, 2),
                            Stage(1024, 512, 64, 3, 2))),
    92: Network(64, 7, 32, (Stage(96, 256, 16, 3, 1), Stage(192, 512, 32, 4, 2), Stage(384, 1024, 24, 20, 2),
                            Stage(768, 2048, 128, 3, 2))),
   131: Network(128, 7, 40, (Stage(160, 256, 16, 4, 1), Stage(320, 512, 32, 8, 2), Stage(640, 1024, 32, 28, 2),
                             Stage(1280, 2048, 128, 3, 2))),
}  # fmt: skip

_norm = partial(nn.BatchNorm2d, eps=1e-3)


def bottleneck(c_in: int, stage: Stage, *, stride: int, groups: int) -> nn.Sequential:
    """Three times BN, ReLU, convolution: 1x1, 3x3 in groups, 1x1.

    (N, c_in, H, W) -> (N, c + k, ceil(H / stride), ceil(W / stride))
    """
    conv2 = nn.Conv2d(stage.width, stage.width, 3, stride=stride, padding=1, groups=groups, bias=False)
    layers = {
        "bn1": _norm(c_in),
        "relu1": nn.ReLU(),
        "conv1": nn.Conv2d(c_in, stage.width, 1, bias=False),
        "bn2": _norm(stage.width),
        "relu2": nn.ReLU(),
        "conv2": conv2,
        "bn3": _norm(stage.width),
        "relu3": nn.ReLU(),
        "conv3": nn.Conv2d(stage.width, stage.c + stage.k, 1, bias=False),
    }
    return nn.Sequential(OrderedDict(layers))


def projection(c_in: int, c_out: int, *, stride: int) -> nn.Sequential:
    """BN, ReLU, 1x1: (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    conv = nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)
    return nn.Sequential(OrderedDict({"bn": _norm(c_in), "relu": nn.ReLU(), "conv": conv}))


class DualPath(nn.Module):
    """The first c channels of F(x) added to those of x, the other k behind all channels of x.

    The first block of a stage has for x a projection of it to c + 2 k channels.

    (N, c_in, H, W) -> (N, c_in + k or c + 3 k, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, stage: Stage, *, stride: int, groups: int, first: bool) -> None:
        super().__init__()
        self.residual = bottleneck(c_in, stage, stride=stride, groups=groups)
        self.shortcut = projection(c_in, stage.c + 2 * stage.k, stride=stride) if first else nn.Identity()
        self.old = ChannelSplit(stage.c, 2 * stage.k if first else c_in - stage.c)
        self.new = ChannelSplit(stage.c, stage.k)

    def forward(self, x: Tensor) -> Tensor:
        """Return both parts, one behind the other."""
        (added, old), (sums, new) = self.old(self.shortcut(x)), self.new(self.residual(x))
        return torch.cat((added + sums, old, new), dim=1)


def _dpn(layers: int, *, classes: int, c_in: int) -> Classifier:
    net = TABLE_1[layers]
    stem = {
        "conv": nn.Conv2d(c_in, net.c, net.kernel, stride=2, padding=net.kernel // 2, bias=False),
        "bn": _norm(net.c),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    stages, c = [], net.c
    for row in net.stages:
        blocks = OrderedDict[str, nn.Module]()
        for i in range(1, row.n + 1):
            stride = row.s if i == 1 else 1
            blocks[f"block{i}"] = DualPath(c, row, stride=stride, groups=net.groups, first=i == 1)
            c = row.c + (2 + i) * row.k
        stages.append(nn.Sequential(blocks))
    stages[-1].add_module("bn", _norm(c))
    stages[-1].add_module("relu", nn.ReLU())
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=head(c, classes)))


RULES = (
    (r"^features\.conv1_1\.", "stem."),
    (r"^features\.conv5_bn_ac\.", "stage4."),
    *((rf"^features\.conv{i + 1}_(\d+)\.", rf"stage{i}.block\1.") for i in range(1, 5)),
    (r"\.c1x1_a\.(bn|conv)\.", r".residual.\g<1>1."),
    (r"\.c3x3_b\.(bn|conv)\.", r".residual.\g<1>2."),
    (r"\.c1x1_c\.(bn|conv)\.", r".residual.\g<1>3."),
    (r"\.c1x1_w_s[12]\.", ".shortcut."),
    (r"^classifier\.", "head.logits."),
)


def _timm(name: str) -> dict[str, Peer]:
    # their pixels, 0 to 255: minus these means, times 0.0167
    return {"timm": Peer(name, RULES, mean=(124 / 255, 117 / 255, 104 / 255), std=(1 / (0.0167 * 255),) * 3)}


_register = partial(
    register,
    paper="arXiv:1707.01629",
    title="Dual path networks",
    authors="Chen et al.",
    year=2017,
    input=(3, 224, 224),
    published="the authors' table, github.com/cypw/DPNs",
)


@_register(params=12_611_602, macs=2_326_163_456, top1=76.43, top5=93.07, peers=_timm("dpn68"))
def dpn68(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _dpn(68, classes=classes, c_in=c_in)


@_register(params=37_668_392, macs=6_501_684_224, top1=79.27, top5=94.63, peers=_timm("dpn92"))
def dpn92(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _dpn(92, classes=classes, c_in=c_in)


@_register(params=79_254_504, macs=16_013_648_896, top1=80.07, top5=94.88, decks=("000",), peers=_timm("dpn131"))
def dpn131(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _dpn(131, classes=classes, c_in=c_in)

"""ShuffleNet: Zhang et al. 2017, arXiv:1707.01083. Block: Figure 2(b) and (c). Stages: Table 1.

Departures: He normal initialisation; the paper names none. Table 1's complexities leave out the dense layer.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fovea.layers import Classifier, channel_shuffle
from fovea.registry import register
from fovea.zoo.resnet import he_normal, head


class Unit(nn.Module):
    """1x1 in groups, BN, ReLU, channel shuffle, 3x3 depthwise, BN, 1x1 in groups, BN; plus the input; ReLU.

    At stride 2 the new channels stand beside the input's after 3x3 average pooling. `first_groups`: of the first 1x1.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int, groups: int, first_groups: int) -> None:
        super().__init__()
        hidden, new = c_out // 4, c_out if stride == 1 else c_out - c_in
        self.groups, self.stride = groups, stride
        self.conv1 = nn.Conv2d(c_in, hidden, 1, groups=first_groups, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.relu1 = nn.ReLU()
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, new, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(new)
        self.shortcut = nn.Identity() if stride == 1 else nn.AvgPool2d(3, stride=stride, padding=1)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(x + F(x)), or of both side by side."""
        hidden = channel_shuffle(self.relu1(self.bn1(self.conv1(x))), self.groups)
        new = self.bn3(self.conv2(self.bn2(self.depthwise(hidden))))
        shortcut = self.shortcut(x)
        return cast(Tensor, self.relu2(shortcut + new if self.stride == 1 else torch.cat([shortcut, new], dim=1)))


class Stage(NamedTuple):
    n: int  # units, the first of which has stride 2
    c: dict[int, int]  # output channels by number of groups


STEM = 24  # channels of the first convolution; 112 x 112, after max pooling 56 x 56
TABLE_1 = (
    #     n     g = 1     g = 2     g = 3     g = 4      g = 8
    Stage(4, {1: 144, 2: 200, 3: 240, 4:  272, 8:  384}),  # 28 x 28
    Stage(8, {1: 288, 2: 400, 3: 480, 4:  544, 8:  768}),  # 14 x 14
    Stage(4, {1: 576, 2: 800, 3: 960, 4: 1088, 8: 1536}),  #  7 x  7
)  # fmt: skip


def _shufflenet(groups: int, classes: int, *, c_in: int) -> Classifier:
    stem = {
        "conv": nn.Conv2d(c_in, STEM, 3, stride=2, padding=1, bias=False),
        "bn": nn.BatchNorm2d(STEM),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    c, stages = STEM, []
    for row in TABLE_1:
        units, c_out = {}, row.c[groups]
        for i in range(1, row.n + 1):
            # section 3.2: no groups in the network's first 1x1, whose inputs are few
            first_groups = 1 if c == STEM else groups
            units[f"unit{i}"] = Unit(c, c_out, stride=2 if i == 1 else 1, groups=groups, first_groups=first_groups)
            c = c_out
        stages.append(nn.Sequential(OrderedDict(units)))
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=head(c, classes)))


_register = partial(
    register,
    paper="arXiv:1707.01083",
    title="ShuffleNet: an extremely efficient convolutional neural network for mobile devices",
    authors="Zhang et al.",
    year=2017,
    input=(3, 224, 224),
    published="paper, Table 2",
    decks=("002",),
)


@_register(params=1_531_936, macs=143_078_976, top1=66.4)
def shufflenet_v1_g1(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(1, classes, c_in=c_in)


@_register(params=1_733_848, macs=140_836_512, top1=67.3)
def shufflenet_v1_g2(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(2, classes, c_in=c_in)


@_register(params=1_865_728, macs=137_460_672, top1=67.4)
def shufflenet_v1_g3(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(3, classes, c_in=c_in)


@_register(params=1_968_344, macs=134_339_776, top1=67.2)
def shufflenet_v1_g4(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(4, classes, c_in=c_in)


@_register(params=2_434_768, macs=138_365_952, top1=67.6)
def shufflenet_v1_g8(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(8, classes, c_in=c_in)

"""ShuffleNet V2: Ma et al. 2018, arXiv:1807.11164. Block: Figure 3(c) and (d). Stages: Table 5.

Departures: He normal initialisation; the paper names none.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.wiring import ChannelShuffle, ChannelSplit
from fovea.zoo.resnet import he_normal, head


def _pointwise(c_in: int, c_out: int, *, number: int) -> dict[str, nn.Module]:
    conv = nn.Conv2d(c_in, c_out, 1, bias=False)
    return {f"conv{number}": conv, f"bn{number}": nn.BatchNorm2d(c_out), f"relu{number}": nn.ReLU()}


def _depthwise(c: int, *, stride: int) -> dict[str, nn.Module]:
    conv = nn.Conv2d(c, c, 3, stride=stride, padding=1, groups=c, bias=False)
    return {"depthwise": conv, "bn": nn.BatchNorm2d(c)}


def right(c_in: int, c_out: int, *, stride: int) -> nn.Sequential:
    """1x1, BN, ReLU, 3x3 depthwise, BN, 1x1, BN, ReLU: (N, c_in, H, W) -> (N, c_out, H / stride, W / stride)."""
    layers = _pointwise(c_in, c_out, number=1) | _depthwise(c_out, stride=stride) | _pointwise(c_out, c_out, number=2)
    return nn.Sequential(OrderedDict(layers))


class BasicUnit(nn.Module):
    """Figure 3(c): half of the channels through `right`, the other half as they are; shuffled.

    (N, c, H, W) -> (N, c, H, W)
    """

    def __init__(self, c: int) -> None:
        super().__init__()
        self.split = ChannelSplit(c // 2, c // 2)
        self.right = right(c // 2, c // 2, stride=1)
        self.shuffle = ChannelShuffle(c, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the two halves, shuffled."""
        same, other = self.split(x)
        return cast(Tensor, self.shuffle(torch.cat([same, self.right(other)], dim=1)))


class DownsamplingUnit(nn.Module):
    """Figure 3(d): 3x3 depthwise with stride 2, BN, 1x1, BN, ReLU beside `right` with stride 2; shuffled.

    (N, c_in, H, W) -> (N, c_out, ceil(H / 2), ceil(W / 2))
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.left = nn.Sequential(OrderedDict(_depthwise(c_in, stride=2) | _pointwise(c_in, c_out // 2, number=1)))
        self.right = right(c_in, c_out // 2, stride=2)
        self.shuffle = ChannelShuffle(c_out, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return both branches, shuffled."""
        return cast(Tensor, self.shuffle(torch.cat([self.left(x), self.right(x)], dim=1)))


class Width(NamedTuple):
    stage2: int  # output channels; 28 x 28
    stage3: int  # 14 x 14
    stage4: int  # 7 x 7
    conv5: int  # 7 x 7


STEM = 24  # channels of conv1; 112 x 112, after max pooling 56 x 56
REPEATS = (4, 8, 4)  # units of stages 2 to 4, the first of which has stride 2
TABLE_5 = {
    0.5: Width( 48,  96, 192, 1024),
    1.0: Width(116, 232, 464, 1024),
    1.5: Width(176, 352, 704, 1024),
    2.0: Width(244, 488, 976, 2048),
}  # fmt: skip


def _stage(c_in: int, c_out: int, n: int) -> nn.Sequential:
    units: dict[str, nn.Module] = {"unit1": DownsamplingUnit(c_in, c_out)}
    units |= {f"unit{i}": BasicUnit(c_out) for i in range(2, n + 1)}
    return nn.Sequential(OrderedDict(units))


def _shufflenet(width: float, classes: int, *, c_in: int) -> Classifier:
    *channels, conv5 = TABLE_5[width]
    stem = {
        "conv": nn.Conv2d(c_in, STEM, 3, stride=2, padding=1, bias=False),
        "bn": nn.BatchNorm2d(STEM),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    inputs = (STEM, *channels)
    stages = [_stage(a, b, n) for a, b, n in zip(inputs, channels, REPEATS, strict=False)]
    stages.append(nn.Sequential(OrderedDict(_pointwise(channels[-1], conv5, number=5))))
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=head(conv5, classes)))


def _numbered(branch: str, layers: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((rf"{branch}\.{i}\.", f"{branch}.{layer}.") for i, layer in enumerate(layers) if layer)


RULES = (
    *((rf"^stage{i + 1}\.", f"stage{i}.") for i in (1, 2, 3)),
    (r"^conv5\.0\.", "stage4.conv5."),
    (r"^conv5\.1\.", "stage4.bn5."),
    (r"^conv1\.0\.", "stem.conv."),
    (r"^conv1\.1\.", "stem.bn."),
    *((rf"^(stage\d)\.{i}\.", rf"\1.unit{i + 1}.") for i in range(max(REPEATS))),
    (r"\.branch1\.", ".left."),
    (r"\.branch2\.", ".right."),
    *_numbered("left", ("depthwise", "bn", "conv1", "bn1")),
    *_numbered("right", ("conv1", "bn1", "", "depthwise", "bn", "conv2", "bn2")),
    (r"^fc\.", "head.logits."),
)
"""torchvision's names as ours."""


def _peers(name: str, file: str) -> dict[str, Peer]:
    weights = f"https://download.pytorch.org/models/{file}"
    return {"torchvision": Peer(name, RULES, weights=weights, licence="BSD-3-Clause (torchvision)")}


_register = partial(
    register,
    paper="arXiv:1807.11164",
    title="ShuffleNet V2: practical guidelines for efficient CNN architecture design",
    authors="Ma et al.",
    year=2018,
    input=(3, 224, 224),
)


@_register(
    params=1_366_792,
    macs=40_476_448,
    top1=60.552,
    top5=81.746,
    published="torchvision 0.28, IMAGENET1K_V1 (paper: 60.3)",
    peers=_peers("shufflenet_v2_x0_5", "shufflenetv2_x0.5-f707e7126e.pth"),
)
def shufflenet_v2_05(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(0.5, classes, c_in=c_in)


@_register(
    params=2_278_604,
    macs=144_907_992,
    top1=69.362,
    top5=88.316,
    published="torchvision 0.28, IMAGENET1K_V1 (paper: 69.4)",
    decks=("002",),
    peers=_peers("shufflenet_v2_x1_0", "shufflenetv2_x1-5666bf0f80.pth"),
)
def shufflenet_v2(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(1.0, classes, c_in=c_in)


@_register(
    params=3_503_624,
    macs=295_759_392,
    top1=72.996,
    top5=91.086,
    published="torchvision 0.28, IMAGENET1K_V1 (paper: 72.6)",
    peers=_peers("shufflenet_v2_x1_5", "shufflenetv2_x1_5-3c479a10.pth"),
)
def shufflenet_v2_15(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(1.5, classes, c_in=c_in)


@_register(
    params=7_393_996,
    macs=583_253_464,
    top1=76.230,
    top5=93.006,
    published="torchvision 0.28, IMAGENET1K_V1 (paper: 74.9)",
    peers=_peers("shufflenet_v2_x2_0", "shufflenetv2_x2_0-8be3c8ee.pth"),
)
def shufflenet_v2_20(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _shufflenet(2.0, classes, c_in=c_in)

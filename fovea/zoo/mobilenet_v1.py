"""MobileNet: Howard et al. 2017, arXiv:1704.04861. Block: Figure 3, right. Stages: Table 1. Widths, sizes: Tables 6, 7.

Departures: ReLU6, as in the authors' code (paper: ReLU). The last depthwise convolution has stride 1, as its 7x7 output
needs (Table 1 prints s2). He normal initialisation; the paper names none.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.zoo.resnet import he_normal, head


class Stage(NamedTuple):
    c: int  # output channels
    n: int  # blocks
    s: int  # stride of the first; the others have stride 1


STEM = 32  # channels of the first convolution; 112 x 112
TABLE_1 = (
    #       c  n  s
    Stage(  64, 1, 1),  # 112 x 112
    Stage( 128, 2, 2),  #  56 x  56
    Stage( 256, 2, 2),  #  28 x  28
    Stage( 512, 6, 2),  #  14 x  14
    Stage(1024, 2, 2),  #   7 x   7
)  # fmt: skip


def depthwise_separable(c_in: int, c_out: int, *, stride: int) -> nn.Sequential:
    """3x3 depthwise, BN, ReLU6, 1x1, BN, ReLU6: (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    layers = {
        "depthwise": nn.Conv2d(c_in, c_in, 3, stride=stride, padding=1, groups=c_in, bias=False),
        "bn1": nn.BatchNorm2d(c_in),
        "relu1": nn.ReLU6(),
        "pointwise": nn.Conv2d(c_in, c_out, 1, bias=False),
        "bn2": nn.BatchNorm2d(c_out),
        "relu2": nn.ReLU6(),
    }
    return nn.Sequential(OrderedDict(layers))


def _mobilenet(classes: int, *, c_in: int, width: float) -> Classifier:
    if STEM * width < 1:
        raise UsageError(
            f"`width` (={width}) must be at least 1/{STEM}: it multiplies the {STEM} channels of the stem."
        )
    c = int(STEM * width)
    conv = nn.Conv2d(c_in, c, 3, stride=2, padding=1, bias=False)
    stem = nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c), "relu": nn.ReLU6()}))
    stages = []
    for row in TABLE_1:
        blocks, c_out = {}, int(row.c * width)
        for i in range(1, row.n + 1):
            blocks[f"block{i}"] = depthwise_separable(c, c_out, stride=row.s if i == 1 else 1)
            c = c_out
        stages.append(nn.Sequential(OrderedDict(blocks)))
    return he_normal(Classifier(stem=stem, stages=stages, head=head(c, classes)))


TIMM = (
    *((rf"^blocks\.{i}\.{j}\.", f"stage{i + 1}.block{j + 1}.") for i, row in enumerate(TABLE_1) for j in range(row.n)),
    (r"\.conv_dw\.", ".depthwise."),
    (r"\.conv_pw\.", ".pointwise."),
    (r"^conv_stem\.", "stem.conv."),
    (r"^bn1\.", "stem.bn."),
    (r"^classifier\.", "head.logits."),
)
"""timm's names as ours."""

_register = partial(
    register,
    paper="arXiv:1704.04861",
    title="MobileNets: efficient convolutional neural networks for mobile vision applications",
    authors="Howard et al.",
    year=2017,
)
_width = partial(_register, input=(3, 224, 224), published="paper, Table 6")
_size = partial(_register, params=4_231_976, published="paper, Table 7")


@_width(
    params=4_231_976,
    macs=568_740_352,
    top1=70.6,
    decks=("002",),
    peers={"timm": Peer("mobilenetv1_100", TIMM, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))},
)
def mobilenet_v1(classes: int = 1000, *, c_in: int = 3, width: float = 1.0) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=width)


@_width(params=2_585_560, macs=325_400_448, top1=68.4)
def mobilenet_v1_075(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=0.75)


@_width(params=1_331_592, macs=149_497_088, top1=63.7)
def mobilenet_v1_05(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=0.5)


@_width(params=470_072, macs=41_030_272, top1=50.6)
def mobilenet_v1_025(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=0.25)


@_size(input=(3, 192, 192), macs=418_121_728, top1=69.1)
def mobilenet_v1_r192(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=1.0)


@_size(input=(3, 160, 160), macs=290_675_200, top1=67.2)
def mobilenet_v1_r160(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=1.0)


@_size(input=(3, 128, 128), macs=186_400_768, top1=64.4)
def mobilenet_v1_r128(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=1.0)

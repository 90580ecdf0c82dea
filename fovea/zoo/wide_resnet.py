"""Wide ResNet: Zagoruyko and Komodakis 2016, arXiv:1605.07146. CIFAR: Table 1, block B(3, 3) of Figure 1(c, d).

WRN-28-10 has 28 convolutions and 10 times the channels of the thin network. On ImageNet (section 3.4, WRN-50-2-
bottleneck) the width inside the bottlenecks doubles and what goes in and out of them stays.

Departures: those of `resnet.py` on ImageNet; none on CIFAR.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.zoo.resnet import TABLE_1, Stage, bottleneck, he_normal, head, imagenet_resnet, peers, residual
from fovea.zoo.resnet_v2 import pre_activated


def table_1(depth: int, k: int) -> tuple[Stage, ...]:
    """Return the stages of WRN-`depth`-`k`, depth = 6n + 4: maps of 32 x 32, 16 x 16 and 8 x 8."""
    n = (depth - 4) // 6  # three stages of n blocks of two convolutions; the stem and a projection each are the other 4
    return (Stage(16 * k, 16 * k, n, 1), Stage(32 * k, 32 * k, n, 2), Stage(64 * k, 64 * k, n, 2))


def section_3_4(depth: int) -> tuple[Stage, ...]:
    """Return the ImageNet stages of ResNet-`depth` with bottlenecks of twice the width."""
    return tuple(row._replace(width=2 * row.width) for row in TABLE_1[depth])


def _basic_wide(c_in: int, stage: Stage, *, stride: int, dropout: float) -> nn.Sequential:
    """3x3, BN, ReLU, dropout, 3x3; (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""
    layers = {
        "conv1": nn.Conv2d(c_in, stage.width, 3, stride=stride, padding=1, bias=False),
        "bn2": nn.BatchNorm2d(stage.width),
        "relu2": nn.ReLU(),
        "dropout": nn.Dropout(dropout),  # between the convolutions: section 2.4
        "conv2": nn.Conv2d(stage.width, stage.c, 3, padding=1, bias=False),
    }
    return nn.Sequential(OrderedDict(layers))


def _cifar(rows: tuple[Stage, ...], *, classes: int, c_in: int, dropout: float) -> Classifier:
    # 16 channels whatever k is: the first blocks widen
    stem = nn.Sequential(OrderedDict({"conv": nn.Conv2d(c_in, 16, 3, padding=1, bias=False)}))
    body = pre_activated(16, rows, partial(_basic_wide, dropout=dropout))
    return he_normal(Classifier(stem=stem, stages=body, head=head(rows[-1].c, classes)))


_register = partial(
    register,
    paper="arXiv:1605.07146",
    title="Wide residual networks",
    authors="Zagoruyko and Komodakis",
    year=2016,
)
_imagenet = partial(_register, input=(3, 224, 224), published="torchvision 0.28, IMAGENET1K_V1")
_on_cifar = partial(_register, input=(3, 32, 32), decks=("001",))


@_imagenet(
    params=68_883_240,
    macs=11_398_021_120,
    top1=78.468,
    top5=94.086,
    decks=("001", "002"),
    peers=peers("wide_resnet50_2", digest="95faca4d"),
)
def wide_resnet50(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return imagenet_resnet(section_3_4(50), residual(bottleneck), classes=classes, c_in=c_in)


@_imagenet(
    params=126_886_696,
    macs=22_753_050_624,
    top1=78.848,
    top5=94.284,
    decks=("001",),
    peers=peers("wide_resnet101_2", digest="32ee1156"),
)
def wide_resnet101(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return imagenet_resnet(section_3_4(101), residual(bottleneck), classes=classes, c_in=c_in)


@_on_cifar(params=36_479_194, macs=5_243_328_768)
def cifar_wrn28_10(classes: int = 10, *, c_in: int = 3, dropout: float = 0.0) -> Classifier:
    return _cifar(table_1(28, 10), classes=classes, c_in=c_in, dropout=dropout)


@_on_cifar(params=2_243_546, macs=327_599_360)
def cifar_wrn40_2(classes: int = 10, *, c_in: int = 3, dropout: float = 0.0) -> Classifier:
    return _cifar(table_1(40, 2), classes=classes, c_in=c_in, dropout=dropout)

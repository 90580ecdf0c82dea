"""RegNet: Radosavovic, Kosaraju, Girshick, He and Dollár 2020, arXiv:2003.13678. Block: Figure 4. Networks: Figure 16.

A design space: widths grow by a line, w0 + wa j for block j, and are drawn to the nearest w0 wm^k, so that stages
arise (equations 2 to 4). RegNet-Y has squeeze-and-excitation with a quarter of the block's input channels.

Departures: none. Where a stage's width is no multiple of its group width, it becomes the nearest one. The networks
that end in `_wide` are torchvision's, which rounds halves up, and up where a width would lose more than a tenth.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier, SqueezeExcitation
from fovea.registry import Peer, register
from fovea.zoo.resnet import Residual, head, shortcut_of

STEM = 32  # channels of the first convolution; 112 x 112
QUANTUM = 8  # all widths are multiples of it


class Parameters(NamedTuple):
    d: int  # blocks
    w0: int  # width of the first
    wa: float  # slope of the line
    wm: float  # ratio of the widths of neighbouring stages
    g: int  # group width: channels that each group of the 3x3 convolutions sees


FIGURE_16 = {
    #                    d   w0      wa    wm    g
    "400MF": Parameters(16,  48,  27.89, 2.09,   8),
    "800MF": Parameters(14,  56,  38.84, 2.40,  16),
    "1.6GF": Parameters(27,  48,  20.71, 2.65,  24),
    "3.2GF": Parameters(21,  80,  42.63, 2.66,  24),
    "8GF":   Parameters(17, 192,  76.82, 2.19,  56),
    "16GF":  Parameters(18, 200, 106.23, 2.48, 112),
}  # fmt: skip


class Stage(NamedTuple):
    c: int  # output channels
    n: int  # blocks, the first of which has stride 2
    groups: int  # of the 3x3 convolutions


def widths(row: Parameters) -> list[int]:
    """Return the width of each block: equations 2 to 4, then the nearest multiple of 8."""
    exponents = [round(math.log((row.w0 + row.wa * j) / row.w0, row.wm)) for j in range(row.d)]
    return [round(row.w0 * row.wm**k / QUANTUM) * QUANTUM for k in exponents]


def stages_of(row: Parameters, *, least: float = 0.0) -> list[Stage]:
    """Return the stages: runs of blocks of one width, which the group width is made to divide.

    Of two multiples as near, the width becomes that with an even number of groups, as in the authors' code. With
    `least` it becomes the larger one, and has one group more where it would be less than that share of itself.

    >>> stages_of(FIGURE_16["400MF"])[:2]
    [Stage(c=48, n=1, groups=6), Stage(c=104, n=3, groups=13)]
    """
    stages = []
    for width, blocks in groupby(widths(row)):
        groups = round(width / row.g) if least == 0 else int(width + row.g / 2) // row.g
        groups += groups * row.g < least * width
        stages.append(Stage(groups * row.g, len(list(blocks)), groups))
    return stages


def y_block(c_in: int, stage: Stage, *, stride: int) -> Residual:
    """1x1, BN, ReLU, 3x3 in groups, BN, ReLU, squeeze-and-excitation, 1x1, BN; plus the shortcut; ReLU.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))
    """
    c = stage.c
    layers = {
        "conv1": nn.Conv2d(c_in, c, 1, bias=False),
        "bn1": nn.BatchNorm2d(c),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(c, c, 3, stride=stride, padding=1, groups=stage.groups, bias=False),
        "bn2": nn.BatchNorm2d(c),
        "relu2": nn.ReLU(),
        "se": SqueezeExcitation(c, hidden=c_in // 4),
        "conv3": nn.Conv2d(c, c, 1, bias=False),
        "bn3": nn.BatchNorm2d(c),
    }
    return Residual(nn.Sequential(OrderedDict(layers)), shortcut_of("B", c_in, c, stride=stride))


def _stages(c_in: int, rows: list[Stage]) -> Iterator[nn.Sequential]:
    for row in rows:
        blocks: dict[str, nn.Module] = {"block1": y_block(c_in, row, stride=2)}
        blocks |= {f"block{i}": y_block(row.c, row, stride=1) for i in range(2, row.n + 1)}
        yield nn.Sequential(OrderedDict(blocks))
        c_in = row.c


def normal(model: Classifier) -> Classifier:
    """Draw weights as the authors' code: convolutions from N(0, 2 / fan-out), dense layers from N(0, 0.01^2).

    The fan-out counts all channels, however many groups there are.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
    return model


def _regnet(rows: list[Stage], classes: int, *, c_in: int) -> Classifier:
    stem = {
        "conv": nn.Conv2d(c_in, STEM, 3, stride=2, padding=1, bias=False),
        "bn": nn.BatchNorm2d(STEM),
        "relu": nn.ReLU(),
    }
    body = list(_stages(STEM, rows))
    return normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=body, head=head(rows[-1].c, classes)))


MOST = 17
"""Blocks in the longest stage."""
LAYERS = tuple(
    rule
    for i, letter in enumerate("abc", start=1)
    for rule in ((rf"\.f\.{letter}\.0\.", f".residual.conv{i}."), (rf"\.f\.{letter}\.1\.", f".residual.bn{i}."))
)
SE = ((r"\.se\.fc1\.", ".se.excitation.reduce."), (r"\.se\.fc2\.", ".se.excitation.expand."))
TORCHVISION = (
    (r"^stem\.0\.", "stem.conv."),
    (r"^stem\.1\.", "stem.bn."),
    *((rf"^trunk_output\.block(\d)\.block\d-{i}\.", rf"stage\1.block{i + 1}.") for i in range(MOST)),
    *LAYERS,
    (r"\.f\.se\.", ".residual.se."),
    *SE,
    (r"\.proj\.0\.", ".shortcut.conv."),
    (r"\.proj\.1\.", ".shortcut.bn."),
    (r"^fc\.", "head.logits."),
)
"""torchvision's names as ours."""
TIMM = (
    (r"^s(\d)\.b(\d+)\.", r"stage\1.block\2."),
    (r"\.conv(\d)\.conv\.", r".residual.conv\1."),
    (r"\.conv(\d)\.bn\.", r".residual.bn\1."),
    (r"(block\d+)\.se\.", r"\1.residual.se."),
    *SE,
    (r"\.downsample\.", ".shortcut."),
    (r"^head\.fc\.", "head.logits."),
)
"""timm's names as ours."""


def _peers(torchvision: str, digest: str, timm: str) -> dict[str, Peer]:
    weights = f"https://download.pytorch.org/models/{torchvision}-{digest}.pth"
    return {
        "torchvision": Peer(torchvision, TORCHVISION, weights=weights, licence="BSD-3-Clause (torchvision)"),
        "timm": Peer(timm, TIMM),
    }


_register = partial(
    register,
    paper="arXiv:2003.13678",
    title="Designing network design spaces",
    authors="Radosavovic et al.",
    year=2020,
    input=(3, 224, 224),
)
_published = partial(_register, published="torchvision 0.28, IMAGENET1K_V1")


@_published(
    params=4_344_144,
    macs=401_842_848,
    top1=74.046,
    top5=91.716,
    peers=_peers("regnet_y_400mf", "c65dace8", "regnety_004"),
)
def regnet_y_400mf(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["400MF"]), classes, c_in=c_in)


@_register(
    params=6_263_168,
    macs=797_176_832,
    top1=76.3,
    published="the authors' published networks",
    peers={"timm": Peer("regnety_008", TIMM)},
)
def regnet_y_800mf(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["800MF"]), classes, c_in=c_in)


@_published(
    params=6_432_512,
    macs=833_856_256,
    top1=76.42,
    top5=93.136,
    peers=_peers("regnet_y_800mf", "1b27b58c", "regnety_008_tv"),
)
def regnet_y_800mf_wide(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["800MF"], least=0.9), classes, c_in=c_in)


@_published(
    params=11_202_430,
    macs=1_612_076_160,
    top1=77.95,
    top5=93.966,
    peers=_peers("regnet_y_1_6gf", "b11a554e", "regnety_016"),
)
def regnet_y_1_6gf(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["1.6GF"]), classes, c_in=c_in)


@_published(
    params=19_436_338,
    macs=3_176_482_752,
    top1=78.948,
    top5=94.576,
    peers=_peers("regnet_y_3_2gf", "b5a9779c", "regnety_032"),
)
def regnet_y_3_2gf(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["3.2GF"]), classes, c_in=c_in)


@_register(
    params=39_180_068,
    macs=7_963_057_312,
    top1=79.9,
    published="the authors' published networks",
    peers={"timm": Peer("regnety_080", TIMM)},
)
def regnet_y_8gf(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["8GF"]), classes, c_in=c_in)


@_published(
    params=39_381_472,
    macs=8_473_070_592,
    top1=80.032,
    top5=95.048,
    peers=_peers("regnet_y_8gf", "d0d0e4a8", "regnety_080_tv"),
)
def regnet_y_8gf_wide(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["8GF"], least=0.9), classes, c_in=c_in)


@_published(
    params=83_590_140,
    macs=15_911_510_272,
    top1=80.424,
    top5=95.24,
    peers=_peers("regnet_y_16gf", "9e6ed7dd", "regnety_160"),
)
def regnet_y_16gf(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _regnet(stages_of(FIGURE_16["16GF"]), classes, c_in=c_in)

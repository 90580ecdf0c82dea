"""MobileNetV2: Sandler et al. 2018, arXiv:1801.04381. Block: Figure 4(d), Table 1. Stages: Table 2.

Departures: He normal initialisation; the paper names none. Channels at width != 1 are rounded to multiples of 8, and
the last convolution gets no fewer than at width 1, as in the authors' code.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.zoo.resnet import he_normal


class InvertedResidual(nn.Module):
    """1x1 expand, BN, ReLU6, 3x3 depthwise, BN, ReLU6, 1x1 project, BN; plus the input where shapes agree.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int, expand: int) -> None:
        super().__init__()
        hidden = c_in * expand
        layers: dict[str, nn.Module] = {}
        if expand > 1:
            layers["expand"] = nn.Conv2d(c_in, hidden, 1, bias=False)
            layers |= {"bn1": nn.BatchNorm2d(hidden), "relu1": nn.ReLU6()}
        layers["depthwise"] = nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False)
        layers |= {"bn2": nn.BatchNorm2d(hidden), "relu2": nn.ReLU6()}
        layers["project"] = nn.Conv2d(hidden, c_out, 1, bias=False)
        layers["bn3"] = nn.BatchNorm2d(c_out)
        self.residual = nn.Sequential(OrderedDict(layers))
        self.adds = c_in == c_out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x), plus x where shapes agree."""
        return x + self.residual(x) if self.adds else cast(Tensor, self.residual(x))


class Stage(NamedTuple):
    t: int  # expansion factor of the hidden channels
    c: int  # output channels
    n: int  # repeats
    s: int  # stride of the first repeat; the others have stride 1


FIRST, LAST = 32, 1280  # channels of the convolutions before and after; 112 x 112 and 7 x 7
TABLE_2 = (
    #     t    c  n  s
    Stage(1,  16, 1, 1),  # 112 x 112
    Stage(6,  24, 2, 2),  #  56 x  56
    Stage(6,  32, 3, 2),  #  28 x  28
    Stage(6,  64, 4, 2),  #  14 x  14
    Stage(6,  96, 3, 1),  #  14 x  14
    Stage(6, 160, 3, 2),  #   7 x   7
    Stage(6, 320, 1, 1),  #   7 x   7
)  # fmt: skip


def rounded(channels: float) -> int:
    """Return the nearest multiple of 8, at least 8, and never less than 90 % of `channels`.

    >>> rounded(24), rounded(11.2), rounded(33.6)
    (24, 16, 32)
    """
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _conv_bn_relu(c_in: int, c_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution, BN, ReLU6: (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c_out), "relu": nn.ReLU6()}))


def _head(c_in: int, classes: int) -> nn.Sequential:
    """Global average pooling, dropout, logits: (N, c_in, H, W) -> (N, classes)."""
    layers = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(0.2),
        "logits": nn.Linear(c_in, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def _mobilenet(classes: int, *, c_in: int, width: float) -> Classifier:
    if width <= 0:
        raise UsageError(f"`width` (={width}) must be above 0: it multiplies the channels.")
    c = rounded(FIRST * width)
    stem = _conv_bn_relu(c_in, c, 3, stride=2)
    stages = []
    for row in TABLE_2:
        blocks, c_out = {}, rounded(row.c * width)
        for i in range(1, row.n + 1):
            blocks[f"block{i}"] = InvertedResidual(c, c_out, stride=row.s if i == 1 else 1, expand=row.t)
            c = c_out
        stages.append(nn.Sequential(OrderedDict(blocks)))
    last = rounded(LAST * max(1.0, width))
    stages.append(_conv_bn_relu(c, last, 1))
    return he_normal(Classifier(stem=stem, stages=stages, head=_head(last, classes)))


BLOCKS = tuple((i, j) for i, row in enumerate(TABLE_2, start=1) for j in range(1, row.n + 1))
END = (r"^classifier\.(1\.)?", "head.logits.")
TORCHVISION = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.bn."),
    (r"^features\.18\.0\.", "stage8.conv."),
    (r"^features\.18\.1\.", "stage8.bn."),
    *((rf"^features\.{at}\.conv\.", f"stage{i}.block{j}.residual.") for at, (i, j) in enumerate(BLOCKS, start=1)),
    (r"(^stage1\..*residual)\.0\.0\.", r"\1.depthwise."),
    (r"(^stage1\..*residual)\.0\.1\.", r"\1.bn2."),
    (r"(^stage1\..*residual)\.1\.", r"\1.project."),
    (r"(^stage1\..*residual)\.2\.", r"\1.bn3."),
    (r"residual\.0\.0\.", "residual.expand."),
    (r"residual\.0\.1\.", "residual.bn1."),
    (r"residual\.1\.0\.", "residual.depthwise."),
    (r"residual\.1\.1\.", "residual.bn2."),
    (r"residual\.2\.", "residual.project."),
    (r"residual\.3\.", "residual.bn3."),
    END,
)
"""torchvision's names as ours; its first block expands nothing, and so counts its layers otherwise."""
TIMM = (
    (r"^conv_stem\.", "stem.conv."),
    (r"^bn1\.", "stem.bn."),
    (r"^conv_head\.", "stage8.conv."),
    (r"^bn2\.", "stage8.bn."),
    (r"^blocks\.0\.0\.conv_pw\.", "stage1.block1.residual.project."),
    (r"^blocks\.0\.0\.bn2\.", "stage1.block1.residual.bn3."),
    (r"^blocks\.0\.0\.bn1\.", "stage1.block1.residual.bn2."),
    *((rf"^blocks\.{i - 1}\.{j - 1}\.", f"stage{i}.block{j}.residual.") for i, j in BLOCKS),
    (r"residual\.conv_pw\.", "residual.expand."),
    (r"residual\.conv_dw\.", "residual.depthwise."),
    (r"residual\.conv_pwl\.", "residual.project."),
    END,
)
"""timm's names as ours; likewise."""


def _timm(name: str, file: str = "") -> Peer:
    releases = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights"
    return Peer(name, TIMM, weights=f"{releases}/{file}", licence="Apache-2.0 (timm)") if file else Peer(name, TIMM)


_register = partial(
    register,
    paper="arXiv:1801.04381",
    title="MobileNetV2: inverted residuals and linear bottlenecks",
    authors="Sandler et al.",
    year=2018,
    input=(3, 224, 224),
)
_authors = partial(_register, published="the authors' code")
WEIGHTS = "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"


@_register(
    params=3_504_872,
    macs=300_774_272,
    top1=71.878,
    top5=90.286,
    published="torchvision 0.28, IMAGENET1K_V1 (paper, Table 4: 72.0)",
    decks=("002",),
    peers={
        "torchvision": Peer("mobilenet_v2", TORCHVISION, weights=WEIGHTS, licence="BSD-3-Clause (torchvision)"),
        "timm": _timm("mobilenetv2_100", "mobilenetv2_100_ra-b33bc2c4.pth"),
    },
)
def mobilenet_v2(classes: int = 1000, *, c_in: int = 3, width: float = 1.0) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=width)


@_authors(params=1_677_128, macs=59_285_808, top1=60.3, top5=82.9, peers={"timm": _timm("mobilenetv2_035")})
def mobilenet_v2_035(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=0.35)


@_authors(
    params=1_968_680,
    macs=97_131_840,
    top1=65.4,
    top5=86.4,
    peers={"timm": _timm("mobilenetv2_050", "mobilenetv2_050-3d30d450.pth")},
)
def mobilenet_v2_05(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=0.5)


@_authors(params=2_636_424, macs=209_069_792, top1=69.8, top5=89.6, peers={"timm": _timm("mobilenetv2_075")})
def mobilenet_v2_075(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=0.75)


@_authors(
    params=6_108_776,
    macs=582_195_824,
    top1=75.0,
    top5=92.5,
    peers={"timm": _timm("mobilenetv2_140", "mobilenetv2_140_ra-21a4e913.pth")},
)
def mobilenet_v2_14(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mobilenet(classes, c_in=c_in, width=1.4)

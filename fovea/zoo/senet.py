"""Squeeze-and-excitation networks: Hu, Shen, Albanie, Sun and Wu 2017, arXiv:1709.01507. SE-ResNet: Figure 3, Table 1.

SE-ResNeXt: Table 1, right; ResNeXt of 32x4d with the same gate.
SENet-154: the appendix; ResNeXt-152 of 64x4d with half the channels after the first 1x1 convolution of each block,
three 3x3 convolutions in the stem, 3x3 projections where the map shrinks, and dropout before the logits.

Departures: the stride of a bottleneck is in its 3x3 convolution (`seresnet50(stride_in="1x1")` is the paper's), and the
first pooling is padded on all sides, as in ResNet. He normal initialisation; the logits keep PyTorch's.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from fovea.errors import UsageError
from fovea.layers import Classifier, SqueezeExcitation
from fovea.registry import Peer, register
from fovea.zoo.resnet import (
    RULES,
    TABLE_1,
    Residual,
    Stage,
    bottleneck,
    he_normal,
    imagenet_resnet,
    projection,
    residual,
    stages,
)
from fovea.zoo.resnext import grouped_bottleneck, table_1

SENET_154 = (
    #     width    c   n  s
    Stage( 256,  256,  3, 1),  # 56 x 56
    Stage( 512,  512,  8, 2),  # 28 x 28
    Stage(1024, 1024, 36, 2),  # 14 x 14
    Stage(2048, 2048,  3, 2),  #  7 x  7
)  # fmt: skip


def se_bottleneck(c_in: int, stage: Stage, *, stride: int, stride_in: str, reduction: int) -> nn.Sequential:
    """ResNet's bottleneck, squeeze-and-excitation: (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""
    return _gated(bottleneck(c_in, stage, stride=stride, stride_in=stride_in), stage.c, reduction)


def se_grouped_bottleneck(c_in: int, stage: Stage, *, stride: int, cardinality: int, reduction: int) -> nn.Sequential:
    """ResNeXt's bottleneck, squeeze-and-excitation: (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""
    return _gated(grouped_bottleneck(c_in, stage, stride=stride, cardinality=cardinality), stage.c, reduction)


def _gated(layers: nn.Sequential, c: int, reduction: int) -> nn.Sequential:
    if reduction < 1:
        raise UsageError(f"`reduction` (={reduction}) must be at least 1.")
    layers.add_module("se", SqueezeExcitation(c, reduction))
    return layers


def _senet_block(c_in: int, stage: Stage, *, stride: int) -> Residual:
    """1x1, BN, ReLU, 3x3 in 64 groups, BN, ReLU, 1x1, BN, squeeze-and-excitation; plus the shortcut; ReLU.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))
    """
    half = stage.width // 2
    layers = {
        "conv1": nn.Conv2d(c_in, half, 1, bias=False),
        "bn1": nn.BatchNorm2d(half),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(half, stage.width, 3, stride=stride, padding=1, groups=64, bias=False),
        "bn2": nn.BatchNorm2d(stage.width),
        "relu2": nn.ReLU(),
        "conv3": nn.Conv2d(stage.width, stage.c, 1, bias=False),
        "bn3": nn.BatchNorm2d(stage.c),
        "se": SqueezeExcitation(stage.c, 16),
    }
    kernel = 3 if stride > 1 else 1
    shortcut = nn.Identity() if c_in == stage.c else projection(c_in, stage.c, stride=stride, kernel=kernel)
    return Residual(nn.Sequential(OrderedDict(layers)), shortcut)


def _stem(c_in: int) -> nn.Sequential:
    """Three times 3x3, BN, ReLU, then pooling: (N, c_in, H, W) -> (N, 128, H / 4, W / 4)."""
    layers: dict[str, nn.Module] = {}
    for i, (a, b, stride) in enumerate(((c_in, 64, 2), (64, 64, 1), (64, 128, 1)), start=1):
        conv = nn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False)
        layers |= {f"conv{i}": conv, f"bn{i}": nn.BatchNorm2d(b), f"relu{i}": nn.ReLU()}
    layers["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
    return nn.Sequential(OrderedDict(layers))


def _seresnext(depth: int, *, classes: int, c_in: int, reduction: int) -> Classifier:
    """Return SE-ResNeXt-`depth` of 32x4d."""
    block = residual(partial(se_grouped_bottleneck, cardinality=32, reduction=reduction))
    return imagenet_resnet(table_1(depth, cardinality=32, width=4), block, classes=classes, c_in=c_in)


SE_RULES = (*RULES, (r"\.se\.fc1\.", ".se.excitation.reduce."), (r"\.se\.fc2\.", ".se.excitation.expand."))
SENET_RULES = (
    (r"^conv1\.0\.", "stem.conv1."),
    (r"^conv1\.1\.", "stem.bn1."),
    (r"^conv1\.3\.", "stem.conv2."),
    (r"^conv1\.4\.", "stem.bn2."),
    (r"^conv1\.6\.", "stem.conv3."),
    (r"^bn1\.", "stem.bn3."),
    *SE_RULES,
)

_register = partial(
    register,
    paper="arXiv:1709.01507",
    title="Squeeze-and-excitation networks",
    authors="Hu et al.",
    year=2017,
    input=(3, 224, 224),
)
_shown = partial(_register, decks=("000", "001"))


@_shown(
    params=28_088_024,
    macs=4_091_699_200,
    top1=76.71,
    top5=93.38,
    published="Table 2",
    peers={"timm": Peer("seresnet50", SE_RULES)},
)
def seresnet50(classes: int = 1000, *, c_in: int = 3, reduction: int = 16, stride_in: str = "3x3") -> Classifier:
    block = residual(partial(se_bottleneck, stride_in=stride_in, reduction=reduction))
    return imagenet_resnet(TABLE_1[50], block, classes=classes, c_in=c_in)


@_register(
    params=27_559_896,
    macs=4_232_994_816,
    top1=78.90,
    top5=94.51,
    published="Table 2",
    peers={"timm": Peer("seresnext50_32x4d", SE_RULES)},
)
def seresnext50_32x4d(classes: int = 1000, *, c_in: int = 3, reduction: int = 16) -> Classifier:
    return _seresnext(50, classes=classes, c_in=c_in, reduction=reduction)


@_register(
    params=48_955_416,
    macs=7_974_739_968,
    top1=79.30,
    top5=94.99,
    published="Table 2",
    peers={"timm": Peer("seresnext101_32x4d", SE_RULES)},
)
def seresnext101_32x4d(classes: int = 1000, *, c_in: int = 3, reduction: int = 16) -> Classifier:
    return _seresnext(101, classes=classes, c_in=c_in, reduction=reduction)


@_shown(
    params=115_088_984,
    macs=20_688_363_520,
    top1=81.32,
    top5=95.53,
    published="Table 8",
    peers={"timm": Peer("senet154", SENET_RULES)},
)
def senet154(classes: int = 1000, *, c_in: int = 3, dropout: float = 0.2) -> Classifier:
    head = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
        "logits": nn.Linear(SENET_154[-1].c, classes),
    }
    body = stages(128, SENET_154, _senet_block)
    return he_normal(Classifier(stem=_stem(c_in), stages=body, head=nn.Sequential(OrderedDict(head))))

"""ResNeXt: Xie, Girshick, Dollár, Tu and He 2016, arXiv:1611.05431. Block: Figure 3(c). Stages: Table 1.

32x4d: cardinality 32 (groups of the 3x3 convolutions), each group 4 channels wide in the first stage.

Departures: the logits keep PyTorch's initialisation.
"""

from collections import OrderedDict
from functools import partial

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.zoo.resnet import RULES, TABLE_1, Stage, imagenet_resnet, peers, residual


def table_1(depth: int, *, cardinality: int, width: int) -> tuple[Stage, ...]:
    """Return the stages of ResNet-`depth` with `cardinality` groups of `width` channels (twice as many each stage)."""
    # the inputs and outputs of blocks stay those of ResNet
    return tuple(row._replace(width=cardinality * width * 2**i) for i, row in enumerate(TABLE_1[depth]))


def grouped_bottleneck(c_in: int, stage: Stage, *, stride: int, cardinality: int) -> nn.Sequential:
    """1x1, BN, ReLU, 3x3 in `cardinality` groups, BN, ReLU, 1x1, BN.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))
    """
    # names as in `resnet.bottleneck`, so that its rules for published weights hold here
    layers = {
        "conv1": nn.Conv2d(c_in, stage.width, 1, bias=False),
        "bn1": nn.BatchNorm2d(stage.width),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(stage.width, stage.width, 3, stride=stride, padding=1, groups=cardinality, bias=False),
        "bn2": nn.BatchNorm2d(stage.width),
        "relu2": nn.ReLU(),
        "conv3": nn.Conv2d(stage.width, stage.c, 1, bias=False),
        "bn3": nn.BatchNorm2d(stage.c),
    }
    return nn.Sequential(OrderedDict(layers))


def _resnext(depth: int, cardinality: int, width: int, *, classes: int, c_in: int) -> Classifier:
    rows = table_1(depth, cardinality=cardinality, width=width)
    block = residual(partial(grouped_bottleneck, cardinality=cardinality))
    return imagenet_resnet(rows, block, classes=classes, c_in=c_in)


_register = partial(
    register,
    paper="arXiv:1611.05431",
    title="Aggregated residual transformations for deep neural networks",
    authors="Xie et al.",
    year=2016,
    input=(3, 224, 224),
)
_published = partial(_register, published="torchvision 0.28, IMAGENET1K_V1")


@_published(
    params=25_028_904,
    macs=4_230_479_872,
    top1=77.618,
    top5=93.698,
    decks=("001", "002"),
    peers=peers("resnext50_32x4d", digest="7cdf4587"),
)
def resnext50_32x4d(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _resnext(50, 32, 4, classes=classes, c_in=c_in)


@_register(
    params=44_177_704,
    macs=7_969_996_800,
    top1=78.8,
    top5=94.4,
    published="Table 4",
    decks=("001",),
    peers={"timm": Peer("resnext101_32x4d", RULES)},
)
def resnext101_32x4d(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _resnext(101, 32, 4, classes=classes, c_in=c_in)


@_register(
    params=83_455_272,
    macs=15_460_270_080,
    top1=79.6,
    top5=94.7,
    published="Table 4 (torchvision 0.28, IMAGENET1K_V1, by a recipe of 2021: 83.246, 96.454)",
    decks=("000", "001"),
    peers=peers("resnext101_64x4d", digest="173b62eb"),
)
def resnext101_64x4d(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _resnext(101, 64, 4, classes=classes, c_in=c_in)

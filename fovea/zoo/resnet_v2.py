"""ResNet v2: He, Zhang, Ren and Sun 2016, arXiv:1603.05027. Block: Figure 1(b), full pre-activation. Stages: as in v1.

ResNet-200 (section 5, Table 5) has 24 and 36 blocks in its middle stages.

Departures: a bottleneck has its stride in the 3x3 convolution, as published weights do (the authors' code: in the 1x1);
the first batch norm and ReLU follow the max pooling instead of preceding it, which is the same where its scales are
positive. He normal initialisation counts the fan-out, as in the authors' code; the logits keep PyTorch's.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import cast

from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.zoo.resnet import TABLE_1, Chain, Stage, he_normal, head, stages

STAGES = {
    **TABLE_1,
    # layers    conv2_x: 56 x 56      conv3_x: 28 x 28        conv4_x: 14 x 14         conv5_x: 7 x 7
   200: (Stage(64, 256, 3, 1), Stage(128, 512, 24, 2), Stage(256, 1024, 36, 2), Stage(512, 2048, 3, 2)),
}  # fmt: skip


def bottleneck(c_in: int, stage: Stage, *, stride: int) -> nn.Sequential:
    """1x1, BN, ReLU, 3x3, BN, ReLU, 1x1; (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""
    # bn1 and relu1 are the block's: the shortcut needs them too
    layers = {
        "conv1": nn.Conv2d(c_in, stage.width, 1, bias=False),
        "bn2": nn.BatchNorm2d(stage.width),
        "relu2": nn.ReLU(),
        "conv2": nn.Conv2d(stage.width, stage.width, 3, stride=stride, padding=1, bias=False),
        "bn3": nn.BatchNorm2d(stage.width),
        "relu3": nn.ReLU(),
        "conv3": nn.Conv2d(stage.width, stage.c, 1, bias=False),
    }
    return nn.Sequential(OrderedDict(layers))


class PreActivation(nn.Module):
    """a = ReLU(BN(x)); F(a) + x, or F(a) + projection(a) where shapes change.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, stage: Stage, *, stride: int, chain: Chain) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(c_in)
        self.relu1 = nn.ReLU()
        self.residual = chain(c_in, stage, stride=stride)
        agree = c_in == stage.c and stride == 1
        self.projection = None if agree else nn.Conv2d(c_in, stage.c, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return F(a) plus the shortcut."""
        a = self.relu1(self.bn1(x))
        shortcut = x if self.projection is None else self.projection(a)
        return cast(Tensor, self.residual(a) + shortcut)


def pre_activated(c_in: int, rows: Sequence[Stage], chain: Chain) -> list[nn.Sequential]:
    """Return the stages of blocks of F = `chain`; the last ends in BN and ReLU."""
    body = stages(c_in, rows, partial(PreActivation, chain=chain))
    body[-1].add_module("bn", nn.BatchNorm2d(rows[-1].c))
    body[-1].add_module("relu", nn.ReLU())
    return body


def _resnet(layers: int, *, classes: int, c_in: int) -> Classifier:
    rows = STAGES[layers]
    conv = nn.Conv2d(c_in, 64, 7, stride=2, padding=3, bias=False)
    # without BN and ReLU: the first block begins with its own
    stem = nn.Sequential(OrderedDict({"conv": conv, "pool": nn.MaxPool2d(3, stride=2, padding=1)}))
    body = pre_activated(64, rows, bottleneck)
    return he_normal(Classifier(stem=stem, stages=body, head=head(rows[-1].c, classes)))


RULES = (
    *((rf"^stages\.{i}\.", f"stage{i + 1}.") for i in range(4)),
    *((rf"\.blocks\.{i}\.", f".block{i + 1}.") for i in range(36)),  # the longest stage, of 152 and 200 layers
    (r"\.norm1\.", ".bn1."),
    (r"\.norm([23])\.", r".residual.bn\1."),
    (r"(block\d+)\.conv", r"\1.residual.conv"),
    (r"\.downsample\.conv\.", ".projection."),
    (r"^norm\.", "stage4.bn."),
    (r"^head\.fc\.", "head.logits."),
)

_register = partial(
    register,
    paper="arXiv:1603.05027",
    title="Identity mappings in deep residual networks",
    authors="He et al.",
    year=2016,
    input=(3, 224, 224),
)
_keras = partial(_register, published="Keras Applications, table in lecture 002", decks=("001", "002"))


@_keras(params=25_549_352, macs=4_089_184_256, top1=76.0, top5=93.0, peers={"timm": Peer("resnetv2_50", RULES)})
def resnet50_v2(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _resnet(50, classes=classes, c_in=c_in)


@_keras(params=44_541_480, macs=7_801_405_440, top1=77.2, top5=93.8, peers={"timm": Peer("resnetv2_101", RULES)})
def resnet101_v2(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _resnet(101, classes=classes, c_in=c_in)


@_keras(params=60_185_128, macs=11_513_626_624, top1=78.0, top5=94.2, peers={"timm": Peer("resnetv2_152", RULES)})
def resnet152_v2(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _resnet(152, classes=classes, c_in=c_in)


@_register(
    params=64_666_152,
    macs=15_007_481_856,
    top1=78.34,
    top5=94.21,
    published="arXiv:1610.02915, table of ImageNet",
    decks=("000",),
)
def resnet200_v2(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _resnet(200, classes=classes, c_in=c_in)

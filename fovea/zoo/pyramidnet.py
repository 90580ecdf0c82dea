"""PyramidNet: Han, Kim and Kim 2016, arXiv:1610.02915. Block: Figure 6(d), bottleneck. Channels: equation 2.

Every block is wider than the one before: D grows by alpha / N from 64 to 64 + alpha over the N blocks of the network,
and each block puts out 4 D maps. The shortcut is the identity, with zeros in the new channels.

Departures: D is rounded to the nearest integer, as in the authors' code (the paper: down). He normal initialisation
counts the fan-out, as there; the logits keep PyTorch's.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from fovea.layers import Classifier, PaddedChannels
from fovea.registry import register
from fovea.zoo.resnet import he_normal


class Stage(NamedTuple):
    n: int  # blocks
    s: int  # stride of the first; the others have stride 1


PYRAMIDNET_200 = (
    #      n  s
    Stage( 3, 1),  # 56 x 56
    Stage(24, 2),  # 28 x 28
    Stage(36, 2),  # 14 x 14
    Stage( 3, 2),  #  7 x  7
)  # fmt: skip

EXPANSION = 4
"""Maps that a bottleneck puts out, over those inside."""


def widths(alpha: int, blocks: int) -> Iterator[int]:
    """Yield D of each block: 64 + k alpha / N, to the nearest integer, for k = 1 to N (equation 2)."""
    for k in range(1, blocks + 1):
        yield (2 * (64 * blocks + k * alpha) + blocks) // (2 * blocks)  # in integers: exact


def bottleneck(c_in: int, width: int, *, stride: int) -> nn.Sequential:
    """BN, 1x1, BN, ReLU, 3x3, BN, ReLU, 1x1, BN: no ReLU at the beginning, a norm at the end.

    (N, c_in, H, W) -> (N, 4 width, ceil(H / stride), ceil(W / stride))
    """
    layers = {
        "bn1": nn.BatchNorm2d(c_in),
        "conv1": nn.Conv2d(c_in, width, 1, bias=False),
        "bn2": nn.BatchNorm2d(width),
        "relu2": nn.ReLU(),
        "conv2": nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
        "bn3": nn.BatchNorm2d(width),
        "relu3": nn.ReLU(),
        "conv3": nn.Conv2d(width, EXPANSION * width, 1, bias=False),
        "bn4": nn.BatchNorm2d(EXPANSION * width),
    }
    return nn.Sequential(OrderedDict(layers))


class Pyramidal(nn.Module):
    """F(x) + the mean of each `stride` x `stride` window of x, with zeros in the channels that x does not have.

    (N, c_in, H, W) -> (N, 4 width, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.residual = bottleneck(c_in, width, stride=stride)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.new = EXPANSION * width - c_in
        self.pad = PaddedChannels(0, self.new)

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x) plus the padded shortcut."""
        y: Tensor = self.residual(x) + self.pad(self.pool(x))
        return y


def _stages(alpha: int) -> tuple[list[nn.Sequential], int]:
    """Return the stages, of which the last ends in BN and ReLU, and how many maps they put out."""
    width, c = widths(alpha, sum(row.n for row in PYRAMIDNET_200)), 64
    stages = []
    for row in PYRAMIDNET_200:
        blocks = OrderedDict[str, nn.Module]()
        for i in range(1, row.n + 1):
            block = Pyramidal(c, next(width), stride=row.s if i == 1 else 1)
            blocks[f"block{i}"] = block
            c += block.new
        stages.append(nn.Sequential(blocks))
    stages[-1].add_module("bn", nn.BatchNorm2d(c))
    stages[-1].add_module("relu", nn.ReLU())
    return stages, c


def _pyramidnet(alpha: int, *, classes: int, c_in: int, dropout: float) -> Classifier:
    stem = {
        "conv": nn.Conv2d(c_in, 64, 7, stride=2, padding=3, bias=False),
        "bn": nn.BatchNorm2d(64),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    stages, c = _stages(alpha)
    head = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
        "logits": nn.Linear(c, classes),
    }
    chain = Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=nn.Sequential(OrderedDict(head)))
    return he_normal(chain)


_register = partial(
    register,
    paper="arXiv:1610.02915",
    title="Deep pyramidal residual networks",
    authors="Han et al.",
    year=2016,
    input=(3, 224, 224),
    published="table of ImageNet",
)


@_register(params=62_368_168, macs=16_550_501_282, top1=79.53, top5=94.71)
def pyramidnet200_300(classes: int = 1000, *, c_in: int = 3, dropout: float = 0.0) -> Classifier:
    return _pyramidnet(300, classes=classes, c_in=c_in, dropout=dropout)


@_register(params=116_775_213, macs=29_196_815_629, top1=79.89, top5=94.57, decks=("000",))
def pyramidnet200_450(classes: int = 1000, *, c_in: int = 3, dropout: float = 0.5) -> Classifier:
    return _pyramidnet(450, classes=classes, c_in=c_in, dropout=dropout)

"""Residual attention network: Wang et al. 2017, arXiv:1704.06904. Module: Figure 2, with p = 1, t = 2, r = 1. Table 2.

Residual units are pre-activated (arXiv:1603.05027), as in the authors' networks for ImageNet.

Departures: poolings are padded on all sides, as in ResNet (the authors': at the end). He normal initialisation counts
the fan-out; the logits keep PyTorch's.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn
from torch.nn import functional as F

from fovea.layers import Classifier
from fovea.registry import register
from fovea.zoo import resnet
from fovea.zoo.resnet import he_normal, head
from fovea.zoo.resnet_v2 import PreActivation, bottleneck


class Stage(NamedTuple):
    width: int  # channels inside a residual unit
    c: int  # output channels
    n: int  # residual units
    s: int  # stride of the first
    modules: int  # attention modules behind them
    poolings: int  # of their masks, down to 7 x 7


TABLE_2 = {
    56: (
        #     width    c  n  s  modules  poolings
        Stage(  64,  256, 1, 1,       1,        3),  # 56 x 56
        Stage( 128,  512, 1, 2,       1,        2),  # 28 x 28
        Stage( 256, 1024, 1, 2,       1,        1),  # 14 x 14
        Stage( 512, 2048, 3, 2,       0,        0),  #  7 x  7
    ),
    92: (
        Stage(  64,  256, 1, 1,       1,        3),
        Stage( 128,  512, 1, 2,       2,        2),
        Stage( 256, 1024, 1, 2,       3,        1),
        Stage( 512, 2048, 3, 2,       0,        0),
    ),
}  # fmt: skip


def unit(c_in: int, stage: Stage, *, stride: int = 1) -> PreActivation:
    """Return a residual unit: (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""
    row = resnet.Stage(stage.width, stage.c, 1, stride)
    return PreActivation(c_in, row, stride=stride, chain=bottleneck)


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """Return `x`, (N, C, H, W) float, at the height and width of `like`, bilinearly; corners lie on corners."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)


class Hourglass(nn.Module):
    """Pool, unit, a smaller one of these, enlarge; plus a unit past it; unit. The smallest: pool, unit, unit.

    (N, c, H, W) -> (N, c, ceil(H / 2), ceil(W / 2)): what it gets, only pooled.
    """

    def __init__(self, stage: Stage, poolings: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.down = unit(stage.c, stage)
        self.inner = Hourglass(stage, poolings - 1) if poolings > 1 else None
        self.skip = unit(stage.c, stage) if poolings > 1 else None
        self.up = unit(stage.c, stage)

    def forward(self, x: Tensor) -> Tensor:
        """Return what is seen of `x` from further away."""
        y: Tensor = self.down(self.pool(x))
        if self.inner is not None and self.skip is not None:
            y = self.skip(y) + enlarged(self.inner(y), like=y)
        return cast(Tensor, self.up(y))


def gate(c: int) -> nn.Sequential:
    """BN, ReLU, 1x1, twice; sigmoid: (N, c, H, W) -> (N, c, H, W) from 0 to 1; mixed attention, equation 4."""
    layers: dict[str, nn.Module] = {}
    for i in (1, 2):
        layers |= {f"bn{i}": nn.BatchNorm2d(c), f"relu{i}": nn.ReLU(), f"conv{i}": nn.Conv2d(c, c, 1, bias=False)}
    return nn.Sequential(OrderedDict({**layers, "sigmoid": nn.Sigmoid()}))


class AttentionModule(nn.Module):
    """A unit; (1 + M(x)) T(x), equation 3, with two units for T and for M a mask of all positions and channels; a unit.

    (N, c, H, W) -> (N, c, H, W)
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.before = unit(stage.c, stage)
        self.trunk = nn.Sequential(OrderedDict({f"block{i}": unit(stage.c, stage) for i in (1, 2)}))
        self.mask = Hourglass(stage, stage.poolings)
        self.gate = gate(stage.c)
        self.after = unit(stage.c, stage)

    def forward(self, x: Tensor) -> Tensor:
        """Return the trunk's maps, weighed by 1 to 2, as the last unit sees them."""
        x = self.before(x)
        trunk: Tensor = self.trunk(x)
        mask = self.gate(enlarged(self.mask(x), like=trunk))
        return cast(Tensor, self.after((1 + mask) * trunk))


def _attention(layers: int, *, classes: int, c_in: int) -> Classifier:
    rows, c = TABLE_2[layers], 64
    stem = {
        "conv": nn.Conv2d(c_in, c, 7, stride=2, padding=3, bias=False),
        "bn": nn.BatchNorm2d(c),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    stages = []
    for row in rows:
        blocks = OrderedDict[str, nn.Module]()
        for i in range(1, row.n + 1):
            blocks[f"block{i}"] = unit(c, row, stride=row.s if i == 1 else 1)
            c = row.c
        blocks |= {f"attention{i}": AttentionModule(row) for i in range(1, row.modules + 1)}
        stages.append(nn.Sequential(blocks))
    stages[-1].add_module("bn", nn.BatchNorm2d(c))
    stages[-1].add_module("relu", nn.ReLU())
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=head(c, classes)))


_AUTHORS = "the authors' table, github.com/fwang91/residual-attention-network"
_register = partial(
    register,
    paper="arXiv:1704.06904",
    title="Residual attention network for image classification",
    authors="Wang et al.",
    year=2017,
    input=(3, 224, 224),
)


@_register(params=31_810_728, macs=6_270_836_736, top1=78.24, top5=94.1, published=_AUTHORS)
def attention56(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _attention(56, classes=classes, c_in=c_in)


@_register(
    params=52_466_344,
    macs=10_533_789_696,
    top1=80.5,
    top5=95.2,
    published=f"{_AUTHORS}, crops of 320 x 320",
    decks=("000",),
)
def attention92(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _attention(92, classes=classes, c_in=c_in)

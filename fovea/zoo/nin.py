"""Network in network: Lin, Chen and Yan 2013, arXiv:1312.4400. Block: Figure 1(b). Networks: Figure 2.

The paper prints no table. `cifar_nin` and `nin` have the numbers of the authors' published networks for CIFAR-10 and
ImageNet; `nin` is the AlexNet with 1x1 convolutions of lecture 004.

Departures: no ReLU after the class maps, so that a logit may be negative; He normal initialisation (arXiv:1502.01852)
instead of a standard deviation for each layer.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained


class Mlpconv(NamedTuple):
    c: tuple[int, ...]  # output channels of the convolution and of each 1x1 convolution
    k: int  # kernel of the convolution
    s: int  # its stride
    p: int  # its padding
    pool: str = ""  # 3x3 pooling at stride 2 that follows: `max` or `average`
    dropout: float = 0.0  # rate of the dropout that follows the pooling


# The last 1x1 convolution, to one map per class, is in the head.
CIFAR = (
    #        c               k  s  p
    Mlpconv((192, 160,  96), 5, 1, 2, "max",     0.5),  # 32 x 32, 16 x 16
    Mlpconv((192, 192, 192), 5, 1, 2, "average", 0.5),  # 16 x 16,  8 x  8
    Mlpconv((192, 192),      3, 1, 1),                  #  8 x  8
)  # fmt: skip
IMAGENET = (
    #        c                k  s  p
    Mlpconv(( 96,  96,  96), 11, 4, 0, "max"),       # 54 x 54, 27 x 27
    Mlpconv((256, 256, 256),  5, 1, 2, "max"),       # 27 x 27, 13 x 13
    Mlpconv((384, 384, 384),  3, 1, 1, "max", 0.5),  # 13 x 13,  6 x  6
    Mlpconv((1024, 1024),     3, 1, 1),              #  6 x  6
)  # fmt: skip


def _stage(c_in: int, row: Mlpconv) -> nn.Sequential:
    """Convolution, ReLU, then 1x1 convolutions with ReLU (, pooling, dropout).

    (N, c_in, H, W) -> (N, c[-1], about H / s, W / s or half)
    """
    layers: dict[str, nn.Module] = {}
    for i, c in enumerate(row.c, start=1):
        conv = nn.Conv2d(c_in, c, row.k, stride=row.s, padding=row.p) if i == 1 else nn.Conv2d(c_in, c, 1)
        layers |= {f"conv{i}": conv, f"relu{i}": nn.ReLU()}
        c_in = c
    if row.pool:
        pool = nn.MaxPool2d if row.pool == "max" else nn.AvgPool2d
        layers["pool"] = pool(3, stride=2, ceil_mode=True)
    if row.dropout:
        layers["dropout"] = nn.Dropout(row.dropout)
    return nn.Sequential(OrderedDict(layers))


def _head(c_in: int, classes: int) -> nn.Sequential:
    """1x1 convolution to a map per class, global average pooling: (N, c_in, H, W) -> (N, classes)."""
    layers = {"logits": nn.Conv2d(c_in, classes, 1), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict(layers))


def he_normal(model: Classifier) -> Classifier:
    """Draw weights from N(0, 2 / fan-in) (He et al. 2015, equation 10); biases are zero."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, module.bias))
    return model


def _nin(rows: tuple[Mlpconv, ...], classes: int, *, c_in: int, size: int) -> Classifier:
    windows, stages = [], []
    for i, row in enumerate(rows, start=1):
        windows.append(Window(f"stage{i}.conv1", row.k, stride=row.s, padding=row.p))
        if row.pool:
            windows.append(Window(f"stage{i}.pool", 3, stride=2, ceil=True))
        stages.append(_stage(c_in, row))
        c_in = row.c[-1]
    chained(size, windows)
    return he_normal(Classifier(stages=stages, head=_head(c_in, classes)))


_register = partial(
    register, paper="arXiv:1312.4400", title="Network in network", authors="Lin et al.", year=2013, decks=("004",)
)


@_register(input=(3, 32, 32), params=966_986, macs=222_486_528)
def cifar_nin(classes: int = 10, *, c_in: int = 3, size: int = 32) -> Classifier:
    return _nin(CIFAR, classes, c_in=c_in, size=size)


@_register(
    input=(3, 224, 224), params=7_595_176, macs=1_100_188_800, top1=59.36, published="the authors' published network"
)
def nin(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _nin(IMAGENET, classes, c_in=c_in, size=size)

"""The all-convolutional net: Springenberg, Dosovitskiy, Brox and Riedmiller 2014, arXiv:1412.6806. Tables 1 and 2.

All-CNN-C, for CIFAR-10: where model C pools, a 3x3 convolution of stride 2 does it; only the last average is left.

Departures: no ReLU after the class maps, so that a logit may be negative; He normal initialisation (arXiv:1502.01852),
the paper names none. The first 3x3 of the last stage is not padded, as its printed map of 6 x 6 asks.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.nin import he_normal


class Conv(NamedTuple):
    k: int  # kernel
    c: int  # output channels
    s: int = 1  # stride
    p: int = 1  # padding


TABLE_2_C = (
    #     k    c  s
    (Conv(3,  96), Conv(3,  96), Conv(3,  96, 2)),  # 32 x 32, 16 x 16
    (Conv(3, 192), Conv(3, 192), Conv(3, 192, 2)),  # 16 x 16,  8 x  8
    (Conv(3, 192, p=0), Conv(1, 192, p=0)),         #  6 x  6
)  # fmt: skip
INPUT_DROPOUT, DROPOUT = 0.2, 0.5  # section 3.1: of the input, and after each convolution of stride 2


def _stage(c_in: int, rows: tuple[Conv, ...]) -> nn.Sequential:
    """Convolutions, each with ReLU, and dropout after one of stride 2.

    (N, c_in, H, W) -> (N, c, about H / s, W / s)
    """
    layers: dict[str, nn.Module] = {}
    for i, row in enumerate(rows, start=1):
        conv = nn.Conv2d(c_in, row.c, row.k, stride=row.s, padding=row.p)
        layers |= {f"conv{i}": conv, f"relu{i}": nn.ReLU()}
        if row.s > 1:
            layers["dropout"] = nn.Dropout(DROPOUT)
        c_in = row.c
    return nn.Sequential(OrderedDict(layers))


def _head(c_in: int, classes: int) -> nn.Sequential:
    """1x1 convolution to a map per class, global average pooling: (N, c_in, H, W) -> (N, classes)."""
    layers = {"logits": nn.Conv2d(c_in, classes, 1), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict(layers))


_register = partial(
    register,
    paper="arXiv:1412.6806",
    title="Striving for simplicity: the all convolutional net",
    authors="Springenberg et al.",
    year=2014,
)


@_register(input=(3, 32, 32), params=1_369_738, macs=270_798_336)
def cifar_all_cnn_c(classes: int = 10, *, c_in: int = 3, size: int = 32) -> Classifier:
    windows, stages = [], []
    for i, rows in enumerate(TABLE_2_C, start=1):
        windows += [
            Window(f"stage{i}.conv{j}", row.k, stride=row.s, padding=row.p) for j, row in enumerate(rows, start=1)
        ]
        stages.append(_stage(c_in, rows))
        c_in = rows[-1].c
    chained(size, windows)
    stem = nn.Sequential(OrderedDict({"dropout": nn.Dropout(INPUT_DROPOUT)}))
    return he_normal(Classifier(stem=stem, stages=stages, head=_head(c_in, classes)))

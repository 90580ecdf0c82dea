"""The dogs-versus-cats net of lecture 002, made of the blocks of VGG: Simonyan and Zisserman 2014, arXiv:1409.1556.

Lecture 002, the table of `Cats and Dogs - CNN.ipynb`: four times two 3x3 convolutions and a pooling on 150 x 150, then
a dense layer of 512 and one logit, for which 0.5 after a sigmoid is the border between the two.

Departures: the lecture shows neither kernels nor ReLUs, dropout rate or initialisation; its parameters fix the kernels
at 3x3, and its last map of 8 x 8 the last pooling at 3x3 with stride 2. ReLU after each layer but the last, dropout of
half the inputs of the dense layer, He uniform as in lecture 000.
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.vgg_blocks import he_uniform


class Stage(NamedTuple):
    c1: int  # channels of the first convolution
    c2: int  # of the second
    pool: int  # kernel of the max pooling, whose stride is 2


LECTURE_002 = (
    #      c1   c2 pool
    Stage( 32,  64, 2),  # 150 x 150, 75 x 75
    Stage(128, 128, 2),  #  75 x  75, 37 x 37
    Stage(256, 512, 2),  #  37 x  37, 18 x 18
    Stage(512, 512, 3),  #  18 x  18,  8 x  8
)  # fmt: skip
WIDTH = 512  # units of the dense layer


def _stage(c_in: int, row: Stage) -> nn.Sequential:
    """Twice 3x3, ReLU, then max pooling: (N, c_in, H, W) -> (N, c2, about H / 2, W / 2)."""
    layers = {
        "conv1": nn.Conv2d(c_in, row.c1, 3, padding=1),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(row.c1, row.c2, 3, padding=1),
        "relu2": nn.ReLU(),
        "pool": nn.MaxPool2d(row.pool, stride=2),
    }
    return nn.Sequential(OrderedDict(layers))


def _head(c_in: int, classes: int, *, dropout: float) -> nn.Sequential:
    """Dropout, dense layer, ReLU, logits: (N, C, H, W) with C H W = c_in -> (N, classes)."""
    layers = {
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
        "dense": nn.Linear(c_in, WIDTH),
        "relu": nn.ReLU(),
        "logits": nn.Linear(WIDTH, classes),
    }
    return nn.Sequential(OrderedDict(layers))


@register(
    paper="arXiv:1409.1556",
    title="Very deep convolutional networks for large-scale image recognition",
    year=2014,
    input=(3, 150, 150),
    params=23_214_017,
    macs=5_242_594_176,
    decks=("002",),
)
def dogs_vs_cats(classes: int = 1, *, c_in: int = 3, size: int = 150, dropout: float = 0.5) -> Classifier:
    windows = [Window(f"stage{i}.pool", row.pool, stride=2) for i, row in enumerate(LECTURE_002, start=1)]
    side = chained(size, windows)
    inputs = (c_in, *(row.c2 for row in LECTURE_002))
    stages = [_stage(c, row) for c, row in zip(inputs, LECTURE_002, strict=False)]
    return he_uniform(Classifier(stages=stages, head=_head(inputs[-1] * side**2, classes, dropout=dropout)))

"""FCN on VGG-16: Long, Shelhamer and Darrell 2014, arXiv:1411.4038. Figure 3; sections 3.2, 4.1 and 4.2.

The dense layers of VGG-16 become convolutions of 7x7 and 1x1, a 1x1 convolution scores the classes, and the scores are
enlarged 32 times; FCN-16s and FCN-8s add the scores of finer maps on the way.

Departures: the 7x7 convolution is padded by 3 pixels of its map, instead of the image by 100 that are cut off again.
The last enlargement, in the paper a convolution fixed to bilinear interpolation, is that interpolation; it has no
parameters. Those before it are learned, from bilinear ones, as in the paper.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.alexnet import he_normal
from fovea.zoo.backbones import Pyramid, resized
from fovea.zoo.vgg import CHANNELS, TABLE_1, stage

DENSE = 4096
"""Channels of the two layers that were dense."""
COLUMN = TABLE_1["D"]


def bilinear(classes: int) -> nn.ConvTranspose2d:
    """Return a convolution that doubles height and width, and at first interpolates: section 3.3.

    (N, classes, H, W) -> (N, classes, 2H, 2W)
    """
    up = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
    row = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        up.weight.zero_()
        for k in range(classes):  # each map from its own alone
            up.weight[k, k] = row[:, None] * row
    return up


class Scores(nn.Module):
    """7x7, 1x1, each with ReLU and dropout, 1x1 to the scores; doubled, plus the scores of each finer map; enlarged.

    The image (N, c_in, H, W) and maps from the finest to the coarsest, (N, c, h, w) -> (N, classes, H, W)
    """

    def __init__(self, channels: Sequence[int], classes: int, *, dropout: float) -> None:
        super().__init__()
        *finer, c = channels
        layers = {
            "conv6": nn.Conv2d(c, DENSE, 7, padding=3),
            "relu6": nn.ReLU(),
            "dropout6": nn.Dropout(dropout),
            "conv7": nn.Conv2d(DENSE, DENSE, 1),
            "relu7": nn.ReLU(),
            "dropout7": nn.Dropout(dropout),
        }
        self.dense = nn.Sequential(OrderedDict(layers))
        self.logits = nn.Conv2d(DENSE, classes, 1)
        self.scores = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in reversed(finer))
        self.ups = nn.ModuleList(bilinear(classes) for _ in finer)

    def forward(self, image: Tensor, *maps: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        *finer, x = maps
        y: Tensor = self.logits(self.dense(x))
        for x, score, up in zip(reversed(finer), self.scores, self.ups, strict=True):
            y = score(x) + resized(up(y), x)
        return resized(y, image)


def _fcn(classes: int, *, c_in: int, size: int, dropout: float, finer: int) -> Pyramid:
    """Return FCN-32s, or with `finer` maps beside the last one FCN-16s (1) or FCN-8s (2)."""
    windows = [Window(f"stage{i}.pool", 2, stride=2) for i in range(1, len(CHANNELS) + 1)]
    chained(size, windows)
    stages, c = [], c_in
    for c_out, kernels in zip(CHANNELS, COLUMN.k, strict=True):
        stages.append(stage(c, c_out, kernels, batch_norm=False, lrn=False))
        c = c_out
    seen = range(len(CHANNELS) - finer, len(CHANNELS) + 1)
    head = Scores([CHANNELS[i - 1] for i in seen], classes, dropout=dropout)
    model = Pyramid(stages=stages, head=head, taps=[f"stage{i}" for i in seen])
    he_normal(model)
    for score in (head.logits, *head.scores):  # section 4.3: "We zero-initialize the class scoring convolution layer"
        nn.init.zeros_(score.weight)
    return model


_register = partial(
    register,
    paper="arXiv:1411.4038",
    title="Fully convolutional networks for semantic segmentation",
    authors="Long et al.",
    year=2014,
    input=(3, 224, 224),
    answers="masks",
    form="logits",
)


@_register(params=134_346_581, macs=21_208_190_976)
def fcn_32s(classes: int = 21, *, c_in: int = 3, size: int = 224, dropout: float = 0.5) -> Pyramid:
    return _fcn(classes, c_in=c_in, size=size, dropout=dropout, finer=0)


@_register(params=134_364_410, macs=21_210_644_112)
def fcn_16s(classes: int = 21, *, c_in: int = 3, size: int = 224, dropout: float = 0.5) -> Pyramid:
    return _fcn(classes, c_in=c_in, size=size, dropout=dropout, finer=1)


@_register(params=134_376_863, macs=21_216_241_872)
def fcn_8s(classes: int = 21, *, c_in: int = 3, size: int = 224, dropout: float = 0.5) -> Pyramid:
    return _fcn(classes, c_in=c_in, size=size, dropout=dropout, finer=2)

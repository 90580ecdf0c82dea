"""Coordinates as numbers: the place of one object and its class, or of a few points, from the last map of a network.

Sermanet et al. 2013, arXiv:1312.6229 (OverFeat: a regression beside the classes on the same maps) and Toshev and
Szegedy 2013, arXiv:1312.4659 (DeepPose: points by regression). All coordinates are in units of the image's sides:
0, 0 is its upper left corner and 1, 1 its lower right one.

Departures: the last map goes through a 1x1 convolution to few channels and then flat into one dense layer, as places
matter here and an average over all would lose them; the papers have two dense layers of 4096.
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.zoo.backbones import maps_of, stages_of

WIDTH = 64
"""Channels of the map that the dense layer sees."""
MIDDLE = (0.25, 0.25, 0.75, 0.75)
"""The box that is answered before training: the middle of the image."""


class Place(nn.Module):
    """1x1, BN, ReLU, dense layer: coordinates that begin at `first`, whatever the image: (N, c, h, w) -> (N, count)."""

    def __init__(self, c: int, side: int, first: tuple[float, ...]) -> None:
        super().__init__()
        layers = {
            "conv": nn.Conv2d(c, WIDTH, 1, bias=False),
            "bn": nn.BatchNorm2d(WIDTH),
            "relu": nn.ReLU(),
            "flatten": nn.Flatten(),
        }
        self.flat = nn.Sequential(OrderedDict(layers))
        self.dense = nn.Linear(WIDTH * side**2, len(first))
        nn.init.normal_(self.dense.weight, std=0.001)
        with torch.no_grad():
            self.dense.bias.copy_(torch.tensor(first))

    def forward(self, x: Tensor) -> Tensor:
        """Return the coordinates."""
        y: Tensor = self.dense(self.flat(x))
        return y


class ClassAndBox(nn.Module):
    """The logits of the mean of the map, and a box from its places: (N, c, h, w) -> (N, classes + 4)."""

    def __init__(self, c: int, side: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.Sequential(OrderedDict({"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}))
        self.logits = nn.Linear(c, classes)
        self.box = Place(c, side, MIDDLE)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits and x0, y0, x1, y1."""
        return torch.cat([self.logits(self.pool(x)), self.box(x)], dim=1)


def _chain(backbone: str, *, c_in: int, size: int) -> tuple[Classifier, int, int]:
    """Return the backbone without a head, and the channels and the side of its last map."""
    body = stages_of(backbone, c_in=c_in, size=size)
    _, (_, c, side, _) = maps_of(backbone, c_in, size)[-1]
    return Classifier(stem=body.stem, stages=body.stages, head=nn.Identity()), c, side


_register = partial(register, input=(3, 224, 224))


@_register(
    paper="arXiv:1312.6229",
    title="OverFeat: integrated recognition, localization and detection using convolutional networks",
    authors="Sermanet et al.",
    year=2013,
    answers="boxes",
    form="one",
    params=11_232_216,
    macs=1_815_189_760,
    decks=("000",),
)
def localiser(classes: int = 20, *, c_in: int = 3, size: int = 224, backbone: str = "resnet18") -> Classifier:
    model, c, side = _chain(backbone, c_in=c_in, size=size)
    model.head = ClassAndBox(c, side, classes)
    return model


@_register(
    paper="arXiv:1312.4659",
    title="DeepPose: human pose estimation via deep neural networks",
    authors="Toshev and Szegedy",
    year=2013,
    answers="points",
    form="coordinates",
    params=11_316_066,
    macs=1_815_273_600,
)
def point_regression(classes: int = 17, *, c_in: int = 3, size: int = 224, backbone: str = "resnet18") -> Classifier:
    model, c, side = _chain(backbone, c_in=c_in, size=size)
    model.head = Place(c, side, (0.5,) * (2 * classes))
    return model

"""VGG: Simonyan and Zisserman 2014, arXiv:1409.1556. Table 1, columns A to E.

The names that end in `_bn` have a batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167) after every convolution.

Departures: He normal initialisation (arXiv:1502.01852). The paper draws A from N(0, 0.01) and begins the deeper
networks with the layers of A.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.alexnet import dense_head, he_normal, local_response_norm

CHANNELS = (64, 128, 256, 512, 512)  # 112 x 112, 56 x 56, 28 x 28, 14 x 14 and 7 x 7 after pooling


class Column(NamedTuple):
    k: tuple[tuple[int, ...], ...]  # kernels of the convolutions of each stage
    lrn: bool = False  # local response normalisation in the first stage


TABLE_1 = {
    #                conv-64  conv-128  conv-256      conv-512      conv-512
    "A":     Column(((3,),    (3,),     (3, 3),       (3, 3),       (3, 3))),
    "A-LRN": Column(((3,),    (3,),     (3, 3),       (3, 3),       (3, 3)), lrn=True),
    "B":     Column(((3, 3),  (3, 3),   (3, 3),       (3, 3),       (3, 3))),
    "C":     Column(((3, 3),  (3, 3),   (3, 3, 1),    (3, 3, 1),    (3, 3, 1))),
    "D":     Column(((3, 3),  (3, 3),   (3, 3, 3),    (3, 3, 3),    (3, 3, 3))),
    "E":     Column(((3, 3),  (3, 3),   (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3))),
}  # fmt: skip


def stage(c_in: int, c_out: int, kernels: tuple[int, ...], *, batch_norm: bool, lrn: bool) -> nn.Sequential:
    """Convolutions (, batch norm), ReLU (, LRN after the last), 2x2 max pooling.

    (N, c_in, H, W) -> (N, c_out, H / 2, W / 2)
    """
    layers: dict[str, nn.Module] = {}
    for i, k in enumerate(kernels, start=1):
        layers[f"conv{i}"] = nn.Conv2d(c_in, c_out, k, padding=k // 2)
        if batch_norm:
            layers[f"bn{i}"] = nn.BatchNorm2d(c_out)
        layers[f"relu{i}"] = nn.ReLU()
        c_in = c_out
    if lrn:
        layers["norm"] = local_response_norm()
    return nn.Sequential(OrderedDict(layers | {"pool": nn.MaxPool2d(2)}))


def _vgg(name: str, classes: int, *, c_in: int, size: int, batch_norm: bool = False) -> Classifier:
    column, windows, stages = TABLE_1[name], [], []
    for i, (c, kernels) in enumerate(zip(CHANNELS, column.k, strict=True), start=1):
        windows.append(Window(f"stage{i}.pool", 2, stride=2))
        stages.append(stage(c_in, c, kernels, batch_norm=batch_norm, lrn=column.lrn and i == 1))
        c_in = c
    return he_normal(Classifier(stages=stages, head=dense_head(c_in * chained(size, windows) ** 2, classes)))


def _rules(name: str, *, batch_norm: bool) -> tuple[tuple[str, str], ...]:
    """Return the rules from torchvision's numbering, in which ReLU and pooling count too."""
    rules, there = [], 0
    for i, kernels in enumerate(TABLE_1[name].k, start=1):
        for j in range(1, len(kernels) + 1):
            rules.append((rf"^features\.{there}\.", f"stage{i}.conv{j}."))
            if batch_norm:
                rules.append((rf"^features\.{there + 1}\.", f"stage{i}.bn{j}."))
            there += 3 if batch_norm else 2
        there += 1
    heads = {0: "dense1", 3: "dense2", 6: "logits"}
    return (*rules, *((rf"^classifier\.{there}\.", f"head.{ours}.") for there, ours in heads.items()))


def _peers(column: str, name: str, digest: str) -> dict[str, Peer]:
    weights = f"https://download.pytorch.org/models/{name}-{digest}.pth"
    rules = _rules(column, batch_norm=name.endswith("_bn"))
    return {"torchvision": Peer(name, rules, weights=weights, licence="BSD-3-Clause (torchvision)")}


_register = partial(
    register,
    paper="arXiv:1409.1556",
    title="Very deep convolutional networks for large-scale image recognition",
    authors="Simonyan and Zisserman",
    year=2014,
    input=(3, 224, 224),
)
_published = partial(_register, published="torchvision 0.28, IMAGENET1K_V1")
_of_the_paper = partial(_register, published="Simonyan and Zisserman 2014, Table 3; applied densely at one scale")


@_published(
    params=132_863_336,
    macs=7_609_090_048,
    top1=69.02,
    top5=88.628,
    decks=("000",),
    peers=_peers("A", "vgg11", "8a719046"),
)
def vgg11(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("A", classes, c_in=c_in, size=size)


@_of_the_paper(params=132_863_336, macs=7_609_090_048, top1=70.3, top5=89.5, decks=("000",))
def vgg11_lrn(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("A-LRN", classes, c_in=c_in, size=size)


@_published(
    params=133_047_848,
    macs=11_308_466_176,
    top1=69.928,
    top5=89.246,
    decks=("000",),
    peers=_peers("B", "vgg13", "19584684"),
)
def vgg13(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("B", classes, c_in=c_in, size=size)


@_of_the_paper(params=133_638_952, macs=11_770_888_192, top1=72.7, top5=91.2, decks=("000",))
def vgg16_c(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("C", classes, c_in=c_in, size=size)


@_published(
    params=138_357_544,
    macs=15_470_264_320,
    top1=71.592,
    top5=90.382,
    decks=("000", "001", "002", "004"),
    peers=_peers("D", "vgg16", "397923af"),
)
def vgg16(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("D", classes, c_in=c_in, size=size)


@_published(
    params=143_667_240,
    macs=19_632_062_464,
    top1=72.376,
    top5=90.876,
    decks=("000", "001", "002", "004"),
    peers=_peers("E", "vgg19", "dcbb9e9d"),
)
def vgg19(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("E", classes, c_in=c_in, size=size)


@_published(params=132_868_840, macs=7_609_090_048, top1=70.37, top5=89.81, peers=_peers("A", "vgg11_bn", "6002323d"))
def vgg11_bn(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("A", classes, c_in=c_in, size=size, batch_norm=True)


@_register(params=132_868_840, macs=7_609_090_048)
def vgg11_lrn_bn(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("A-LRN", classes, c_in=c_in, size=size, batch_norm=True)


@_published(
    params=133_053_736, macs=11_308_466_176, top1=71.586, top5=90.374, peers=_peers("B", "vgg13_bn", "abd245e5")
)
def vgg13_bn(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("B", classes, c_in=c_in, size=size, batch_norm=True)


@_register(params=133_647_400, macs=11_770_888_192)
def vgg16_c_bn(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("C", classes, c_in=c_in, size=size, batch_norm=True)


@_published(params=138_365_992, macs=15_470_264_320, top1=73.36, top5=91.516, peers=_peers("D", "vgg16_bn", "6c64b313"))
def vgg16_bn(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("D", classes, c_in=c_in, size=size, batch_norm=True)


@_published(
    params=143_678_248, macs=19_632_062_464, top1=74.218, top5=91.842, peers=_peers("E", "vgg19_bn", "c79401a0")
)
def vgg19_bn(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _vgg("E", classes, c_in=c_in, size=size, batch_norm=True)

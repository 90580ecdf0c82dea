"""AlexNet and what changed two of its layers.

`alexnet`: Krizhevsky, Sutskever and Hinton 2012, doi:10.1145/3065386. Figure 2, section 3.
`alexnet_ungrouped`: the same on one GPU, every map seeing all maps of the layer before: the table of lecture 000.
`alexnet_owt`: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.
`zfnet`: Zeiler and Fergus 2013, arXiv:1311.2901, the network of Table 2 with 512, 1024 and 512 maps; `zfnet_figure3` is
the one drawn there. `zfnet_slide`: AlexNet with only the changes that lecture 001 names.

Departures: He normal initialisation (arXiv:1502.01852). The papers' N(0, 0.01^2) is for pixels from 0 to 255; of images
that are normalised it tells none from another. The input of `alexnet` is 227 x 227, as 224 gives no maps of 55 x 55.
Dropout follows the first two dense layers in all; the published weights of `alexnet_owt` had it before them. For what
Zeiler and Fergus do not print: padding that gives the sizes in their Figure 3, normalisation as in AlexNet.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from fovea.layers import Classifier, Convolution
from fovea.registry import Peer, register
from fovea.shapes import Window, chained


class Conv(NamedTuple):
    c: int  # output channels
    k: int  # kernel
    s: int  # stride
    p: int  # padding
    g: int  # groups
    then: tuple[str, ...] = ()  # what follows it and its ReLU: 3x3 max pooling at stride 2, normalisation


FIGURE_2 = (
    #     c   k  s  p  g
    Conv( 96, 11, 4, 0, 1, ("norm", "pool")),  # 55 x 55, 27 x 27
    Conv(256,  5, 1, 2, 2, ("norm", "pool")),  # 27 x 27, 13 x 13
    Conv(384,  3, 1, 1, 1),                    # 13 x 13
    Conv(384,  3, 1, 1, 2),                    # 13 x 13
    Conv(256,  3, 1, 1, 2, ("pool",)),         # 13 x 13,  6 x  6
)  # fmt: skip
UNGROUPED = tuple(conv._replace(g=1) for conv in FIGURE_2)
ONE_WEIRD_TRICK = (
    #     c   k  s  p  g
    Conv( 64, 11, 4, 2, 1, ("pool",)),  # 55 x 55, 27 x 27
    Conv(192,  5, 1, 2, 1, ("pool",)),  # 27 x 27, 13 x 13
    Conv(384,  3, 1, 1, 1),             # 13 x 13
    Conv(256,  3, 1, 1, 1),             # 13 x 13
    Conv(256,  3, 1, 1, 1, ("pool",)),  # 13 x 13,  6 x  6
)  # fmt: skip
ZF_FIGURE_3 = (
    #     c   k  s  p  g
    Conv( 96,  7, 2, 1, 1, ("pool", "norm")),  # 110 x 110, 55 x 55
    Conv(256,  5, 2, 0, 1, ("pool", "norm")),  #  26 x  26, 13 x 13
    Conv(384,  3, 1, 1, 1),                    #  13 x  13
    Conv(384,  3, 1, 1, 1),                    #  13 x  13
    Conv(256,  3, 1, 1, 1, ("pool",)),         #  13 x  13,  6 x  6
)  # fmt: skip


def wider(rows: tuple[Conv, ...]) -> tuple[Conv, ...]:
    """Return `rows` with 512, 1024 and 512 maps in the last three layers (Zeiler and Fergus, Table 2)."""
    return (*rows[:2], *(conv._replace(c=c) for conv, c in zip(rows[2:], (512, 1024, 512), strict=True)))


ZF_SLIDE = wider((UNGROUPED[0]._replace(k=7, s=2), *UNGROUPED[1:]))  # 111 x 111, 55 x 55; 27 x 27; 13 x 13


def local_response_norm() -> nn.LocalResponseNorm:
    """Return x / (2 + 1e-4 sum of x^2 over 5 neighbouring maps)^0.75 (section 3.3); shape unchanged."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)  # PyTorch takes the mean of the squares


def dense_head(c_in: int, classes: int) -> nn.Sequential:
    """Twice dense layer, ReLU, dropout, then the logits: (N, C, H, W) with C H W = c_in -> (N, classes)."""
    # drawn by the networks' own initialisation; PyTorch's would take seconds
    dense = partial(skip_init, nn.Linear, device=torch.get_default_device())
    layers = {
        "flatten": nn.Flatten(),
        "dense1": dense(c_in, 4096),
        "relu1": nn.ReLU(),
        "dropout1": nn.Dropout(0.5),
        "dense2": dense(4096, 4096),
        "relu2": nn.ReLU(),
        "dropout2": nn.Dropout(0.5),
        "logits": nn.Linear(4096, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def _stage(c_in: int, conv: Conv, *, ceil: bool) -> nn.Sequential:
    """Convolution, ReLU, then pooling and normalisation: (N, c_in, H, W) -> (N, c, about H / s, W / s or half)."""
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(c_in, conv.c, conv.k, stride=conv.s, padding=conv.p, groups=conv.g),
        "relu": nn.ReLU(),
    }
    for name in conv.then:
        layers[name] = local_response_norm() if name == "norm" else nn.MaxPool2d(3, stride=2, ceil_mode=ceil)
    return nn.Sequential(OrderedDict(layers))


def he_normal(model: Classifier) -> Classifier:
    """Draw weights from N(0, 2 / fan-in) (He et al. 2015, equation 10), the logits' from N(0, 0.01^2); no biases."""
    for name, module in model.named_modules():
        if isinstance(module, Convolution | nn.Linear):
            if name == "head.logits":
                nn.init.normal_(module.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, module.bias))
    return model


def _alexnet(rows: tuple[Conv, ...], classes: int, *, c_in: int, size: int, ceil: bool = False) -> Classifier:
    windows, stages = [], []
    for i, conv in enumerate(rows, start=1):
        windows.append(Window(f"stage{i}.conv", conv.k, stride=conv.s, padding=conv.p))
        if "pool" in conv.then:
            windows.append(Window(f"stage{i}.pool", 3, stride=2, ceil=ceil))
        stages.append(_stage(c_in, conv, ceil=ceil))
        c_in = conv.c
    return he_normal(Classifier(stages=stages, head=dense_head(c_in * chained(size, windows) ** 2, classes)))


RULES = (
    *((rf"^features\.{there}\.", f"stage{i}.conv.") for i, there in enumerate((0, 3, 6, 8, 10), start=1)),
    (r"^classifier\.1\.", "head.dense1."),
    (r"^classifier\.4\.", "head.dense2."),
    (r"^classifier\.6\.", "head.logits."),
)
PEER = Peer(
    "alexnet",
    RULES,
    weights="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    licence="BSD-3-Clause (torchvision)",
)

_of_2012 = partial(
    register,
    paper="doi:10.1145/3065386",
    title="ImageNet classification with deep convolutional neural networks",
    authors="Krizhevsky et al.",
    year=2012,
    input=(3, 227, 227),
)
_zfnet = partial(
    register,
    paper="arXiv:1311.2901",
    title="Visualizing and understanding convolutional networks",
    authors="Zeiler and Fergus",
    year=2013,
)


@_of_2012(
    params=60_965_224,
    macs=724_406_816,
    top1=59.3,
    top5=81.8,
    published="Krizhevsky et al. 2012, Table 2, one network; mean of ten crops",
    decks=("000", "001", "003", "004"),
)
def alexnet(classes: int = 1000, *, c_in: int = 3, size: int = 227) -> Classifier:
    return _alexnet(FIGURE_2, classes, c_in=c_in, size=size)


@_of_2012(params=62_378_344, macs=1_135_256_096, decks=("000", "001"))
def alexnet_ungrouped(classes: int = 1000, *, c_in: int = 3, size: int = 227) -> Classifier:
    return _alexnet(UNGROUPED, classes, c_in=c_in, size=size)


@register(
    paper="arXiv:1404.5997",
    title="One weird trick for parallelizing convolutional neural networks",
    authors="Krizhevsky",
    year=2014,
    input=(3, 224, 224),
    params=61_100_840,
    macs=714_188_480,
    top1=56.522,
    top5=79.066,
    published="torchvision 0.28, IMAGENET1K_V1",
    decks=("002",),
    peers={"torchvision": PEER},
)
def alexnet_owt(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _alexnet(ONE_WEIRD_TRICK, classes, c_in=c_in, size=size)


@_zfnet(
    input=(3, 224, 224),
    params=107_627_624,
    macs=2_476_704_896,
    top1=62.5,
    top5=84.0,
    published="Zeiler and Fergus 2013, Table 2, one network; mean of ten crops",
    decks=("000", "001"),
)
def zfnet(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _alexnet(wider(ZF_FIGURE_3), classes, c_in=c_in, size=size, ceil=True)


@_zfnet(
    input=(3, 224, 224),
    params=62_357_608,
    macs=1_168_032_896,
    top1=61.6,
    top5=83.5,
    published="Zeiler and Fergus 2013, Table 2, one network; mean of ten crops",
)
def zfnet_figure3(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _alexnet(ZF_FIGURE_3, classes, c_in=c_in, size=size, ceil=True)


@_zfnet(input=(3, 227, 227), params=386_548_840, macs=10_147_396_384, decks=("001",))
def zfnet_slide(classes: int = 1000, *, c_in: int = 3, size: int = 227) -> Classifier:
    return _alexnet(ZF_SLIDE, classes, c_in=c_in, size=size)

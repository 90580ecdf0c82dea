"""GoogLeNet: Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842. Table 1, Figure 3, section 5.

`googlenet` is the paper's; `aux=True` adds its auxiliary heads, which in training answer too. `googlenet_bn` has batch
norm instead of biases and response normalisation: the form for which there are published weights.

Departures: the auxiliary heads average their maps to 4 x 4 whatever the input's size (the paper's 5x5 windows at stride
3 do so at 224 x 224). The paper does not print the constants of its response normalisation: AlexNet's. He normal
initialisation of the convolutions. As its published weights have it, `googlenet_bn` has 3x3 kernels where the paper has
5x5, its last pooling is 2x2, its dropout 20 %; their images are normalised before the network, not in it.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.alexnet import local_response_norm
from fovea.zoo.inception import (
    AuxiliaryClassifier,
    Inception,
    Maps,
    Unit,
    conv_bn_relu,
    conv_relu,
    dropout_head,
    he_normal,
)

TABLE_1 = {
    #           1x1  3x3r  3x3 5x5r  5x5  pool
    "3a": Maps( 64,   96, 128,  16,  32,  32),  # 28 x 28
    "3b": Maps(128,  128, 192,  32,  96,  64),
    "4a": Maps(192,   96, 208,  16,  48,  64),  # 14 x 14
    "4b": Maps(160,  112, 224,  24,  64,  64),
    "4c": Maps(128,  128, 256,  24,  64,  64),
    "4d": Maps(112,  144, 288,  32,  64,  64),
    "4e": Maps(256,  160, 320,  32, 128, 128),
    "5a": Maps(256,  160, 320,  32, 128, 128),  #  7 x  7
    "5b": Maps(384,  192, 384,  48, 128, 128),
}  # fmt: skip
STAGES = ("3", "4", "5")


class Form(NamedTuple):
    unit: Unit  # what a convolution comes with
    lrn: bool  # response normalisation in the stem
    large: int  # kernel of the third branch
    pool: int  # kernel of the last max pooling
    dropout: float  # rate before the logits


PAPER = Form(conv_relu, True, 5, 3, 0.4)
BATCH_NORM = Form(conv_bn_relu, False, 3, 2, 0.2)


def _stem(c_in: int, form: Form) -> nn.Sequential:
    """7x7 at stride 2, pooling (, LRN), 1x1, 3x3 (, LRN), pooling: (N, c_in, H, W) -> (N, 192, H / 8, W / 8)."""
    layers: dict[str, nn.Module] = {
        "conv1": form.unit(c_in, 64, 7, stride=2, padding=3),
        "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        "norm1": local_response_norm(),
        "conv2": form.unit(64, 64, 1),
        "conv3": form.unit(64, 192, 3, padding=1),
        "norm2": local_response_norm(),
        "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
    }
    return nn.Sequential(OrderedDict({k: layer for k, layer in layers.items() if form.lrn or "norm" not in k}))


def _aux(c_in: int, classes: int, unit: Unit) -> nn.Sequential:
    """Average pooling to 4 x 4, 1x1, dense layer, ReLU, dropout, logits: (N, c_in, H, W) -> (N, classes)."""
    layers = {
        "pool": nn.AdaptiveAvgPool2d(4),
        "conv": unit(c_in, 128, 1),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(128 * 4 * 4, 1024),
        "relu": nn.ReLU(),
        "dropout": nn.Dropout(0.7),
        "logits": nn.Linear(1024, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def _windows(form: Form) -> list[Window]:
    return [
        Window("stem.conv1.conv", 7, stride=2, padding=3),
        Window("stem.pool1", 3, stride=2, ceil=True),
        Window("stem.pool2", 3, stride=2, ceil=True),
        Window("stage2.pool", 3, stride=2, ceil=True),
        Window("stage3.pool", form.pool, stride=2, ceil=True),
    ]


def _googlenet(form: Form, classes: int, *, c_in: int, size: int, aux: bool) -> Classifier:
    chained(size, _windows(form))
    stem, c, stages = _stem(c_in, form), 192, []
    for number in STAGES:
        layers: dict[str, nn.Module] = {}
        if number != "3":
            layers["pool"] = nn.MaxPool2d(form.pool if number == "5" else 3, stride=2, ceil_mode=True)
        for name in (name for name in TABLE_1 if name.startswith(number)):
            layers[f"inception{name}"] = Inception(c, TABLE_1[name], unit=form.unit, large=form.large)
            c = TABLE_1[name].c
        stages.append(nn.Sequential(OrderedDict(layers)))
    heads = {f"stage2.inception{name}": _aux(TABLE_1[name].c, classes, form.unit) for name in ("4a", "4d") if aux}
    head = dropout_head(c, classes, dropout=form.dropout)
    return he_normal(AuxiliaryClassifier(stem=stem, stages=stages, head=head, heads=heads))


RULES = (
    (r"^conv(\d)\.", r"stem.conv\1."),
    *((rf"^inception{number}", f"stage{i}.inception{number}") for i, number in enumerate(STAGES, start=1)),
    (r"\.branch4\.1\.", ".branch_pool.project."),
    (r"\.branch3\.0\.", ".branch5.reduce."),
    (r"\.branch3\.1\.", ".branch5.conv."),
    (r"\.branch2\.0\.", ".branch3.reduce."),
    (r"\.branch2\.1\.", ".branch3.conv."),
    (r"^fc\.", "head.logits."),
    (r"^(aux\d)\.fc1\.", r"\1.dense."),
    (r"^(aux\d)\.fc2\.", r"\1.logits."),
)
PEER = Peer(
    "googlenet",
    RULES,
    weights="https://download.pytorch.org/models/googlenet-1378be20.pth",
    licence="BSD-3-Clause (torchvision)",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)

_register = partial(
    register,
    paper="arXiv:1409.4842",
    title="Going deeper with convolutions",
    authors="Szegedy et al.",
    year=2014,
    input=(3, 224, 224),
)


@_register(
    params=6_998_552,
    macs=1_582_671_872,
    top5=89.93,
    published="Szegedy et al. 2014, Table 3, one network",
    decks=("000", "001", "002", "004"),
)
def googlenet(classes: int = 1000, *, c_in: int = 3, size: int = 224, aux: bool = False) -> Classifier:
    return _googlenet(PAPER, classes, c_in=c_in, size=size, aux=aux)


@_register(
    params=6_624_904,
    macs=1_498_376_192,
    top1=69.778,
    top5=89.53,
    published="torchvision 0.28, IMAGENET1K_V1",
    decks=("002",),
    peers={"torchvision": PEER},
)
def googlenet_bn(classes: int = 1000, *, c_in: int = 3, size: int = 224, aux: bool = False) -> Classifier:
    return _googlenet(BATCH_NORM, classes, c_in=c_in, size=size, aux=aux)

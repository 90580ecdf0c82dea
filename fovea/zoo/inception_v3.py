"""Inception-v3: Szegedy et al. 2015, arXiv:1512.00567. Table 1, Figures 5 to 8 and 10.

`aux=True` adds the auxiliary head of Figure 8, which in training answers too.

Departures: where the authors' published network is not that of Table 1, the former: in the stem 1x1 to 80 and 3x3 to
192 channels and a second pooling; a 5x5 in the modules of Figure 5, of which only the other branch is two 3x3; pooling
by averages. Images for its weights are normalised before the network, not in it. He normal initialisation.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.inception import (
    AuxiliaryClassifier,
    Branches,
    average_and_project,
    chain,
    conv_bn_relu,
    dropout_head,
    he_normal,
    split,
)


def _figure_5(c_in: int, p: int) -> Branches:
    """Two 3x3 in place of a 5x5: (N, c_in, H, W) -> (N, 224 + p, H, W)."""
    return Branches(
        branch1=conv_bn_relu(c_in, 64, 1),
        branch5=chain(c_in, (48, 1), (64, 5)),
        branch3_double=chain(c_in, (64, 1), (96, 3), (96, 3)),
        branch_pool=average_and_project(c_in, p),
    )


def _reduction_a(c_in: int) -> Branches:
    """Figure 10: half the size by convolution and pooling; (N, c_in, H, W) -> (N, c_in + 480, H / 2, W / 2)."""
    return Branches(
        branch3=conv_bn_relu(c_in, 384, 3, stride=2),
        branch3_double=chain(c_in, (64, 1), (96, 3), (96, 3), stride=2, valid=True),
        branch_pool=nn.MaxPool2d(3, stride=2),
    )


def _figure_6(c_in: int, c7: int) -> Branches:
    """Each 7x7 as 1x7 and 7x1: (N, c_in, H, W) -> (N, 768, H, W)."""
    row, column = (1, 7), (7, 1)
    return Branches(
        branch1=conv_bn_relu(c_in, 192, 1),
        branch7=chain(c_in, (c7, 1), (c7, row), (192, column)),
        branch7_double=chain(c_in, (c7, 1), (c7, column), (c7, row), (c7, column), (192, row)),
        branch_pool=average_and_project(c_in, 192),
    )


def _reduction_b(c_in: int) -> Branches:
    """As Figure 10, with 1x7 and 7x1: (N, c_in, H, W) -> (N, c_in + 512, H / 2, W / 2)."""
    return Branches(
        branch3=chain(c_in, (192, 1), (320, 3), stride=2, valid=True),
        branch7=chain(c_in, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3), stride=2, valid=True),
        branch_pool=nn.MaxPool2d(3, stride=2),
    )


def _figure_7(c_in: int) -> Branches:
    """Expanded filter banks for the coarsest maps: (N, c_in, H, W) -> (N, 2048, H, W)."""
    return Branches(
        branch1=conv_bn_relu(c_in, 320, 1),
        branch3=split(chain(c_in, (384, 1)), 384, 384),
        branch3_double=split(chain(c_in, (448, 1), (384, 3)), 384, 384),
        branch_pool=average_and_project(c_in, 192),
    )


def stem(c_in: int) -> nn.Sequential:
    """Five convolutions and two poolings: (N, c_in, 299, 299) -> (N, 192, 35, 35)."""
    layers = {
        "conv1": conv_bn_relu(c_in, 32, 3, stride=2),  # 149 x 149
        "conv2": conv_bn_relu(32, 32, 3),  # 147 x 147
        "conv3": conv_bn_relu(32, 64, 3, padding=1),
        "pool1": nn.MaxPool2d(3, stride=2),  # 73 x 73
        "conv4": conv_bn_relu(64, 80, 1),
        "conv5": conv_bn_relu(80, 192, 3),  # 71 x 71
        "pool2": nn.MaxPool2d(3, stride=2),  # 35 x 35
    }
    return nn.Sequential(OrderedDict(layers))


class Mixed(NamedTuple):
    name: str  # in the authors' network
    module: Callable[..., Branches]
    arguments: tuple[int, ...]  # input channels, then what distinguishes modules of a figure


TABLE_1 = (
    (  # 35 x 35
        Mixed("mixed5b", _figure_5, (192, 32)),
        Mixed("mixed5c", _figure_5, (256, 64)),
        Mixed("mixed5d", _figure_5, (288, 64)),
    ),
    (  # 17 x 17
        Mixed("mixed6a", _reduction_a, (288,)),
        Mixed("mixed6b", _figure_6, (768, 128)),
        Mixed("mixed6c", _figure_6, (768, 160)),
        Mixed("mixed6d", _figure_6, (768, 160)),
        Mixed("mixed6e", _figure_6, (768, 192)),
    ),
    (  # 8 x 8
        Mixed("mixed7a", _reduction_b, (768,)),
        Mixed("mixed7b", _figure_7, (1280,)),
        Mixed("mixed7c", _figure_7, (2048,)),
    ),
)


def _aux(classes: int) -> nn.Sequential:
    """Figure 8: 5x5 pooling at stride 3, 1x1, 5x5, global pooling, logits; (N, 768, 17, 17) -> (N, classes)."""
    layers = {
        "pool1": nn.AvgPool2d(5, stride=3),
        "conv1": conv_bn_relu(768, 128, 1),
        "conv2": conv_bn_relu(128, 768, 5),
        "pool2": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "logits": nn.Linear(768, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def _check(size: int, *, aux: bool) -> None:
    to_stage2 = [
        Window("stem.conv1.conv", 3, stride=2),
        Window("stem.conv2.conv", 3),
        Window("stem.pool1", 3, stride=2),
        Window("stem.conv5.conv", 3),
        Window("stem.pool2", 3, stride=2),
        Window("stage2.mixed6a.branch3.conv", 3, stride=2),
    ]
    if aux:
        chained(size, [*to_stage2, Window("aux1.pool1", 5, stride=3), Window("aux1.conv2.conv", 5)])
    chained(size, [*to_stage2, Window("stage3.mixed7a.branch3.conv2.conv", 3, stride=2)])


RULES = (
    *((f"^Conv2d_{there}_", f"stem.conv{i}.") for i, there in enumerate(("1a", "2a", "2b", "3b", "4a"), start=1)),
    (r"^(stem\.conv\d\.)\dx\d\.", r"\1"),
    *((f"^Mixed_{i + 4}", f"stage{i}.mixed{i + 4}") for i in (1, 2, 3)),
    (r"\.branch7x7x3_", ".branch7_"),
    (r"\.branch(\d)x\d", r".branch\1"),
    (r"\.(branch\d)dbl_", r".\1_double_"),
    (r"_(\d)([ab])\.", r".conv\1.\2."),
    (r"_(\d)\.", r".conv\1."),
    (r"\.branch_pool\.", ".branch_pool.conv."),
    (r"^fc\.", "head.logits."),
    (r"^AuxLogits\.fc\.", "aux1.logits."),
    *((rf"^AuxLogits\.conv{i}\.", f"aux1.conv{i + 1}.") for i in (0, 1)),
)
PEERS = {
    "torchvision": Peer(
        "inception_v3",
        RULES,
        weights="https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
        licence="BSD-3-Clause (torchvision)",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    "timm": Peer("inception_v3", RULES, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
}


@register(
    paper="arXiv:1512.00567",
    title="Rethinking the Inception architecture for computer vision",
    authors="Szegedy et al.",
    year=2015,
    input=(3, 299, 299),
    params=23_834_568,
    macs=5_713_216_096,
    top1=77.294,
    top5=93.45,
    published="torchvision 0.28, IMAGENET1K_V1",
    decks=("000", "002", "004"),
    peers=PEERS,
)
def inception_v3(classes: int = 1000, *, c_in: int = 3, size: int = 299, aux: bool = False) -> Classifier:
    _check(size, aux=aux)
    stages = [nn.Sequential(OrderedDict({m.name: m.module(*m.arguments) for m in row})) for row in TABLE_1]
    heads = {"stage2.mixed6e": _aux(classes)} if aux else {}
    return he_normal(
        AuxiliaryClassifier(stem=stem(c_in), stages=stages, head=dropout_head(2048, classes, dropout=0.5), heads=heads)
    )

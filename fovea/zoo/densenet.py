"""DenseNet: Huang, Liu, van der Maaten and Weinberger 2016, arXiv:1608.06993. ImageNet: Table 1. CIFAR: Table 2, "BC".

BC: bottlenecks of 4k channels before each 3x3 convolution, half the channels after each dense block (theta = 0.5).

Departures: none. A transition is the beginning of the next stage; the last batch norm and ReLU are the end of the last.
DenseNet-161 (k = 48) is not in the last version of Table 1; it is published with the authors' code. By the blocks that
the table prints, DenseNet-264 has 265 layers with weights.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.resnet import he_normal, head


class Network(NamedTuple):
    k: int  # growth rate: new maps of each layer
    n: tuple[int, ...]  # layers of each dense block


TABLE_1 = {
    # depth       k   56 x 56, 28 x 28, 14 x 14, 7 x 7
    121: Network(32, (6, 12, 24, 16)),
    161: Network(48, (6, 12, 36, 24)),
    169: Network(32, (6, 12, 32, 32)),
    201: Network(32, (6, 12, 48, 32)),
    264: Network(32, (6, 12, 64, 48)),
}


def table_2(depth: int, k: int) -> Network:
    """Return DenseNet-BC for CIFAR, depth = 6n + 4: maps of 32 x 32, 16 x 16 and 8 x 8."""
    # three blocks of n layers of two convolutions; the stem, two transitions and the logits are the other 4
    return Network(k, ((depth - 4) // 6,) * 3)


class DenseLayer(nn.Module):
    """The input and k new maps of BN, ReLU, 1x1, BN, ReLU, 3x3: (N, c_in, H, W) -> (N, c_in + k, H, W)."""

    def __init__(self, c_in: int, k: int) -> None:
        super().__init__()
        layers = {
            "bn1": nn.BatchNorm2d(c_in),
            "relu1": nn.ReLU(),
            "conv1": nn.Conv2d(c_in, 4 * k, 1, bias=False),
            "bn2": nn.BatchNorm2d(4 * k),
            "relu2": nn.ReLU(),
            "conv2": nn.Conv2d(4 * k, k, 3, padding=1, bias=False),
        }
        self.new = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` followed by its new maps."""
        return torch.cat([x, self.new(x)], dim=1)


def _transition(c_in: int) -> nn.Sequential:
    """BN, ReLU, 1x1 to half the channels, 2x2 average pooling: (N, c_in, H, W) -> (N, c_in / 2, H / 2, W / 2)."""
    layers = {
        "bn": nn.BatchNorm2d(c_in),
        "relu": nn.ReLU(),
        "conv": nn.Conv2d(c_in, c_in // 2, 1, bias=False),
        "pool": nn.AvgPool2d(2),
    }
    return nn.Sequential(OrderedDict(layers))


def _densenet(stem: nn.Sequential, network: Network, *, classes: int) -> Classifier:
    c, stages = 2 * network.k, []  # what the stem puts out
    for i, n in enumerate(network.n):
        layers: dict[str, nn.Module] = {}
        if i > 0:
            layers["transition"] = _transition(c)
            c //= 2
        for j in range(1, n + 1):
            layers[f"layer{j}"] = DenseLayer(c, network.k)
            c += network.k
        stages.append(nn.Sequential(OrderedDict(layers)))
    stages[-1].add_module("bn", nn.BatchNorm2d(c))
    stages[-1].add_module("relu", nn.ReLU())
    return he_normal(Classifier(stem=stem, stages=stages, head=head(c, classes)))


def _imagenet(depth: int, *, classes: int, c_in: int, size: int) -> Classifier:
    network = TABLE_1[depth]
    stem = {
        "conv": nn.Conv2d(c_in, 2 * network.k, 7, stride=2, padding=3, bias=False),
        "bn": nn.BatchNorm2d(2 * network.k),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    windows = [Window("stem.conv", 7, stride=2, padding=3), Window("stem.pool", 3, stride=2, padding=1)]
    chained(size, windows + _transitions(network))
    return _densenet(nn.Sequential(OrderedDict(stem)), network, classes=classes)


def _cifar(depth: int, k: int, *, classes: int, c_in: int, size: int) -> Classifier:
    network = table_2(depth, k)
    chained(size, _transitions(network))
    conv = nn.Conv2d(c_in, 2 * k, 3, padding=1, bias=False)
    return _densenet(nn.Sequential(OrderedDict({"conv": conv})), network, classes=classes)


def _transitions(network: Network) -> list[Window]:
    return [Window(f"stage{i}.transition.pool", 2, stride=2) for i in range(2, len(network.n) + 1)]


RULES = (
    (r"^features\.", ""),
    (r"^(conv|norm)0\.", r"stem.\1."),
    *((rf"^transition{i}\.", f"stage{i + 1}.transition.") for i in (1, 2, 3)),
    (r"^denseblock(\d)\.denselayer(\d+)\.", r"stage\1.layer\2.new."),
    (r"^norm5\.", "stage4.bn."),
    (r"\.(norm|conv)\.([12])\.", r".\1\2."),  # the published files say `norm.1` where the library now says `norm1`
    (r"\.norm", ".bn"),
    (r"^classifier\.", "head.logits."),
)


KERAS_RULES = (
    (r"^conv1_", "stem."),
    *((rf"^conv{i + 1}_block(\d+)_", rf"stage{i}.layer\1.new.") for i in (1, 2, 3, 4)),
    *((rf"\.{i}_conv\.", f".conv{i}.") for i in (1, 2)),
    *((rf"\.{i}_bn\.", f".bn{i + 1}.") for i in (0, 1)),
    *((rf"^pool{i}_", f"stage{i}.transition.") for i in (2, 3, 4)),
    (r"^bn\.", "stage4.bn."),
    (r"^(fc1000|predictions)\.", "head.logits."),
)


def _peers(depth: int, digest: str) -> dict[str, Peer]:
    name = f"densenet{depth}"
    weights = f"https://download.pytorch.org/models/{name}-{digest}.pth"
    torchvision = Peer(name, RULES, weights=weights, licence="BSD-3-Clause (torchvision)")
    keras = {} if depth == 161 else {"keras": Peer(f"DenseNet{depth}", KERAS_RULES)}
    return {"torchvision": torchvision, "timm": Peer(name, RULES), **keras}


_register = partial(
    register,
    paper="arXiv:1608.06993",
    title="Densely connected convolutional networks",
    authors="Huang et al.",
    year=2016,
)
_on_imagenet = partial(_register, input=(3, 224, 224))
_published = partial(_on_imagenet, published="torchvision 0.28, IMAGENET1K_V1", decks=("001", "002"))
_on_cifar = partial(_register, input=(3, 32, 32))


@_published(params=7_978_856, macs=2_834_161_664, top1=74.434, top5=91.972, peers=_peers(121, "a639ec97"))
def densenet121(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _imagenet(121, classes=classes, c_in=c_in, size=size)


@_published(params=28_681_000, macs=7_727_907_072, top1=77.138, top5=93.56, peers=_peers(161, "8d451a50"))
def densenet161(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _imagenet(161, classes=classes, c_in=c_in, size=size)


@_published(params=14_149_480, macs=3_359_843_328, top1=75.6, top5=92.806, peers=_peers(169, "b2777c0a"))
def densenet169(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _imagenet(169, classes=classes, c_in=c_in, size=size)


@_published(params=20_013_928, macs=4_291_365_888, top1=76.896, top5=93.37, peers=_peers(201, "c1103571"))
def densenet201(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _imagenet(201, classes=classes, c_in=c_in, size=size)


@_on_imagenet(params=33_337_704, macs=5_751_653_376, top1=77.85, top5=93.88, published="Table 3", decks=("000",))
def densenet264(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _imagenet(264, classes=classes, c_in=c_in, size=size)


@_on_cifar(params=769_162, macs=287_929_692)
def cifar_densenet100_12(classes: int = 10, *, c_in: int = 3, size: int = 32) -> Classifier:
    return _cifar(100, 12, classes=classes, c_in=c_in, size=size)


@_on_cifar(params=25_624_430, macs=9_301_945_740)
def cifar_densenet190_40(classes: int = 10, *, c_in: int = 3, size: int = 32) -> Classifier:
    return _cifar(190, 40, classes=classes, c_in=c_in, size=size)


@_on_cifar(params=15_324_406, macs=5_418_785_724)
def cifar_densenet250_24(classes: int = 10, *, c_in: int = 3, size: int = 32) -> Classifier:
    return _cifar(250, 24, classes=classes, c_in=c_in, size=size)

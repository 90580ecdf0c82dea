"""BN-Inception (Inception v2): Ioffe and Szegedy 2015, arXiv:1502.03167. Figure 5 and the appendix.

The first convolution is separable, each channel filtered by eight kernels of its own before 1x1; with
`separable=False` it is a plain 7x7, as in the networks that were published in Caffe and by others.

Departures: poolings beside convolutions with stride 2 are padded as these are, so that images of any size fit. The
output sizes of Figure 5 are not those of its columns in 3c to 4e: 14 x 14 x 576, 608 maps for 576 in 4c and 4d, 7 x 7
x 1056; the columns hold. It does not print the eps of its batch norms: 1e-3, as in the Inceptions that follow. No
dropout unless asked for: section 4.2.1 removes it. He normal initialisation.
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.inception import Branches, average_and_project, chain, conv_bn_relu, dropout_head, he_normal


class Maps(NamedTuple):
    """The columns of Figure 5: how many maps each convolution of a module makes."""

    n1: int  # 1x1; 0 in modules with stride 2
    r3: int  # 3x3 reduce
    n3: int  # 3x3
    rd: int  # double 3x3 reduce
    nd: int  # double 3x3, each of the two
    pool: str  # of 3x3
    p: int  # after the pooling; 0 where its maps pass through

    def c(self, c_in: int) -> int:
        """Return the output channels of the module."""
        return self.n1 + self.n3 + self.nd + (self.p or c_in)


FIGURE_5 = (
    {
        #           1x1  3x3r  3x3   dr    d   pool
        "3a": Maps( 64,   64,  64,  64,  96, "avg",  32),  # 28 x 28
        "3b": Maps( 64,   64,  96,  64,  96, "avg",  64),
    },
    {
        "3c": Maps(  0,  128, 160,  64,  96, "max",   0),  # 14 x 14
        "4a": Maps(224,   64,  96,  96, 128, "avg", 128),
        "4b": Maps(192,   96, 128,  96, 128, "avg", 128),
        "4c": Maps(160,  128, 160, 128, 160, "avg", 128),
        "4d": Maps( 96,  128, 192, 160, 192, "avg", 128),
    },
    {
        "4e": Maps(  0,  128, 192, 192, 256, "max",   0),  # 7 x 7
        "5a": Maps(352,  192, 320, 160, 224, "avg", 128),
        "5b": Maps(352,  192, 320, 192, 224, "max", 128),
    },
)  # fmt: skip
MULTIPLIER = 8  # kernels for each channel of the image


def module(c_in: int, maps: Maps) -> Branches:
    """1x1, 3x3, two 3x3 and pooling side by side; without 1x1, at stride 2 and the input pooled.

    (N, c_in, H, W) -> (N, c, H, W), or (N, c, ceil(H / 2), ceil(W / 2)) where `n1` is 0
    """
    stride = 1 if maps.n1 else 2
    branches: dict[str, nn.Module] = {"branch1": conv_bn_relu(c_in, maps.n1, 1)} if maps.n1 else {}
    branches["branch3"] = chain(c_in, (maps.r3, 1), (maps.n3, 3), stride=stride)
    branches["branch3_double"] = chain(c_in, (maps.rd, 1), (maps.nd, 3), (maps.nd, 3), stride=stride)
    pool = nn.MaxPool2d(3, stride=stride, padding=1)
    if maps.pool == "avg":
        branches["branch_pool"] = average_and_project(c_in, maps.p)
    elif maps.p:
        layers = {"pool": pool, "conv": conv_bn_relu(c_in, maps.p, 1)}
        branches["branch_pool"] = nn.Sequential(OrderedDict(layers))
    else:
        branches["branch_pool"] = pool
    return Branches(**branches)


def _separable(c_in: int, c: int) -> nn.Sequential:
    """Appendix: eight 7x7 kernels a channel at stride 2, 1x1, batch norm, ReLU.

    (N, c_in, H, W) -> (N, c, H / 2, W / 2)
    """
    wide = MULTIPLIER * c_in
    depthwise = nn.Conv2d(c_in, wide, 7, stride=2, padding=3, groups=c_in, bias=False)
    return nn.Sequential(OrderedDict({"depthwise": depthwise, **dict(conv_bn_relu(wide, c, 1).named_children())}))


def _stem(c_in: int, *, separable: bool) -> nn.Sequential:
    """7x7 at stride 2, pooling, 1x1, 3x3, pooling: (N, c_in, H, W) -> (N, 192, H / 8, W / 8)."""
    layers = {
        "conv1": _separable(c_in, 64) if separable else conv_bn_relu(c_in, 64, 7, stride=2, padding=3),
        "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        "conv2": conv_bn_relu(64, 64, 1),
        "conv3": conv_bn_relu(64, 192, 3, padding=1),
        "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),
    }
    return nn.Sequential(OrderedDict(layers))


def _check(size: int) -> None:
    """Raise ShapeError for images of no more pixels than the poolings can halve; all else is padded."""
    pools = [Window(f"stem.pool{i}", 3, stride=2, ceil=True) for i in (1, 2)]
    chained(size, [Window("stem.conv1", 7, stride=2, padding=3), *pools])


@register(
    paper="arXiv:1502.03167",
    title="Batch normalization: Accelerating deep network training by reducing internal covariate shift",
    authors="Ioffe, Szegedy",
    year=2015,
    input=(3, 224, 224),
    params=11_278_528,
    macs=1_948_605_440,
    top1=74.8,
    top5=92.18,
    published="Ioffe and Szegedy 2015, Figure 4, one crop",
    decks=("002",),
)
def bn_inception(
    classes: int = 1000, *, c_in: int = 3, size: int = 224, separable: bool = True, dropout: float = 0.0
) -> Classifier:
    _check(size)
    c, stages = 192, []
    for rows in FIGURE_5:
        layers = {}
        for name, maps in rows.items():
            layers[f"inception{name}"] = module(c, maps)
            c = maps.c(c)
        stages.append(nn.Sequential(OrderedDict(layers)))
    stem = _stem(c_in, separable=separable)
    return he_normal(Classifier(stem=stem, stages=stages, head=dropout_head(c, classes, dropout=dropout)))

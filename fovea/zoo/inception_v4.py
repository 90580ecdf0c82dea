"""Inception-v4: Szegedy, Ioffe, Vanhoucke and Alemi 2016, arXiv:1602.07261. Figures 3 to 9, Table 1.

Departures: where figures leave it open, the authors' published network: the last 3x3 convolution of Figure 3 has stride
2, which its output needs; the order of 1x7 and 7x1; zeros around a map do not count in average pooling. He normal
initialisation. Images for its weights are normalised before the network, not in it.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.inception import Branches, average_and_project, chain, conv_bn_relu, dropout_head, he_normal, split

ROW, COLUMN = (1, 7), (7, 1)


class ReductionA(NamedTuple):
    """The columns of Table 1: how many maps each convolution of Figure 7 makes."""

    k: int  # 1x1
    l: int  # 3x3 after it  # noqa: E741  the paper's letter
    m: int  # 3x3 at stride 2 after that
    n: int  # 3x3 at stride 2 on the input


TABLE_1 = {
    #                                   k    l    m    n
    "inception_v4":        ReductionA(192, 224, 256, 384),
    "inception_resnet_v1": ReductionA(192, 192, 256, 384),
    "inception_resnet_v2": ReductionA(256, 256, 384, 384),
}  # fmt: skip


def reduction_a(c_in: int, maps: ReductionA) -> Branches:
    """Figure 7: half the size; (N, c_in, H, W) -> (N, n + m + c_in, floor((H - 1) / 2), floor((W - 1) / 2))."""
    return Branches(
        branch3=conv_bn_relu(c_in, maps.n, 3, stride=2),
        branch3_double=chain(c_in, (maps.k, 1), (maps.l, 3), (maps.m, 3), stride=2, valid=True),
        branch_pool=nn.MaxPool2d(3, stride=2),
    )


def _pool(c_in: int, c: int) -> nn.Sequential:
    return average_and_project(c_in, c, count_padding=False)


def _stem(c_in: int) -> nn.Sequential:
    """Figure 3: three convolutions, then branches three times; (N, c_in, 299, 299) -> (N, 384, 35, 35)."""
    three = chain(160, (64, 1), (96, 3), valid=True)
    seven = chain(160, (64, 1), (64, ROW), (64, COLUMN), (96, 3), valid=True)
    layers = {
        "conv1": conv_bn_relu(c_in, 32, 3, stride=2),  # 149 x 149
        "conv2": conv_bn_relu(32, 32, 3),  # 147 x 147
        "conv3": conv_bn_relu(32, 64, 3, padding=1),
        "mixed3a": Branches(pool=nn.MaxPool2d(3, stride=2), conv=conv_bn_relu(64, 96, 3, stride=2)),  # 73 x 73
        "mixed4a": Branches(branch3=three, branch7=seven),  # 71 x 71
        "mixed5a": Branches(conv=conv_bn_relu(192, 192, 3, stride=2), pool=nn.MaxPool2d(3, stride=2)),  # 35 x 35
    }
    return nn.Sequential(OrderedDict(layers))


def _inception_a(c_in: int) -> Branches:
    """Figure 4: 1x1, 3x3, two 3x3, pooling; (N, c_in, H, W) -> (N, 384, H, W)."""
    return Branches(
        branch1=conv_bn_relu(c_in, 96, 1),
        branch3=chain(c_in, (64, 1), (96, 3)),
        branch3_double=chain(c_in, (64, 1), (96, 3), (96, 3)),
        branch_pool=_pool(c_in, 96),
    )


def _reduction_a(c_in: int) -> Branches:
    return reduction_a(c_in, TABLE_1["inception_v4"])


def _inception_b(c_in: int) -> Branches:
    """Figure 5: each 7x7 as 1x7 and 7x1; (N, c_in, H, W) -> (N, 1024, H, W)."""
    return Branches(
        branch1=conv_bn_relu(c_in, 384, 1),
        branch7=chain(c_in, (192, 1), (224, ROW), (256, COLUMN)),
        branch7_double=chain(c_in, (192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
        branch_pool=_pool(c_in, 128),
    )


def _reduction_b(c_in: int) -> Branches:
    """Figure 8: half the size; (N, c_in, H, W) -> (N, 512 + c_in, floor((H - 1) / 2), floor((W - 1) / 2))."""
    return Branches(
        branch3=chain(c_in, (192, 1), (192, 3), stride=2, valid=True),
        branch7=chain(c_in, (256, 1), (256, ROW), (320, COLUMN), (320, 3), stride=2, valid=True),
        branch_pool=nn.MaxPool2d(3, stride=2),
    )


def _inception_c(c_in: int) -> Branches:
    """Figure 6: chains that end in 1x3 and 3x1 side by side; (N, c_in, H, W) -> (N, 1536, H, W)."""
    return Branches(
        branch1=conv_bn_relu(c_in, 256, 1),
        branch3=split(chain(c_in, (384, 1)), 384, 256),
        branch3_double=split(chain(c_in, (384, 1), (448, (3, 1)), (512, (1, 3))), 512, 256),
        branch_pool=_pool(c_in, 256),
    )


class Mixed(NamedTuple):
    n: int  # repeats
    name: str  # in the figure
    module: Callable[[int], Branches]  # by its input channels
    c: int  # output channels


FIGURE_9 = (
    (Mixed(4, "inception_a", _inception_a, 384),),  # 35 x 35
    (
        Mixed(1, "reduction_a", _reduction_a, 1024),  # 17 x 17
        Mixed(7, "inception_b", _inception_b, 1024),
    ),
    (
        Mixed(1, "reduction_b", _reduction_b, 1536),  # 8 x 8
        Mixed(3, "inception_c", _inception_c, 1536),
    ),
)
WINDOWS = (
    Window("stem.conv1.conv", 3, stride=2),
    Window("stem.conv2.conv", 3),
    Window("stem.mixed3a.conv.conv", 3, stride=2),
    Window("stem.mixed4a.branch3.conv2.conv", 3),
    Window("stem.mixed5a.conv.conv", 3, stride=2),
    Window("stage2.reduction_a.branch3.conv", 3, stride=2),
    Window("stage3.reduction_b.branch3.conv2.conv", 3, stride=2),
)


def _inception_v4(classes: int, *, c_in: int, dropout: float) -> Classifier:
    c, stages = 384, []
    for rows in FIGURE_9:
        layers: dict[str, nn.Module] = {}
        for row in rows:
            for i in range(1, row.n + 1):
                layers[row.name if row.n == 1 else f"{row.name}{i}"] = row.module(c)
                c = row.c
        stages.append(nn.Sequential(OrderedDict(layers)))
    return he_normal(Classifier(stem=_stem(c_in), stages=stages, head=dropout_head(c, classes, dropout=dropout)))


CONVS = (
    *((rf"\.(branch\w+)\.{i}\.(conv|bn)\.", rf".\1.conv{i + 1}.\2.") for i in range(5)),
    (r"\.(branch_pool)\.conv\d\.", r".\1.conv."),
)
"""Numbered convolutions of a branch, in the names of the port of the weights."""
RULES = (
    *((rf"^features\.{i}\.", f"stem.conv{i + 1}.") for i in range(3)),
    *((rf"^features\.{i}\.", f"stem.mixed{i}a.") for i in (3, 4, 5)),
    *((rf"^features\.{i}\.", f"stage1.inception_a{i - 5}.") for i in range(6, 10)),
    (r"^features\.10\.", "stage2.reduction_a."),
    *((rf"^features\.{i}\.", f"stage2.inception_b{i - 10}.") for i in range(11, 18)),
    (r"^features\.18\.", "stage3.reduction_b."),
    *((rf"^features\.{i}\.", f"stage3.inception_c{i - 18}.") for i in range(19, 22)),
    # Figure 6, whose steps have a letter where they are side by side
    (r"\.branch([12])_(\d)([ab])\.", r".branch\1.\2.\3."),
    (r"\.branch([12])_(\d)\.", r".branch\1.\2."),
    *((rf"\.branch([12])\.{i}\.([ab])\.", rf".branch\1.conv{i + 1}.\2.") for i in (1, 3)),
    # branches have a number there and their kernel here: from the last to the first, as 1 becomes 3
    (r"\.branch3\.", ".branch_pool."),
    (r"(stem\.mixed4a|reduction_b)\.branch1\.", r"\1.branch7."),
    (r"(stem\.mixed4a|reduction_[ab])\.branch0\.", r"\1.branch3."),
    (r"reduction_a\.branch1\.", "reduction_a.branch3_double."),
    (r"(inception_b\d)\.branch2\.", r"\1.branch7_double."),
    (r"(inception_b\d)\.branch1\.", r"\1.branch7."),
    (r"\.branch2\.", ".branch3_double."),
    (r"\.branch1\.", ".branch3."),
    (r"\.branch0\.", ".branch1."),
    *CONVS,
    (r"^last_linear\.", "head.logits."),
)


@register(
    paper="arXiv:1602.07261",
    title="Inception-v4, Inception-ResNet and the impact of residual connections on learning",
    authors="Szegedy et al.",
    year=2016,
    input=(3, 299, 299),
    params=42_679_816,
    macs=12_253_974_624,
    top1=80.0,
    top5=95.0,
    published="Szegedy et al. 2016, Table 2, without blacklisted images",
    decks=("000",),
    peers={"timm": Peer("inception_v4", RULES, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))},
)
def inception_v4(classes: int = 1000, *, c_in: int = 3, size: int = 299, dropout: float = 0.2) -> Classifier:
    chained(size, WINDOWS)
    return _inception_v4(classes, c_in=c_in, dropout=dropout)

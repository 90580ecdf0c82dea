"""MnasNet: Tan et al. 2018, arXiv:1807.11626. A1: Figure 7(a), blocks: Figure 7(b) to (d).

B1 has no squeeze-and-excitation; its rows are those of the authors' code.

Departures: the figure leaves out the 1x1 convolution to 1280 maps before the pooling; the printed parameters have it.
He normal initialisation and dropout of 0.2, as the paper names neither.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn

from fovea.layers import Classifier, SqueezeExcitation
from fovea.registry import Peer, register
from fovea.zoo.inception import dropout_head
from fovea.zoo.resnet import he_normal


class Design(NamedTuple):
    """What all blocks of a network have in common."""

    activation: Callable[[], nn.Module] = nn.ReLU
    squeeze: Callable[[], nn.Module] = nn.ReLU  # between the two matrices of squeeze-and-excitation
    gate: Callable[[], nn.Module] = nn.Sigmoid
    eps: float = 1e-5  # of batch norm


class Shape(NamedTuple):
    """What one block has of its own."""

    k: int  # kernel of the depthwise convolution
    s: int  # its stride
    hidden: int  # maps it sees
    squeezed: int = 0  # maps between the matrices of squeeze-and-excitation; 0: none


class MBConv(nn.Module):
    """1x1 expand, BN, act, depthwise, BN, act, gate, 1x1 project, BN; plus the input where shapes agree. Figure 7(b).

    What expands by one is left out. (N, c_in, H, W) -> (N, c_out, ceil(H / s), ceil(W / s))
    """

    def __init__(self, c_in: int, c_out: int, shape: Shape, *, design: Design, depth: nn.Module | None = None) -> None:
        super().__init__()
        k, s, hidden, squeezed = shape
        norm = partial(nn.BatchNorm2d, eps=design.eps)
        layers: dict[str, nn.Module] = {}
        if hidden != c_in:
            layers["expand"] = nn.Conv2d(c_in, hidden, 1, bias=False)
            layers |= {"bn1": norm(hidden), "act1": design.activation()}
        layers["depthwise"] = nn.Conv2d(hidden, hidden, k, stride=s, padding=k // 2, groups=hidden, bias=False)
        layers |= {"bn2": norm(hidden), "act2": design.activation()}
        if squeezed:
            layers["se"] = SqueezeExcitation(hidden, hidden=squeezed, activation=design.squeeze, gate=design.gate)
        layers |= {"project": nn.Conv2d(hidden, c_out, 1, bias=False), "bn3": norm(c_out)}
        self.adds = c_in == c_out and s == 1
        if self.adds and depth is not None:
            layers["depth"] = depth
        self.residual = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x), plus x where shapes agree."""
        return x + self.residual(x) if self.adds else cast(Tensor, self.residual(x))


class Stage(NamedTuple):
    t: int  # expansion factor of the hidden maps; 1: SepConv
    k: int  # kernel
    se: bool  # squeeze-and-excitation to a quarter of the block's input
    c: int  # output maps
    n: int  # repeats
    s: int  # stride of the first repeat; the others have stride 1


FIRST, LAST = 32, 1280  # maps of the convolutions before and after
FIGURE_7 = (
    #     t  k  se       c  n  s
    Stage(1, 3, False,  16, 1, 1),  # 112 x 112
    Stage(6, 3, False,  24, 2, 2),  #  56 x  56
    Stage(3, 5, True,   40, 3, 2),  #  28 x  28
    Stage(6, 3, False,  80, 4, 2),  #  14 x  14
    Stage(6, 3, True,  112, 2, 1),  #  14 x  14
    Stage(6, 5, True,  160, 3, 2),  #   7 x   7
    Stage(6, 3, False, 320, 1, 1),  #   7 x   7
)  # fmt: skip
B1 = (
    #     t  k  se       c  n  s
    Stage(1, 3, False,  16, 1, 1),  # 112 x 112
    Stage(3, 3, False,  24, 3, 2),  #  56 x  56
    Stage(3, 5, False,  40, 3, 2),  #  28 x  28
    Stage(6, 5, False,  80, 3, 2),  #  14 x  14
    Stage(6, 3, False,  96, 2, 1),  #  14 x  14
    Stage(6, 5, False, 192, 4, 2),  #   7 x   7
    Stage(6, 3, False, 320, 1, 1),  #   7 x   7
)  # fmt: skip


def conv_bn_act(c_in: int, c_out: int, kernel: int, *, stride: int = 1, design: Design) -> nn.Sequential:
    """Convolution, BN, activation: (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    layers = {
        "conv": nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False),
        "bn": nn.BatchNorm2d(c_out, eps=design.eps),
        "act": design.activation(),
    }
    return nn.Sequential(OrderedDict(layers))


def _mnasnet(rows: Sequence[Stage], *, classes: int, c_in: int) -> Classifier:
    design, c, stages = Design(), FIRST, []
    stem = conv_bn_act(c_in, c, 3, stride=2, design=design)
    for row in rows:
        blocks: dict[str, nn.Module] = {}
        for i in range(1, row.n + 1):
            shape = Shape(row.k, row.s if i == 1 else 1, c * row.t, c // 4 if row.se else 0)
            blocks[f"block{i}"] = MBConv(c, row.c, shape, design=design)
            c = row.c
        stages.append(nn.Sequential(OrderedDict(blocks)))
    stages.append(conv_bn_act(c, LAST, 1, design=design))
    return he_normal(Classifier(stem=stem, stages=stages, head=dropout_head(LAST, classes, dropout=0.2)))


END = (r"^classifier\.(\d\.)?", "head.logits.")
SE = (
    (r"\.se\.(fc1|conv_reduce)\.", ".se.excitation.reduce."),
    (r"\.se\.(fc2|conv_expand)\.", ".se.excitation.expand."),
)


def timm_rules(stages: int, blocks: int) -> tuple[tuple[str, str], ...]:
    """Return timm's names as ours, for so many stages of at most so many blocks, and a convolution after them."""
    return (
        (r"^conv_stem\.", "stem.conv."),
        (r"^bn1\.", "stem.bn."),
        (r"^conv_head\.", f"stage{stages + 1}.conv."),
        (r"^bn2\.", f"stage{stages + 1}.bn."),
        *((rf"^blocks\.{i}\.", f"stage{i + 1}.") for i in range(stages)),
        *((rf"^(stage\d)\.{j}\.", rf"\1.block{j + 1}.residual.") for j in range(blocks)),
        (r"^stage1\.(.*)\.conv_pw\.", r"stage1.\1.project."),
        (r"^stage1\.(.*)\.bn2\.", r"stage1.\1.bn3."),
        (r"^stage1\.(.*)\.bn1\.", r"stage1.\1.bn2."),
        (r"\.conv_pw\.", ".expand."),
        (r"\.conv_dw\.", ".depthwise."),
        (r"\.conv_pwl\.", ".project."),
        *SE,
        END,
    )


TORCHVISION = (
    *((rf"^layers\.{i + 6}\.{j}\.layers\.", f"stage{i}.block{j + 1}.residual.") for i in range(2, 8) for j in range(4)),
    (r"residual\.0\.", "residual.expand."),
    (r"residual\.1\.", "residual.bn1."),
    (r"residual\.3\.", "residual.depthwise."),
    (r"residual\.4\.", "residual.bn2."),
    (r"residual\.6\.", "residual.project."),
    (r"residual\.7\.", "residual.bn3."),
    (r"^layers\.0\.", "stem.conv."),
    (r"^layers\.1\.", "stem.bn."),
    (r"^layers\.3\.", "stage1.block1.residual.depthwise."),
    (r"^layers\.4\.", "stage1.block1.residual.bn2."),
    (r"^layers\.6\.", "stage1.block1.residual.project."),
    (r"^layers\.7\.", "stage1.block1.residual.bn3."),
    (r"^layers\.14\.", "stage8.conv."),
    (r"^layers\.15\.", "stage8.bn."),
    END,
)
"""torchvision's names as ours: its stem and first block have their layers in one chain."""

_register = partial(
    register,
    paper="arXiv:1807.11626",
    title="MnasNet: platform-aware neural architecture search for mobile",
    authors="Tan et al.",
    year=2018,
    input=(3, 224, 224),
)
RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights"
APACHE = "Apache-2.0 (timm)"


@_register(
    params=3_887_038,
    macs=311_579_072,
    top1=75.2,
    top5=92.5,
    published="Table 1",
    peers={
        "timm": Peer("semnasnet_100", timm_rules(7, 4), weights=f"{RELEASES}/mnasnet_a1-d9418771.pth", licence=APACHE)
    },
)
def mnasnet_a1(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mnasnet(FIGURE_7, classes=classes, c_in=c_in)


@_register(
    params=4_383_312,
    macs=314_415_872,
    top1=73.456,
    top5=91.510,
    published="torchvision 0.28, IMAGENET1K_V1 (authors' code: 74.5)",
    decks=("002",),
    peers={
        "torchvision": Peer(
            "mnasnet1_0",
            TORCHVISION,
            weights="https://download.pytorch.org/models/mnasnet1.0_top1_73.512-f206786ef8.pth",
            licence="BSD-3-Clause (torchvision)",
        ),
        "timm": Peer("mnasnet_100", timm_rules(7, 4), weights=f"{RELEASES}/mnasnet_b1-74cb7081.pth", licence=APACHE),
    },
)
def mnasnet_b1(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _mnasnet(B1, classes=classes, c_in=c_in)

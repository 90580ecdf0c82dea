"""EfficientNetV2-S: Tan and Le 2021, arXiv:2104.00298. Blocks: Figure 2. Stages: Table 4.

Fused-MBConv, the early stages' block, has one full 3x3 convolution where MBConv has a 1x1 and a depthwise 3x3.

Departures: He normal initialisation, as in the published network; the paper names none. Squeeze-and-excitation has a
quarter of a block's input channels inside, and the card's input is the 384 pixels of evaluation (training: up to 300).
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, cast

from torch import Tensor, nn

from fovea.layers import Classifier, SqueezeExcitation, StochasticDepth, stochastic_depths
from fovea.registry import Peer, register
from fovea.zoo.resnet import he_normal

EPS = 1e-3
"""What batch norm adds to the variance, as in the authors' code."""


class Stage(NamedTuple):
    operator: str  # `fused`: Fused-MBConv; `mb`: MBConv with squeeze-and-excitation
    t: int  # expansion factor of the hidden channels
    s: int  # stride of the first block; the others have stride 1
    c: int  # output channels
    n: int  # blocks


FIRST, LAST = 24, 1280  # channels of the convolutions before and after; 192 x 192 and 12 x 12
TABLE_4 = (
    #     operator  t  s    c   n
    Stage("fused",  1, 1,  24,  2),  # 192 x 192
    Stage("fused",  4, 2,  48,  4),  #  96 x  96
    Stage("fused",  4, 2,  64,  4),  #  48 x  48
    Stage("mb",     4, 2, 128,  6),  #  24 x  24
    Stage("mb",     6, 1, 160,  9),  #  24 x  24
    Stage("mb",     6, 2, 256, 15),  #  12 x  12
)  # fmt: skip


def _conv(name: str, c_in: int, c_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> dict[str, nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return {name: conv, f"{name}_bn": nn.BatchNorm2d(c_out, eps=EPS)}


def mbconv(c_in: int, row: Stage, *, stride: int) -> nn.Sequential:
    """1x1 expand, BN, SiLU, 3x3 depthwise, BN, SiLU, squeeze-and-excitation, 1x1 project, BN.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))
    """
    hidden = c_in * row.t
    layers = _conv("expand", c_in, hidden, 1) | {"expand_silu": nn.SiLU()}
    layers |= _conv("depthwise", hidden, hidden, 3, stride=stride, groups=hidden) | {"depthwise_silu": nn.SiLU()}
    layers["se"] = SqueezeExcitation(hidden, hidden=c_in // 4, activation=nn.SiLU)
    return nn.Sequential(OrderedDict(layers | _conv("project", hidden, row.c, 1)))


def fused_mbconv(c_in: int, row: Stage, *, stride: int) -> nn.Sequential:
    """3x3 expand, BN, SiLU, 1x1 project, BN; at expansion 1 the 3x3 alone.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))
    """
    if row.t == 1:
        return nn.Sequential(OrderedDict(_conv("fused", c_in, row.c, 3, stride=stride) | {"fused_silu": nn.SiLU()}))
    hidden = c_in * row.t
    layers = _conv("fused", c_in, hidden, 3, stride=stride) | {"fused_silu": nn.SiLU()}
    return nn.Sequential(OrderedDict(layers | _conv("project", hidden, row.c, 1)))


OPERATORS = {"fused": fused_mbconv, "mb": mbconv}


class Block(nn.Module):
    """F(x), plus x where shapes agree: (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""

    def __init__(self, c_in: int, row: Stage, *, stride: int, stochastic_depth: StochasticDepth) -> None:
        super().__init__()
        self.residual = OPERATORS[row.operator](c_in, row, stride=stride)
        self.stochastic_depth = stochastic_depth
        self.adds = c_in == row.c and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x), plus x where shapes agree."""
        y = cast(Tensor, self.residual(x))
        return x + cast(Tensor, self.stochastic_depth(y)) if self.adds else y


def _conv_bn_silu(c_in: int, c_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution, BN, SiLU: (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c_out, eps=EPS), "silu": nn.SiLU()}))


def _stage(c_in: int, row: Stage, depths: Iterator[StochasticDepth]) -> nn.Sequential:
    blocks = {}
    for i in range(1, row.n + 1):
        blocks[f"block{i}"] = Block(c_in, row, stride=row.s if i == 1 else 1, stochastic_depth=next(depths))
        c_in = row.c
    return nn.Sequential(OrderedDict(blocks))


def _head(c_in: int, classes: int, *, dropout: float) -> nn.Sequential:
    """Global average pooling, dropout, logits: (N, c_in, H, W) -> (N, classes)."""
    layers = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
        "logits": nn.Linear(c_in, classes),
    }
    return nn.Sequential(OrderedDict(layers))


COUNTS = tuple((i, j) for i, row in enumerate(TABLE_4, start=1) for j in range(1, row.n + 1))


def _layers(prefix: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the rules for convolutions, each followed by its batch norm, at places 0, 1, ..."""
    return tuple(
        rule
        for i, name in enumerate(names)
        for rule in (
            (rf"^({prefix}\.block\d+)\.block\.{i}\.0\.", rf"\1.residual.{name}."),
            (rf"^({prefix}\.block\d+)\.block\.{i}\.1\.", rf"\1.residual.{name}_bn."),
        )
    )


TORCHVISION = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.bn."),
    (r"^features\.7\.0\.", "stage7.conv."),
    (r"^features\.7\.1\.", "stage7.bn."),
    *((rf"^features\.{i}\.{j - 1}\.", f"stage{i}.block{j}.") for i, j in COUNTS),
    (r"\.block\.2\.fc1\.", ".residual.se.excitation.reduce."),
    (r"\.block\.2\.fc2\.", ".residual.se.excitation.expand."),
    *_layers("stage[123]", ("fused", "project")),
    *_layers("stage[456]", ("expand", "depthwise", "", "project")),
    (r"^classifier\.1\.", "head.logits."),
)
"""torchvision's names as ours."""
WEIGHTS = "https://download.pytorch.org/models/efficientnet_v2_s-dd5fe13b.pth"


@register(
    paper="arXiv:2104.00298",
    title="EfficientNetV2: smaller models and faster training",
    authors="Tan, Le",
    year=2021,
    input=(3, 384, 384),
    params=21_458_488,
    macs=8_365_617_152,
    top1=84.228,
    top5=96.878,
    published="torchvision 0.28, IMAGENET1K_V1 (paper, Table 7: 83.9)",
    peers={
        "torchvision": Peer("efficientnet_v2_s", TORCHVISION, weights=WEIGHTS, licence="BSD-3-Clause (torchvision)")
    },
)
def efficientnet_v2_s(
    classes: int = 1000, *, c_in: int = 3, dropout: float = 0.2, stochastic_depth: float = 0.2
) -> Classifier:
    depths = stochastic_depths(stochastic_depth, sum(row.n for row in TABLE_4))
    stages, c = [], FIRST
    for row in TABLE_4:
        stages.append(_stage(c, row, depths))
        c = row.c
    stages.append(_conv_bn_silu(c, LAST, 1))
    stem = _conv_bn_silu(c_in, FIRST, 3, stride=2)
    return he_normal(Classifier(stem=stem, stages=stages, head=_head(LAST, classes, dropout=dropout)))

"""ConvNeXt: Liu, Mao, Wu, Feichtenhofer, Darrell and Xie 2022, arXiv:2201.03545. Block: Figure 4. Stages: Table 9.

Channels and blocks of the four sizes: section 3. Layer scale and stochastic depth: Table 5.

Departures: the dense layers of a block are 1x1 convolutions, which compute the same.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from fovea.layers import Classifier, StochasticDepth, stochastic_depths
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.wiring import LayerNorm

EPS = 1e-6
"""What layer norm adds to the variance, as in the authors' code."""


class ChannelNorm(LayerNorm):
    """Layer norm over the channels of each pixel: (N, c, H, W) -> (N, c, H, W)."""

    axis = 1

    def __init__(self, c: int) -> None:
        super().__init__(c, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with mean 0 and variance 1 at each pixel, scaled and shifted by channel."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """7x7 depthwise, LN, 1x1 to four times the channels, GELU, 1x1 back, scaled by channel; plus the input.

    (N, c, H, W) -> (N, c, H, W)
    """

    def __init__(self, c: int, stochastic_depth: StochasticDepth) -> None:
        super().__init__()
        layers = {
            "depthwise": nn.Conv2d(c, c, 7, padding=3, groups=c),
            "norm": ChannelNorm(c),
            "expand": nn.Conv2d(c, 4 * c, 1),
            "gelu": nn.GELU(),
            "project": nn.Conv2d(4 * c, c, 1),
        }
        self.residual = nn.Sequential(OrderedDict(layers))
        self.scale = nn.Parameter(torch.full((c, 1, 1), 1e-6))
        self.stochastic_depth = stochastic_depth

    def forward(self, x: Tensor) -> Tensor:
        """Return x + scale F(x)."""
        return x + cast(Tensor, self.stochastic_depth(self.scale * self.residual(x)))


class Size(NamedTuple):
    C: tuple[int, int, int, int]  # channels of the stages: 56 x 56, 28 x 28, 14 x 14, 7 x 7
    B: tuple[int, int, int, int]  # their blocks
    stochastic_depth: float  # rate of the last block


SECTION_3 = {
    #               C                       B             stochastic depth
    "T": Size(( 96, 192,  384,  768), (3, 3,  9, 3), 0.1),
    "S": Size(( 96, 192,  384,  768), (3, 3, 27, 3), 0.4),
    "B": Size((128, 256,  512, 1024), (3, 3, 27, 3), 0.5),
    "L": Size((192, 384,  768, 1536), (3, 3, 27, 3), 0.5),
}  # fmt: skip


def _stage(c_in: int, c: int, n: int, depths: Iterator[StochasticDepth]) -> nn.Sequential:
    """LN and 2x2/2 where the channels change, then `n` blocks: (N, c_in, H, W) -> (N, c, H / 2, W / 2)."""
    layers: dict[str, nn.Module] = {}
    if c_in != c:
        halved = {"norm": ChannelNorm(c_in), "conv": nn.Conv2d(c_in, c, 2, stride=2)}
        layers["downsample"] = nn.Sequential(OrderedDict(halved))
    layers |= {f"block{i}": Block(c, next(depths)) for i in range(1, n + 1)}
    return nn.Sequential(OrderedDict(layers))


def _head(c_in: int, classes: int) -> nn.Sequential:
    """Global average pooling, LN, logits: (N, c_in, H, W) -> (N, classes)."""
    layers = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "norm": LayerNorm(c_in, eps=EPS),
        "logits": nn.Linear(c_in, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def small_normal(model: Classifier) -> Classifier:
    """Draw weights from N(0, 0.02^2); biases are zero. The authors' code cuts at 2, a hundred deviations: nothing."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(cast(Tensor, module.bias))
    return model


def _convnext(row: Size, classes: int, *, c_in: int, size: int, stochastic_depth: float) -> Classifier:
    halving = [Window(f"stage{i}.downsample.conv", 2, stride=2) for i in (2, 3, 4)]
    chained(size, [Window("stem.conv", 4, stride=4), *halving])
    depths = stochastic_depths(stochastic_depth, sum(row.B))
    stem = {"conv": nn.Conv2d(c_in, row.C[0], 4, stride=4), "norm": ChannelNorm(row.C[0])}
    inputs = (row.C[0], *row.C)
    stages = [_stage(a, b, n, depths) for a, b, n in zip(inputs, row.C, row.B, strict=False)]
    head = _head(row.C[-1], classes)
    return small_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=head))


STAGES = (1, 2, 3, 4)
NUMBERED = tuple((rf"^(stage\d)\.blocks\.{i}\.", rf"\1.block{i + 1}.") for i in range(27))
TORCHVISION = (
    (r"^features\.0\.0\.", "stem.conv."),
    (r"^features\.0\.1\.", "stem.norm."),
    *((rf"^features\.{2 * i - 2}\.0\.", f"stage{i}.downsample.norm.") for i in STAGES[1:]),
    *((rf"^features\.{2 * i - 2}\.1\.", f"stage{i}.downsample.conv.") for i in STAGES[1:]),
    *((rf"^features\.{2 * i - 1}\.", f"stage{i}.blocks.") for i in STAGES),
    *NUMBERED,
    (r"\.block\.0\.", ".residual.depthwise."),
    (r"\.block\.2\.", ".residual.norm."),
    (r"\.block\.3\.", ".residual.expand."),
    (r"\.block\.5\.", ".residual.project."),
    (r"\.layer_scale$", ".scale"),
    (r"^classifier\.0\.", "head.norm."),
    (r"^classifier\.2\.", "head.logits."),
)
"""torchvision's names as ours; its modules at even places halve the map."""
TIMM = (
    (r"^stem\.0\.", "stem.conv."),
    (r"^stem\.1\.", "stem.norm."),
    *((rf"^stages\.{i - 1}\.", f"stage{i}.") for i in STAGES),
    (r"\.downsample\.0\.", ".downsample.norm."),
    (r"\.downsample\.1\.", ".downsample.conv."),
    *NUMBERED,
    (r"(block\d+)\.conv_dw\.", r"\1.residual.depthwise."),
    (r"(block\d+)\.norm\.", r"\1.residual.norm."),
    (r"\.mlp\.fc1\.", ".residual.expand."),
    (r"\.mlp\.fc2\.", ".residual.project."),
    (r"\.gamma$", ".scale"),
    (r"^head\.fc\.", "head.logits."),
)
"""timm's names as ours."""


def _peers(name: str, digest: str) -> dict[str, Peer]:
    weights = f"https://download.pytorch.org/models/{name}-{digest}.pth"
    torchvision = Peer(name, TORCHVISION, weights=weights, licence="BSD-3-Clause (torchvision)")
    return {"torchvision": torchvision, "timm": Peer(name, TIMM)}


_register = partial(
    register,
    paper="arXiv:2201.03545",
    title="A ConvNet for the 2020s",
    authors="Liu et al.",
    year=2022,
    input=(3, 224, 224),
)


def _published(paper: float) -> str:
    return f"torchvision 0.28, IMAGENET1K_V1 (paper, Table 1: {paper})"


@_register(
    params=28_589_128,
    macs=4_455_531_264,
    top1=82.52,
    top5=96.146,
    published=_published(82.1),
    peers=_peers("convnext_tiny", "983f1562"),
)
def convnext_tiny(
    classes: int = 1000, *, c_in: int = 3, size: int = 224, stochastic_depth: float = SECTION_3["T"].stochastic_depth
) -> Classifier:
    return _convnext(SECTION_3["T"], classes, c_in=c_in, size=size, stochastic_depth=stochastic_depth)


@_register(
    params=50_223_688,
    macs=8_683_712_256,
    top1=83.616,
    top5=96.65,
    published=_published(83.1),
    peers=_peers("convnext_small", "0c510722"),
)
def convnext_small(
    classes: int = 1000, *, c_in: int = 3, size: int = 224, stochastic_depth: float = SECTION_3["S"].stochastic_depth
) -> Classifier:
    return _convnext(SECTION_3["S"], classes, c_in=c_in, size=size, stochastic_depth=stochastic_depth)


@_register(
    params=88_591_464,
    macs=15_354_729_472,
    top1=84.062,
    top5=96.87,
    published=_published(83.8),
    peers=_peers("convnext_base", "6075fbad"),
)
def convnext_base(
    classes: int = 1000, *, c_in: int = 3, size: int = 224, stochastic_depth: float = SECTION_3["B"].stochastic_depth
) -> Classifier:
    return _convnext(SECTION_3["B"], classes, c_in=c_in, size=size, stochastic_depth=stochastic_depth)


@_register(
    params=197_767_336,
    macs=34_361_433_600,
    top1=84.414,
    top5=96.976,
    published=_published(84.3),
    peers=_peers("convnext_large", "ea097f82"),
)
def convnext_large(
    classes: int = 1000, *, c_in: int = 3, size: int = 224, stochastic_depth: float = SECTION_3["L"].stochastic_depth
) -> Classifier:
    return _convnext(SECTION_3["L"], classes, c_in=c_in, size=size, stochastic_depth=stochastic_depth)

"""Inception-ResNet: Szegedy, Ioffe, Vanhoucke and Alemi 2016, arXiv:1602.07261. Figures 7 and 10 to 20, Table 1.

Departures: `inception_resnet_v2` is the authors' published network where that is not the paper's: the stem of
Inception-v3 and a module of four branches; 10, 20 and 10 blocks for 5, 10 and 5, on 320, 1088 and 2080 maps for 384,
1154 and 2048, the last block neither scaled nor activated; 1x1 to 1536 maps before the pooling. The paper says of the
scales that they lie between 0.1 and 0.3; both networks have those of the published one. Zeros around a map do not count
in average pooling. He normal initialisation. Images for its weights are normalised before the network, not in it.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.inception import Branches, Kernel, average_and_project, chain, conv_bn_relu, dropout_head, he_normal
from fovea.zoo.inception_v3 import stem
from fovea.zoo.inception_v4 import CONVS, TABLE_1, ReductionA, reduction_a

Chains = tuple[tuple[tuple[int, Kernel], ...], ...]
"""The branches of a figure, each its convolutions as (channels, kernel)."""

FIGURE_10 = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (32, 3), (32, 3)))
FIGURE_11 = (((128, 1),), ((128, 1), (128, (1, 7)), (128, (7, 1))))
FIGURE_12 = (((256, 1), (384, 3)), ((256, 1), (256, 3)), ((256, 1), (256, 3), (256, 3)))
FIGURE_13 = (((192, 1),), ((192, 1), (192, (1, 3)), (192, (3, 1))))
FIGURE_16 = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
FIGURE_17 = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
FIGURE_18 = (((256, 1), (384, 3)), ((256, 1), (288, 3)), ((256, 1), (288, 3), (320, 3)))
FIGURE_19 = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))


class InceptionResidual(nn.Module):
    """Figure 20: branches, 1x1 without batch norm; scaled, plus the input; ReLU.

    (N, c, H, W) -> (N, c, H, W)
    """

    def __init__(self, c: int, chains: Chains, *, scale: float, relu: bool = True) -> None:
        super().__init__()
        width = sum(rows[-1][0] for rows in chains)
        self.branches = Branches(**{f"branch{i}": chain(c, *rows) for i, rows in enumerate(chains, start=1)})
        self.expand = nn.Conv2d(width, c, 1)
        self.scale = scale
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(x + scale F(x))."""
        return cast(Tensor, self.relu(x + self.scale * self.expand(self.branches(x))))


def _reduction_b(c_in: int, chains: Chains) -> Branches:
    """Figures 12 and 18: half the size, by chains whose last convolution has stride 2, and pooling.

    (N, c_in, H, W) -> (N, c_in + their channels, floor((H - 1) / 2), floor((W - 1) / 2))
    """
    branches = {f"branch{i}": chain(c_in, *rows, stride=2, valid=True) for i, rows in enumerate(chains, start=1)}
    return Branches(**branches, branch_pool=nn.MaxPool2d(3, stride=2))


def _stem_v1(c_in: int) -> nn.Sequential:
    """Figure 14: Inception-v3's, its last pooling a 3x3 at stride 2; (N, c_in, 299, 299) -> (N, 256, 35, 35)."""
    layers = dict(stem(c_in).named_children())
    del layers["pool2"]
    return nn.Sequential(OrderedDict({**layers, "conv6": conv_bn_relu(192, 256, 3, stride=2)}))


def _stem_v2(c_in: int) -> nn.Sequential:
    """Inception-v3's, then 1x1, 5x5, two 3x3 and pooling side by side; (N, c_in, 299, 299) -> (N, 320, 35, 35)."""
    layers = stem(c_in)
    mixed = Branches(
        branch1=conv_bn_relu(192, 96, 1),
        branch5=chain(192, (48, 1), (64, 5)),
        branch3_double=chain(192, (64, 1), (96, 3), (96, 3)),
        branch_pool=average_and_project(192, 64, count_padding=False),
    )
    layers.add_module("mixed5b", mixed)
    return layers


class Blocks(NamedTuple):
    n: int  # repeats
    scale: float  # of the residuals
    chains: Chains


class Form(NamedTuple):
    """Figure 15, from below."""

    stem: Callable[[int], nn.Sequential]
    halving: str  # its layer that makes 35 x 35 of 71 x 71
    width: int  # its output channels
    a: Blocks  # 35 x 35
    reduction_a: ReductionA
    b: Blocks  # 17 x 17
    reduction_b: Chains
    c: Blocks  # 8 x 8
    last: int = 0  # channels of a 1x1 before the pooling, if any, behind a last block without scale and ReLU


V1 = Form(
    *(_stem_v1, "stem.conv6.conv", 256),
    a=Blocks(5, 0.17, FIGURE_10),
    reduction_a=TABLE_1["inception_resnet_v1"],
    b=Blocks(10, 0.10, FIGURE_11),
    reduction_b=FIGURE_12,
    c=Blocks(5, 0.20, FIGURE_13),
)
V2 = Form(
    *(_stem_v2, "stem.pool2", 320),
    a=Blocks(10, 0.17, FIGURE_16),
    reduction_a=TABLE_1["inception_resnet_v2"],
    b=Blocks(20, 0.10, FIGURE_17),
    reduction_b=FIGURE_18,
    c=Blocks(9, 0.20, FIGURE_19),
    last=1536,
)


def _check(form: Form, size: int) -> None:
    windows = [
        Window("stem.conv1.conv", 3, stride=2),
        Window("stem.conv2.conv", 3),
        Window("stem.pool1", 3, stride=2),
        Window("stem.conv5.conv", 3),
        Window(form.halving, 3, stride=2),
        Window("stage2.reduction_a.branch3.conv", 3, stride=2),
        Window("stage3.reduction_b.branch1.conv2.conv", 3, stride=2),
    ]
    chained(size, windows)


def _blocks(name: str, c: int, rows: Blocks) -> dict[str, nn.Module]:
    return {f"{name}{i}": InceptionResidual(c, rows.chains, scale=rows.scale) for i in range(1, rows.n + 1)}


def _inception_resnet(form: Form, classes: int, *, c_in: int, size: int, dropout: float) -> Classifier:
    _check(form, size)
    c = form.width
    stages = [_blocks("inception_a", c, form.a)]
    second: dict[str, nn.Module] = {"reduction_a": reduction_a(c, form.reduction_a)}
    c += form.reduction_a.m + form.reduction_a.n
    stages.append(second | _blocks("inception_b", c, form.b))
    third: dict[str, nn.Module] = {"reduction_b": _reduction_b(c, form.reduction_b)}
    c += sum(rows[-1][0] for rows in form.reduction_b)
    stages.append(third | _blocks("inception_c", c, form.c))
    if form.last:
        stages[-1][f"inception_c{form.c.n + 1}"] = InceptionResidual(c, form.c.chains, scale=1.0, relu=False)
        stages[-1]["conv"] = conv_bn_relu(c, form.last, 1)
        c = form.last
    body = [nn.Sequential(OrderedDict(layers)) for layers in stages]
    return he_normal(Classifier(stem=form.stem(c_in), stages=body, head=dropout_head(c, classes, dropout=dropout)))


RULES = (
    *((f"^conv2d_{there}\\.", f"stem.conv{i}.") for i, there in enumerate(("1a", "2a", "2b", "3b", "4a"), start=1)),
    (r"^mixed_5b\.", "stem.mixed5b."),
    (r"^mixed_6a\.", "stage2.reduction_a."),
    (r"^mixed_7a\.", "stage3.reduction_b."),
    (r"^block8\.", "repeat_2.9."),
    (r"^conv2d_7b\.", "stage3.conv."),
    *((rf"^repeat\.{i}\.", f"stage1.inception_a{i + 1}.") for i in range(10)),
    *((rf"^repeat_1\.{i}\.", f"stage2.inception_b{i + 1}.") for i in range(20)),
    *((rf"^repeat_2\.{i}\.", f"stage3.inception_c{i + 1}.") for i in range(10)),
    (r"\.conv2d\.", ".expand."),
    # branches count from 0 there: from the last to the first, as 1 becomes 2
    (r"mixed5b\.branch3\.", "mixed5b.branch_pool."),
    (r"mixed5b\.branch2\.", "mixed5b.branch3_double."),
    (r"mixed5b\.branch1\.", "mixed5b.branch5."),
    (r"mixed5b\.branch0\.", "mixed5b.branch1."),
    (r"reduction_a\.branch1\.", "reduction_a.branch3_double."),
    (r"reduction_a\.branch0\.", "reduction_a.branch3."),
    (r"(inception_[abc]\d+)\.branch0\.", r"\1.branch0.0."),
    *((rf"(reduction_b|inception_[abc]\d+)\.branch{i}\.", rf"\1.branch{i + 1}.") for i in (2, 1, 0)),
    (r"(inception_[abc]\d+)\.branch", r"\1.branches.branch"),
    *CONVS,
    (r"^classif\.", "head.logits."),
)

_register = partial(
    register,
    paper="arXiv:1602.07261",
    title="Inception-v4, Inception-ResNet and the impact of residual connections on learning",
    authors="Szegedy et al.",
    year=2016,
    input=(3, 299, 299),
    published="Szegedy et al. 2016, Table 2, without blacklisted images",
)


@_register(params=22_756_328, macs=6_206_361_696, top1=78.7, top5=94.5)
def inception_resnet_v1(classes: int = 1000, *, c_in: int = 3, size: int = 299, dropout: float = 0.2) -> Classifier:
    return _inception_resnet(V1, classes, c_in=c_in, size=size, dropout=dropout)


@_register(
    params=55_843_464,
    macs=13_155_794_016,
    top1=80.1,
    top5=95.1,
    decks=("000", "002"),
    peers={"timm": Peer("inception_resnet_v2", RULES, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))},
)
def inception_resnet_v2(classes: int = 1000, *, c_in: int = 3, size: int = 299, dropout: float = 0.2) -> Classifier:
    return _inception_resnet(V2, classes, c_in=c_in, size=size, dropout=dropout)

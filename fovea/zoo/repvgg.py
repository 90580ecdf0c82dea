"""RepVGG: Ding, Zhang, Ma, Han, Ding and Sun 2021, arXiv:2101.03697. Block: Figure 2. Stages: Table 2.

Trained with a 3x3, a 1x1 and, where shapes agree, an identity side by side, each with a batch norm; `fuse` makes the
three one 3x3 convolution with a bias that answers the same: Figure 4.

Departures: PyTorch's own initialisation, as in the authors' code; the paper names none.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.errors import UsageError
from fovea.layers import Classifier, copied
from fovea.registry import Peer, register
from fovea.zoo.resnet import head


def _branch(c_in: int, c_out: int, kernel: int, *, stride: int) -> nn.Sequential:
    """Convolution, BN: (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c_out)}))


class RepVGGBlock(nn.Module):
    """ReLU(BN(3x3) + BN(1x1) + BN(x)), the last where shapes agree.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int) -> None:
        super().__init__()
        self.branch3x3 = _branch(c_in, c_out, 3, stride=stride)
        self.branch1x1 = _branch(c_in, c_out, 1, stride=stride)
        self.identity = nn.BatchNorm2d(c_out) if c_in == c_out and stride == 1 else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU of the sum of the branches."""
        y = self.branch3x3(x) + self.branch1x1(x)
        return cast(Tensor, self.relu(y if self.identity is None else y + self.identity(x)))


def fused_block(c_in: int, c_out: int, *, stride: int) -> nn.Sequential:
    """3x3 with bias, ReLU: (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1)
    return nn.Sequential(OrderedDict({"conv": conv, "relu": nn.ReLU()}))


def _folded(kernel: Tensor, bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return kernel (c_out, c_in, 3, 3) and bias (c_out) of a convolution and the batch norm after it: equation 3."""
    mean, variance = cast(Tensor, bn.running_mean), cast(Tensor, bn.running_var)
    scale = bn.weight / (variance + bn.eps).sqrt()
    return kernel * scale[:, None, None, None], bn.bias - mean * scale


def _fused(block: RepVGGBlock) -> nn.Sequential:
    """Return the plain convolution that answers as the block does in evaluation: Figure 4."""
    convs = [cast(nn.Conv2d, block.branch3x3[0]), cast(nn.Conv2d, block.branch1x1[0])]
    full, c_out, c_in = convs[0].weight, convs[0].out_channels, convs[0].in_channels
    parts = [
        _folded(full, cast(nn.BatchNorm2d, block.branch3x3[1])),
        _folded(F.pad(convs[1].weight, (1, 1, 1, 1)), cast(nn.BatchNorm2d, block.branch1x1[1])),
    ]
    if block.identity is not None:
        parts.append(_folded(nn.init.dirac_(torch.empty_like(full)), block.identity))
    plain = fused_block(c_in, c_out, stride=convs[0].stride[0]).to(full)
    conv = cast(nn.Conv2d, plain[0])
    conv.weight.copy_(torch.stack([kernel for kernel, _ in parts]).sum(0))
    cast(Tensor, conv.bias).copy_(torch.stack([bias for _, bias in parts]).sum(0))
    return plain.train(block.training)


@torch.no_grad()
def fuse(model: nn.Module) -> nn.Module:
    """Return a copy whose RepVGG blocks are plain 3x3 convolutions: the same logits in evaluation, to rounding.

    Its tensors are those of the network built with `fused=True`.

    Raises:
        UsageError: `model` has no such blocks, as when it is fused already.
    """
    blocks = [path for path, module in model.named_modules() if isinstance(module, RepVGGBlock)]
    if not blocks:
        raise UsageError("`model` has no RepVGG blocks to fuse; it may be fused already.")
    plain = copied(model)
    for path in blocks:
        plain.set_submodule(path, _fused(cast(RepVGGBlock, plain.get_submodule(path))))
    return plain


class Stage(NamedTuple):
    n: int  # blocks, the first of which has stride 2
    c: int  # output channels before they are multiplied by a; in the last stage by b


FIRST = 64  # channels of stage 1 of the paper, our stem: no more than this, whatever a is
TABLE_2_A = (
    #      n    c
    Stage( 2,  64),  # 56 x 56
    Stage( 4, 128),  # 28 x 28
    Stage(14, 256),  # 14 x 14
    Stage( 1, 512),  #  7 x  7
)  # fmt: skip
A0 = (0.75, 2.5)  # multipliers a and b: Table 3


def _repvgg(rows: tuple[Stage, ...], a: float, b: float, *, classes: int, c_in: int, fused: bool) -> Classifier:
    block = fused_block if fused else RepVGGBlock
    c = min(FIRST, round(FIRST * a))
    stem, stages = block(c_in, c, stride=2), []
    for i, row in enumerate(rows, start=1):
        c_out = round(row.c * (b if i == len(rows) else a))
        blocks: dict[str, nn.Module] = {"block1": block(c, c_out, stride=2)}
        blocks |= {f"block{j}": block(c_out, c_out, stride=1) for j in range(2, row.n + 1)}
        stages.append(nn.Sequential(OrderedDict(blocks)))
        c = c_out
    return Classifier(stem=stem, stages=stages, head=head(c, classes))


TIMM = (
    *((rf"^stages\.(\d)\.{i}\.", rf"stages.\1.block{i + 1}.") for i in range(14)),
    *((rf"^stages\.{i}\.", f"stage{i + 1}.") for i in range(4)),
    (r"\.conv_kxk\.", ".branch3x3."),
    (r"\.conv_1x1\.", ".branch1x1."),
    (r"\.reparam_conv\.", ".conv."),
    (r"^head\.fc\.", "head.logits."),
)
"""timm's names as ours, in both forms."""
_register = partial(
    register,
    paper="arXiv:2101.03697",
    title="RepVGG: making VGG-style ConvNets great again",
    authors="Ding et al.",
    year=2021,
    input=(3, 224, 224),
)


@_register(
    params=9_108_968,
    macs=1_512_581_120,
    top1=72.41,
    published="Table 4",
    peers={"timm": Peer("repvgg_a0", TIMM)},
)
def repvgg_a0(classes: int = 1000, *, c_in: int = 3, fused: bool = False) -> Classifier:
    return _repvgg(TABLE_2_A, *A0, classes=classes, c_in=c_in, fused=fused)

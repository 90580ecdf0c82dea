"""ResNet on ImageNet: He, Zhang, Ren and Sun 2015, arXiv:1512.03385. Blocks: Figure 5. Stages: Table 1.

The plain networks are the same without shortcuts: Figure 3, middle. Shortcuts A, B and C: section 4.1.

Departures: a bottleneck has its stride in the 3x3 convolution, as all published weights do; `stride_in="1x1"` is the
paper's. He normal initialisation counts the fan-out (both are in the cited paper), and the logits keep PyTorch's.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.layers import Classifier, Convolution, PaddedChannels
from fovea.registry import Peer, register


class Stage(NamedTuple):
    width: int  # channels inside a block
    c: int  # output channels
    n: int  # blocks
    s: int  # stride of the first; the others have stride 1


TABLE_1 = {
    # layers    conv2_x: 56 x 56      conv3_x: 28 x 28       conv4_x: 14 x 14         conv5_x: 7 x 7
    18: (Stage(64,  64, 2, 1), Stage(128, 128, 2, 2), Stage(256,  256,  2, 2), Stage(512,  512, 2, 2)),
    34: (Stage(64,  64, 3, 1), Stage(128, 128, 4, 2), Stage(256,  256,  6, 2), Stage(512,  512, 3, 2)),
    50: (Stage(64, 256, 3, 1), Stage(128, 512, 4, 2), Stage(256, 1024,  6, 2), Stage(512, 2048, 3, 2)),
   101: (Stage(64, 256, 3, 1), Stage(128, 512, 4, 2), Stage(256, 1024, 23, 2), Stage(512, 2048, 3, 2)),
   152: (Stage(64, 256, 3, 1), Stage(128, 512, 8, 2), Stage(256, 1024, 36, 2), Stage(512, 2048, 3, 2)),
}  # fmt: skip


Chain = Callable[..., nn.Sequential]
"""F(x) of a block: (c_in, stage, stride=...) -> layers from c_in to stage.c channels."""
Block = Callable[..., nn.Module]
"""A block: likewise, with its shortcut."""


def basic(c_in: int, stage: Stage, *, stride: int) -> nn.Sequential:
    """Figure 5, left: 3x3, BN, ReLU, 3x3, BN; (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""
    layers = {
        "conv1": nn.Conv2d(c_in, stage.width, 3, stride=stride, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(stage.width),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(stage.width, stage.c, 3, padding=1, bias=False),
        "bn2": nn.BatchNorm2d(stage.c),
    }
    return nn.Sequential(OrderedDict(layers))


def bottleneck(c_in: int, stage: Stage, *, stride: int, stride_in: str = "3x3") -> nn.Sequential:
    """Figure 5, right: 1x1, BN, ReLU, 3x3, BN, ReLU, 1x1, BN.

    (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))

    Raises:
        UsageError: `stride_in` is neither "1x1" (the first one) nor "3x3".
    """
    if stride_in not in ("1x1", "3x3"):
        raise UsageError(f"`stride_in` (={stride_in!r}) must be '1x1' (as in the paper) or '3x3' (published weights).")
    first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
    layers = {
        "conv1": nn.Conv2d(c_in, stage.width, 1, stride=first, bias=False),
        "bn1": nn.BatchNorm2d(stage.width),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(stage.width, stage.width, 3, stride=second, padding=1, bias=False),
        "bn2": nn.BatchNorm2d(stage.width),
        "relu2": nn.ReLU(),
        "conv3": nn.Conv2d(stage.width, stage.c, 1, bias=False),
        "bn3": nn.BatchNorm2d(stage.c),
    }
    return nn.Sequential(OrderedDict(layers))


def plain(c_in: int, stage: Stage, *, stride: int) -> nn.Sequential:
    """`basic`, then ReLU: no shortcut; (N, c_in, H, W) -> (N, c, ceil(H / stride), ceil(W / stride))."""
    layers = basic(c_in, stage, stride=stride)
    layers.add_module("relu2", nn.ReLU())
    return layers


class PaddedIdentity(PaddedChannels):
    """Shortcut A: every `stride`-th pixel, and zeros in the new channels; no parameters.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int) -> None:
        # The paper does not say where the new channels go; half before and half after, as in published weights.
        before = (c_out - c_in) // 2
        super().__init__(before, c_out - c_in - before)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the shortcut of `x`."""
        return super().forward(x[:, :, :: self.stride, :: self.stride])


def projection(c_in: int, c_out: int, *, stride: int, kernel: int = 1) -> nn.Sequential:
    """Convolution, BN; (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c_out)}))


def shortcut_of(option: str, c_in: int, c_out: int, *, stride: int) -> nn.Module:
    """Return the shortcut of option A (zeros), B (projection where shapes change) or C (projection everywhere).

    Raises:
        UsageError: an unknown `option`.
    """
    if option not in ("A", "B", "C"):
        raise UsageError(f"`shortcut` (={option!r}) must be 'A', 'B' or 'C', the options of the paper.")
    agree = c_in == c_out and stride == 1
    if option == "C" or (option == "B" and not agree):
        return projection(c_in, c_out, stride=stride)
    return nn.Identity() if agree else PaddedIdentity(c_in, c_out, stride=stride)


class Residual(nn.Module):
    """ReLU(F(x) + shortcut(x)), equations 1 and 2; the shapes are those of F, `residual`."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(F(x) + shortcut(x))."""
        return cast(Tensor, self.relu(self.residual(x) + self.shortcut(x)))


def residual(chain: Chain, option: str = "B") -> Block:
    """Return what makes blocks of F = `chain` and the shortcut of `option`."""

    def block(c_in: int, stage: Stage, *, stride: int) -> Residual:
        return Residual(chain(c_in, stage, stride=stride), shortcut_of(option, c_in, stage.c, stride=stride))

    return block


def stages(c_in: int, rows: Sequence[Stage], block: Block) -> list[nn.Sequential]:
    """Return for each row of the table `block1`..`blockN`, one after the other."""
    made = []
    for row in rows:
        blocks = {}
        for i in range(1, row.n + 1):
            blocks[f"block{i}"] = block(c_in, row, stride=row.s if i == 1 else 1)
            c_in = row.c
        made.append(nn.Sequential(OrderedDict(blocks)))
    return made


def head(c_in: int, classes: int) -> nn.Sequential:
    """Global average pooling, logits: (N, c_in, H, W) -> (N, classes)."""
    layers = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "logits": nn.Linear(c_in, classes)}
    return nn.Sequential(OrderedDict(layers))


def he_normal(model: Classifier) -> Classifier:
    """Draw convolutions from N(0, 2 / fan-out) (He et al. 2015, arXiv:1502.01852, equation 14)."""
    for module in model.modules():
        if isinstance(module, Convolution):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def imagenet_resnet(rows: Sequence[Stage], block: Block, *, classes: int, c_in: int) -> Classifier:
    """Return Table 1 with these rows: (N, c_in, H, W) -> (N, classes); any size."""
    stem = {
        "conv": nn.Conv2d(c_in, 64, 7, stride=2, padding=3, bias=False),
        "bn": nn.BatchNorm2d(64),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    body = stages(64, rows, block)
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=body, head=head(rows[-1].c, classes)))


def _bottlenecks(layers: int, shortcut: str, stride_in: str, *, classes: int, c_in: int) -> Classifier:
    block = residual(partial(bottleneck, stride_in=stride_in), shortcut)
    return imagenet_resnet(TABLE_1[layers], block, classes=classes, c_in=c_in)


def rules(blocks: int) -> tuple[tuple[str, str], ...]:
    """Return how torchvision's and timm's names become ours, for stages of up to so many `blocks`."""
    return (
        *((rf"^layer(\d)\.{i}\.", rf"stage\1.block{i + 1}.") for i in range(blocks)),
        (r"(block\d+)\.(conv|bn|se)", r"\1.residual.\2"),
        (r"\.downsample\.0\.", ".shortcut.conv."),
        (r"\.downsample\.1\.", ".shortcut.bn."),
        (r"^(conv|bn)1\.", r"stem.\1."),
        (r"^(fc|linear)\.", "head.logits."),
    )


RULES = rules(36)


def peers(name: str, *, digest: str = "") -> dict[str, Peer]:
    """Return `name` in torchvision, with its published weights, and in timm."""
    weights = f"https://download.pytorch.org/models/{name}-{digest}.pth"
    torchvision = Peer(name, RULES, weights=weights, licence="BSD-3-Clause (torchvision)")
    return {"torchvision": torchvision, "timm": Peer(name, RULES)}


_register = partial(
    register,
    paper="arXiv:1512.03385",
    title="Deep residual learning for image recognition",
    authors="He et al.",
    year=2015,
    input=(3, 224, 224),
)
_published = partial(_register, published="torchvision 0.28, IMAGENET1K_V1")


@_register(params=11_515_688, macs=1_794_805_760, decks=("000",))
def plain18(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return imagenet_resnet(TABLE_1[18], plain, classes=classes, c_in=c_in)


@_register(params=21_623_848, macs=3_644_493_824, decks=("000",))
def plain34(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return imagenet_resnet(TABLE_1[34], plain, classes=classes, c_in=c_in)


@_published(
    params=11_689_512,
    macs=1_814_073_344,
    top1=69.758,
    top5=89.078,
    decks=("001", "002"),
    peers=peers("resnet18", digest="f37072fd"),
)
def resnet18(classes: int = 1000, *, c_in: int = 3, shortcut: str = "B") -> Classifier:
    return imagenet_resnet(TABLE_1[18], residual(basic, shortcut), classes=classes, c_in=c_in)


@_published(
    params=21_797_672,
    macs=3_663_761_408,
    top1=73.314,
    top5=91.42,
    decks=("000", "001", "002"),
    peers=peers("resnet34", digest="b627a593"),
)
def resnet34(classes: int = 1000, *, c_in: int = 3, shortcut: str = "B") -> Classifier:
    return imagenet_resnet(TABLE_1[34], residual(basic, shortcut), classes=classes, c_in=c_in)


@_published(
    params=25_557_032,
    macs=4_089_184_256,
    top1=76.13,
    top5=92.862,
    decks=("000", "001", "002"),
    peers=peers("resnet50", digest="0676ba61"),
)
def resnet50(classes: int = 1000, *, c_in: int = 3, shortcut: str = "B", stride_in: str = "3x3") -> Classifier:
    return _bottlenecks(50, shortcut, stride_in, classes=classes, c_in=c_in)


@_published(
    params=44_549_160,
    macs=7_801_405_440,
    top1=77.374,
    top5=93.546,
    decks=("000", "001", "002"),
    peers=peers("resnet101", digest="63fe2227"),
)
def resnet101(classes: int = 1000, *, c_in: int = 3, shortcut: str = "B", stride_in: str = "3x3") -> Classifier:
    return _bottlenecks(101, shortcut, stride_in, classes=classes, c_in=c_in)


@_published(
    params=60_192_808,
    macs=11_513_626_624,
    top1=78.312,
    top5=94.046,
    decks=("000", "002", "004"),
    peers=peers("resnet152", digest="394f9c45"),
)
def resnet152(classes: int = 1000, *, c_in: int = 3, shortcut: str = "B", stride_in: str = "3x3") -> Classifier:
    return _bottlenecks(152, shortcut, stride_in, classes=classes, c_in=c_in)

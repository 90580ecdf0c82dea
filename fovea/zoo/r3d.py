"""ResNet for clips: Tran, Wang, Torresani, Ray, LeCun and Paluri 2018, arXiv:1711.11248. Stages: Table 1.

R3D convolves space and time together, Figure 1(d); MC3 has time in its stem and first stage only, Figure 1(b), and
keeps all frames from there on; R(2+1)D convolves space first, then time, Figure 1(e) and section 3.5. `r3d_8` is made
of R3D's blocks, as `cifar_resnet20` is of ResNet's (arXiv:1512.03385, section 4.2), for small clips.

Departures: He normal initialisation counts the fan-out, as in `resnet.py`. Both convolutions of a block of R(2+1)D have
the middle channels of its first, as in the authors' code.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.zoo.resnet import TABLE_1, Block, Residual, Stage, he_normal, stages

SMALL = (
    #      width   c  n  s
    Stage(    16, 16, 1, 1),  # 8 x 16 x 16
    Stage(    32, 32, 1, 2),  # 4 x  8 x  8
    Stage(    64, 64, 1, 2),  # 2 x  4 x  4
)  # fmt: skip

Convolution = Callable[..., nn.Module]
"""(c_in, c_out, stride=..., middle=...) -> a convolution of 3 in space, and in time or not."""
Triple = tuple[int, int, int]


def joint(c_in: int, c_out: int, *, stride: int, middle: int) -> nn.Conv3d:
    """3x3x3: (N, c_in, T, H, W) -> (N, c_out, T / stride, H / stride, W / stride); it needs no `middle` channels."""
    return nn.Conv3d(c_in, c_out, 3, stride=stride, padding=1, bias=False)


def spatial(c_in: int, c_out: int, *, stride: int, middle: int) -> nn.Conv3d:
    """1x3x3: (N, c_in, T, H, W) -> (N, c_out, T, H / stride, W / stride); it needs no `middle` channels."""
    return nn.Conv3d(c_in, c_out, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False)


def split(c_in: int, c_out: int, *, stride: int, middle: int) -> nn.Sequential:
    """1x3x3 into the `middle` channels, BN, ReLU, 3x1x1; shapes as `joint`."""
    layers = {
        "spatial": spatial(c_in, middle, stride=stride, middle=middle),
        "bn": nn.BatchNorm3d(middle),
        "relu": nn.ReLU(),
        "temporal": nn.Conv3d(middle, c_out, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), bias=False),
    }
    return nn.Sequential(OrderedDict(layers))


def middle_of(c_in: int, c_out: int) -> int:
    """Return the channels with which `split` has as many weights as `joint` (section 3.5)."""
    return (27 * c_in * c_out) // (9 * c_in + 3 * c_out)


def residual(conv: Convolution) -> Block:
    """Return what makes blocks of two such convolutions: ReLU(conv, BN, ReLU, conv, BN + shortcut)."""

    def block(c_in: int, stage: Stage, *, stride: int) -> Residual:
        middle = middle_of(c_in, stage.c)  # of both convolutions, as in the authors' code
        layers = {
            "conv1": conv(c_in, stage.c, stride=stride, middle=middle),
            "bn1": nn.BatchNorm3d(stage.c),
            "relu1": nn.ReLU(),
            "conv2": conv(stage.c, stage.c, stride=1, middle=middle),
            "bn2": nn.BatchNorm3d(stage.c),
        }
        steps = (1 if conv is spatial else stride, stride, stride)
        return Residual(nn.Sequential(OrderedDict(layers)), _shortcut(c_in, stage.c, steps))

    return block


def _shortcut(c_in: int, c_out: int, stride: Triple) -> nn.Module:
    """1x1x1, BN where shapes change, else nothing."""
    if c_in == c_out and stride == (1, 1, 1):
        return nn.Identity()
    conv = nn.Conv3d(c_in, c_out, 1, stride=stride, bias=False)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm3d(c_out)}))


def _stem(c_in: int, c_out: int, kernel: Triple) -> nn.Sequential:
    """Convolution with stride 2 in space, BN, ReLU: (N, c_in, T, H, W) -> (N, c_out, T, H / 2, W / 2)."""
    return nn.Sequential(OrderedDict(_step(c_in, c_out, kernel, (1, 2, 2))))


def _split_stem(c_in: int, c_out: int) -> nn.Sequential:
    """1x7x7 with stride 2 in space into 45 maps, then 3x1x1, each with BN, ReLU; shapes as `_stem`."""
    return nn.Sequential(OrderedDict(_step(c_in, 45, (1, 7, 7), (1, 2, 2), "1") | _step(45, c_out, (3, 1, 1), 1, "2")))


def _step(c_in: int, c_out: int, kernel: Triple, stride: Triple | int, number: str = "") -> dict[str, nn.Module]:
    T, H, W = kernel
    conv = nn.Conv3d(c_in, c_out, kernel, stride=stride, padding=(T // 2, H // 2, W // 2), bias=False)
    return {f"conv{number}": conv, f"bn{number}": nn.BatchNorm3d(c_out), f"relu{number}": nn.ReLU()}


def _resnet(stem: nn.Module, rows: Sequence[Stage], convs: Sequence[Convolution], classes: int) -> Classifier:
    body, c = [], rows[0].c
    for row, conv in zip(rows, convs, strict=True):
        body += stages(c, [row], residual(conv))
        c = row.c
    head = {"pool": nn.AdaptiveAvgPool3d(1), "flatten": nn.Flatten(), "logits": nn.Linear(c, classes)}
    return he_normal(Classifier(stem=stem, stages=body, head=nn.Sequential(OrderedDict(head))))


RULES = (
    *((rf"^layer(\d)\.{i}\.", rf"stage\1.block{i + 1}.") for i in (0, 1)),
    (r"\.conv(\d)\.1\.", r".residual.bn\1."),
    # R(2+1)D: space, batch norm, ReLU, time
    (r"\.conv(\d)\.0\.0\.", r".residual.conv\1.spatial."),
    (r"\.conv(\d)\.0\.1\.", r".residual.conv\1.bn."),
    (r"\.conv(\d)\.0\.3\.", r".residual.conv\1.temporal."),
    (r"\.conv(\d)\.0\.", r".residual.conv\1."),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.bn."),
    (r"^fc\.", "head.logits."),
)
STEM = ((r"^stem\.0\.", "stem.conv."), (r"^stem\.1\.", "stem.bn."))
SPLIT_STEM = tuple(
    (rf"^stem\.{there}\.", f"stem.{ours}.") for there, ours in ((0, "conv1"), (1, "bn1"), (3, "conv2"), (4, "bn2"))
)


def _peers(name: str, digest: str, stem: tuple[tuple[str, str], ...]) -> dict[str, Peer]:
    """Return the network in torchvision; its weights are those of Kinetics-400."""
    peer = Peer(
        name,
        (*stem, *RULES),
        weights=f"https://download.pytorch.org/models/{name}-{digest}.pth",
        licence="BSD-3-Clause (torchvision)",
        mean=(0.43216, 0.394666, 0.37645),
        std=(0.22803, 0.22145, 0.216989),
    )
    return {"torchvision": peer}


_register = partial(
    register,
    paper="arXiv:1711.11248",
    title="A closer look at spatiotemporal convolutions for action recognition",
    authors="Tran et al.",
    year=2017,
)
_on_kinetics = partial(_register, input=(3, 16, 112, 112))


@_on_kinetics(params=33_371_472, macs=40_696_553_472, peers=_peers("r3d_18", "b3b3357e", STEM))
def r3d_18(classes: int = 400, *, c_in: int = 3) -> Classifier:
    return _resnet(_stem(c_in, 64, (3, 7, 7)), TABLE_1[18], [joint] * 4, classes)


@_on_kinetics(params=11_695_440, macs=43_342_635_008, peers=_peers("mc3_18", "a90a0ba3", STEM))
def mc3_18(classes: int = 400, *, c_in: int = 3) -> Classifier:
    return _resnet(_stem(c_in, 64, (3, 7, 7)), TABLE_1[18], [joint, spatial, spatial, spatial], classes)


@_on_kinetics(params=31_505_325, macs=40_519_080_960, peers=_peers("r2plus1d_18", "91a641e6", SPLIT_STEM))
def r2plus1d_18(classes: int = 400, *, c_in: int = 3) -> Classifier:
    return _resnet(_split_stem(c_in, 64), TABLE_1[18], [split] * 4, classes)


@_register(input=(1, 8, 32, 32), params=225_498, macs=45_318_784)
def r3d_8(classes: int = 10, *, c_in: int = 1) -> Classifier:
    return _resnet(_stem(c_in, 16, (3, 3, 3)), SMALL, [joint] * 3, classes)

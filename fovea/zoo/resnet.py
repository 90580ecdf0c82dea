"""ResNet: He, Zhang, Ren and Sun 2015, arXiv:1512.03385. Block: Figure 5, left. ImageNet: Table 1. CIFAR: section 4.2.

Departures: He normal initialisation counts the fan-out (both are in the cited paper), and the logits keep PyTorch's.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from torch import Tensor, nn
from torch.nn import functional as F

from fovea.layers import Classifier
from fovea.registry import register


class PaddedIdentity(nn.Module):
    """Shortcut A: every `stride`-th pixel, and zeros in the new channels; no parameters.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        # The paper does not say where the new channels go; half before and half after, as in published weights.
        self.before = (c_out - c_in) // 2
        self.after = c_out - c_in - self.before

    def forward(self, x: Tensor) -> Tensor:
        """Return the shortcut of `x`."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def projection(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Shortcut B: 1x1 convolution, BN; (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))."""
    conv = nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c_out)}))


class BasicBlock(nn.Module):
    """3x3, BN, ReLU, 3x3, BN; plus the shortcut (the identity where shapes agree); ReLU.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, c_in: int, c_out: int, *, stride: int, shortcut: Callable[[int, int, int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        agree = c_in == c_out and stride == 1
        self.shortcut = nn.Identity() if agree else shortcut(c_in, c_out, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(F(x) + shortcut(x))."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return cast(Tensor, self.relu2(residual + self.shortcut(x)))


class Stage(NamedTuple):
    c: int  # output channels
    n: int  # blocks
    s: int  # stride of the first; the others have stride 1


TABLE_1 = {
    # layers   conv2_x         conv3_x          conv4_x          conv5_x
    #          56 x 56         28 x 28          14 x 14           7 x  7
    18: (Stage(64, 2, 1), Stage(128, 2, 2), Stage(256, 2, 2), Stage(512, 2, 2)),
    34: (Stage(64, 3, 1), Stage(128, 4, 2), Stage(256, 6, 2), Stage(512, 3, 2)),
}  # fmt: skip


def section_4_2(layers: int) -> tuple[Stage, ...]:
    """Return the stages of the CIFAR network of 6n + 2 layers: maps of 32 x 32, 16 x 16 and 8 x 8."""
    n = (layers - 2) // 6
    return (Stage(16, n, 1), Stage(32, n, 2), Stage(64, n, 2))


def _stages(c_in: int, rows: tuple[Stage, ...], shortcut: Callable[[int, int, int], nn.Module]) -> list[nn.Sequential]:
    stages = []
    for c, n, s in rows:
        blocks = {}
        for i in range(1, n + 1):
            blocks[f"block{i}"] = BasicBlock(c_in, c, stride=s if i == 1 else 1, shortcut=shortcut)
            c_in = c
        stages.append(nn.Sequential(OrderedDict(blocks)))
    return stages


def _head(c_in: int, classes: int) -> nn.Sequential:
    """Global average pooling, logits: (N, c_in, H, W) -> (N, classes)."""
    layers = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "logits": nn.Linear(c_in, classes)}
    return nn.Sequential(OrderedDict(layers))


def he_normal(model: Classifier) -> Classifier:
    """Draw convolutions from N(0, 2 / fan-out) (He et al. 2015, arXiv:1502.01852, equation 14)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _imagenet_resnet(layers: int, classes: int, c_in: int) -> Classifier:
    rows = TABLE_1[layers]
    stem = {
        "conv": nn.Conv2d(c_in, 64, 7, stride=2, padding=3, bias=False),
        "bn": nn.BatchNorm2d(64),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    stages = _stages(64, rows, projection)
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=_head(rows[-1].c, classes)))


def _cifar_resnet(layers: int, classes: int, c_in: int) -> Classifier:
    rows = section_4_2(layers)
    stem = {"conv": nn.Conv2d(c_in, 16, 3, padding=1, bias=False), "bn": nn.BatchNorm2d(16), "relu": nn.ReLU()}
    stages = _stages(16, rows, PaddedIdentity)
    return he_normal(Classifier(stem=nn.Sequential(OrderedDict(stem)), stages=stages, head=_head(rows[-1].c, classes)))


_register = partial(register, paper="arXiv:1512.03385", title="Deep residual learning for image recognition", year=2015)


@_register(input=(3, 224, 224), params=11_689_512, macs=1_814_073_344)
def resnet18(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _imagenet_resnet(18, classes, c_in)


@_register(input=(3, 224, 224), params=21_797_672, macs=3_663_761_408)
def resnet34(classes: int = 1000, *, c_in: int = 3) -> Classifier:
    return _imagenet_resnet(34, classes, c_in)


@_register(input=(3, 32, 32), params=269_722, macs=40_551_040)
def cifar_resnet20(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _cifar_resnet(20, classes, c_in)


@_register(input=(3, 32, 32), params=464_154, macs=68_862_592)
def cifar_resnet32(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _cifar_resnet(32, classes, c_in)


@_register(input=(3, 32, 32), params=658_586, macs=97_174_144)
def cifar_resnet44(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _cifar_resnet(44, classes, c_in)


@_register(input=(3, 32, 32), params=853_018, macs=125_485_696)
def cifar_resnet56(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _cifar_resnet(56, classes, c_in)


@_register(input=(3, 32, 32), params=1_727_962, macs=252_887_680)
def cifar_resnet110(classes: int = 10, *, c_in: int = 3) -> Classifier:
    return _cifar_resnet(110, classes, c_in)

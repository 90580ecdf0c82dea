"""DeepLabV3 on ResNet-50: Chen, Papandreou, Schroff and Adam 2017, arXiv:1706.05587. Figures 3 and 5; section 3.3.

The last two stages of ResNet keep the size of their maps: instead of strides they have holes between the pixels that a
kernel sees (rates 2 and 4, output stride 8). Atrous spatial pyramid pooling looks at their map with holes of several
widths side by side, and at its mean.

Departures: those of torchvision, whose weights fit. The paper trains at output stride 16 with rates 6, 12 and 18, and
evaluates at 8 with 12, 24 and 36; here the latter in both. `aux` is torchvision's second head, on the stage before the
last, which answers in training only.
"""

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn

from fovea.registry import Peer, register
from fovea.zoo import resnet
from fovea.zoo.backbones import Pyramid, resized

RATES = (12, 24, 36)
"""Pixels from one place of a 3x3 kernel to the next, of each branch: output stride 8."""
WIDTH = 256


def _conv_bn_relu(c_in: int, c_out: int, kernel: int, *, dilation: int = 1) -> nn.Sequential:
    """Convolution, BN, ReLU: (N, c_in, H, W) -> (N, c_out, H, W)."""
    conv = nn.Conv2d(c_in, c_out, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False)
    return nn.Sequential(OrderedDict({"conv": conv, "bn": nn.BatchNorm2d(c_out), "relu": nn.ReLU()}))


def with_holes(stage: nn.Module, *, first: int, others: int) -> None:
    """Take the stride out of a stage of bottlenecks; its 3x3 kernels see every `first`-th pixel, then `others`-th."""
    for i, block in enumerate(stage.children()):
        rate = others if i else first
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
                if module.kernel_size == (3, 3):
                    module.dilation = module.padding = (rate, rate)


class AtrousPyramid(nn.Module):
    """Figure 5: 1x1, three 3x3 with holes and the mean side by side, joined by 1x1; 3x3; the logits, enlarged.

    The image (N, c_in, H, W) and maps, of which the last counts, (N, c, h, w) -> (N, classes, H, W)
    """

    def __init__(self, c: int, classes: int) -> None:
        super().__init__()
        self.branch0 = _conv_bn_relu(c, WIDTH, 1)
        for i, rate in enumerate(RATES, start=1):
            self.add_module(f"branch{i}", _conv_bn_relu(c, WIDTH, 3, dilation=rate))
        self.mean = nn.Sequential(OrderedDict({"pool": nn.AdaptiveAvgPool2d(1), "unit": _conv_bn_relu(c, WIDTH, 1)}))
        self.project = _conv_bn_relu((len(RATES) + 2) * WIDTH, WIDTH, 1)
        self.dropout = nn.Dropout(0.5)
        self.unit = _conv_bn_relu(WIDTH, WIDTH, 3)
        self.logits = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, image: Tensor, *maps: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        x = maps[-1]
        branches = [getattr(self, f"branch{i}")(x) for i in range(len(RATES) + 1)]
        mean = self.mean(x).expand(-1, -1, *x.shape[2:])
        joined = self.dropout(self.project(torch.cat([*branches, mean], dim=1)))
        return resized(self.logits(self.unit(joined)), image)


def _auxiliary(c: int, classes: int) -> nn.Sequential:
    """3x3 to a quarter of the channels, BN, ReLU, dropout, 1x1: (N, c, h, w) -> (N, classes, h, w)."""
    layers = {"unit": _conv_bn_relu(c, c // 4, 3), "dropout": nn.Dropout(0.1), "logits": nn.Conv2d(c // 4, classes, 1)}
    return nn.Sequential(OrderedDict(layers))


class DeepLab(Pyramid):
    """A `Pyramid`, in training with a second answer by `aux1`, if there is one, from the stage before the last."""

    aux1: nn.Module

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]  # in training only
        """Return the logits of every pixel; in training those of the second head too."""
        maps = self.maps(x)
        logits = cast(Tensor, self.head(*maps))
        if self.training and hasattr(self, "aux1"):
            return logits, resized(self.aux1(maps[1]), x)
        return logits


RULES = (
    (r"^backbone\.", ""),
    *resnet.RULES,
    (r"^classifier\.0\.convs\.4\.1\.", "head.mean.unit.conv."),
    (r"^classifier\.0\.convs\.4\.2\.", "head.mean.unit.bn."),
    (r"^classifier\.0\.convs\.(\d)\.0\.", r"head.branch\1.conv."),
    (r"^classifier\.0\.convs\.(\d)\.1\.", r"head.branch\1.bn."),
    (r"^classifier\.0\.project\.0\.", "head.project.conv."),
    (r"^classifier\.0\.project\.1\.", "head.project.bn."),
    (r"^classifier\.1\.", "head.unit.conv."),
    (r"^classifier\.2\.", "head.unit.bn."),
    (r"^classifier\.4\.", "head.logits."),
    (r"^aux_classifier\.0\.", "aux1.unit.conv."),
    (r"^aux_classifier\.1\.", "aux1.unit.bn."),
    (r"^aux_classifier\.4\.", "aux1.logits."),
)
"""torchvision's names as ours."""
PEER = Peer(
    "deeplabv3_resnet50",
    RULES,
    weights="https://download.pytorch.org/models/deeplabv3_resnet50_coco-cd0a2569.pth",
    licence="BSD-3-Clause (torchvision)",
)
"""Its weights are for VOC's 21 classes, trained on those images of COCO that show them."""


@register(
    paper="arXiv:1706.05587",
    title="Rethinking atrous convolution for semantic image segmentation",
    authors="Chen et al.",
    year=2017,
    input=(3, 520, 520),
    answers="masks",
    form="logits",
    params=39_638_869,
    macs=168_731_205_888,
    peers={"torchvision": PEER},
)
def deeplabv3_resnet50(classes: int = 21, *, c_in: int = 3, aux: bool = False) -> DeepLab:
    rows = resnet.TABLE_1[50]
    body = resnet.imagenet_resnet(rows, resnet.residual(resnet.bottleneck), classes=1, c_in=c_in)
    stages = [getattr(body, name) for name in body.body if name != "stem"]
    with_holes(stages[2], first=1, others=2)
    with_holes(stages[3], first=2, others=4)
    head = AtrousPyramid(rows[-1].c, classes)
    model = DeepLab(stem=body.get_submodule("stem"), stages=stages, head=head, taps=["stage3", "stage4"])
    if aux:
        model.add_module("aux1", _auxiliary(rows[-2].c, classes))
    return model

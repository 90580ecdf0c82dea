"""SimpleBaseline: Xiao, Wu and Wei 2018, "Simple baselines for human pose estimation", arXiv:1804.06208. Section 2.

Transposed convolutions on the last map of a network, each twice as large, until it has a quarter of the image's sides;
then 1x1 to a heat map for each point.

Departures: none on ResNet-50. On a backbone of another stride there are as many enlargements as lead to stride 4.
"""

from collections import OrderedDict
from math import log2

from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.registry import register
from fovea.zoo.backbones import Level, Pyramid, stages_of

STRIDE = 4
"""Pixels from one place of a heat map to the next."""


class HeatMaps(nn.Module):
    """Transposed 4x4 at stride 2, BN, ReLU, until stride 4; then 1x1.

    The image (N, c_in, H, W) and its last map (N, c, h, w) -> (N, points, ceil(H / 4), ceil(W / 4))
    """

    def __init__(self, last: Level, points: int, *, width: int) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        c = last.c
        for i in range(1, round(log2(last.stride / STRIDE)) + 1):
            up = nn.ConvTranspose2d(c, width, 4, stride=2, padding=1, bias=False)
            nn.init.normal_(up.weight, std=0.001)  # as in the authors' code
            layers |= {f"up{i}": up, f"bn{i}": nn.BatchNorm2d(width), f"relu{i}": nn.ReLU()}
            c = width
        self.ups = nn.Sequential(OrderedDict(layers))
        self.logits = nn.Conv2d(c, points, 1)
        nn.init.normal_(self.logits.weight, std=0.001)
        nn.init.zeros_(self.logits.get_parameter("bias"))

    def forward(self, image: Tensor, x: Tensor) -> Tensor:
        """Return the maps; what a side that the stride does not divide has too much is cut off behind."""
        H, W = (-(-side // STRIDE) for side in image.shape[-2:])
        y: Tensor = self.logits(self.ups(x))
        return y[..., :H, :W]


@register(
    paper="arXiv:1804.06208",
    title="Simple baselines for human pose estimation and tracking",
    authors="Xiao et al.",
    year=2018,
    input=(3, 256, 256),
    answers="points",
    form="heat maps",
    params=33_999_697,
    macs=7_235_174_400,
)
def simple_baseline(
    classes: int = 17, *, c_in: int = 3, size: int = 256, backbone: str = "resnet50", width: int = 256
) -> Pyramid:
    if width < 1:
        raise UsageError(f"`width` (={width}) must be at least 1: the channels of the enlarged maps.")
    body = stages_of(backbone, c_in=c_in, size=size)
    if body.last.stride < STRIDE or not body.last.exact:
        raise UsageError(f"`backbone` (={backbone}) must end at a stride of {STRIDE} or more, as resnet50 does.")
    head = HeatMaps(body.last, classes, width=width)
    return Pyramid(stem=body.stem, stages=body.stages, head=head, taps=[body.last.path])

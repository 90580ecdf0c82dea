"""Objects as points: a detector without anchors, on the stages of any network, that is fast on a processor.

Zhou, Wang and Krahenbuhl 2019, arXiv:1904.07850 ("Objects as points", CenterNet): a heat map of centres for each class
at stride 4, in which a local maximum is an object, so that nothing has to be suppressed. Tian et al. 2019,
arXiv:1904.01355 (FCOS): a box as distances to its four sides. Lin et al. 2016, arXiv:1612.03144 (FPN): maps of coarser
stages, each through a 1x1 convolution, are enlarged and summed.

Departures from CenterNet: FPN's sums in place of deconvolutions; distances in place of size and offset, as logarithms.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from math import log

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.registry import register
from fovea.zoo.backbones import Backbone, Pyramid, raised, stages_of

STRIDES = (4, 8, 16, 32)
"""Of the maps that are summed; the first is that of the answer, those that a backbone lacks are left out."""
BRANCH_WIDTH = 64
RARE = 0.01
"""What is thought, before training, of a cell being the centre of an object of a class (RetinaNet's prior)."""
FIRST_DISTANCE = 4.0
"""Strides from a cell to the sides of its box before training: objects of 32 pixels."""


class SummedMaps(nn.Module):
    """1x1 convolutions to one width, each map enlarged and added to the next finer one; 3x3, BN, ReLU.

    Maps from the finest to the coarsest, (N, c, h, w) -> (N, width, H, W), of the finest map
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        layers = {"conv": nn.Conv2d(width, width, 3, padding=1, bias=False), "bn": nn.BatchNorm2d(width)}
        self.smooth = nn.Sequential(OrderedDict({**layers, "relu": nn.ReLU()}))

    def forward(self, *maps: Tensor) -> Tensor:
        """Return the sum at the finest size."""
        *finer, x = (lateral(x) for lateral, x in zip(self.laterals, maps, strict=True))
        for lateral in reversed(finer):
            x = lateral + raised(x, lateral)
        y: Tensor = self.smooth(x)
        return y


def branch(c_in: int, c_out: int) -> nn.Sequential:
    """3x3, ReLU, 1x1: (N, c_in, H, W) -> (N, c_out, H, W)."""
    layers = {
        "conv": nn.Conv2d(c_in, BRANCH_WIDTH, 3, padding=1),
        "relu": nn.ReLU(),
        "logits": nn.Conv2d(BRANCH_WIDTH, c_out, 1),
    }
    return nn.Sequential(OrderedDict(layers))


class CentreHead(nn.Module):
    """Where centres are, and how far the sides of the box lie from each cell.

    The image and its maps at strides 4, 8, ... -> (N, classes + 4, H / 4, W / 4): logits of the centres, then the
    natural logarithms of the distances left, up, right and down, from the middle of a cell, in strides
    """

    def __init__(self, channels: Sequence[int], classes: int, *, width: int) -> None:
        super().__init__()
        self.pyramid = SummedMaps(channels, width)
        self.centres = branch(width, classes)
        self.distances = branch(width, 4)

    def forward(self, image: Tensor, *maps: Tensor) -> Tensor:
        """Return both, one behind the other."""
        x = self.pyramid(*maps)
        return torch.cat([self.centres(x), self.distances(x)], dim=1)


def _initialised(head: CentreHead) -> CentreHead:
    """Let answers begin at `RARE` centres and `FIRST_DISTANCE`, whatever the image: weights from N(0, 0.01^2)."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    for part, bias in ((head.centres, -log(1 / RARE - 1)), (head.distances, log(FIRST_DISTANCE))):
        last = part.get_submodule("logits")
        nn.init.normal_(last.get_parameter("weight"), std=0.01)
        nn.init.constant_(last.get_parameter("bias"), bias)
    return head


def exact_levels(body: Backbone, name: str, strides: Sequence[int]) -> tuple[str, ...]:
    """Return the paths of the levels of these strides, whose cells must lie on the image as they say.

    Raises:
        UsageError: the first of the strides is not there, or a level has lost its border.
    """
    levels = body.at(strides)
    if not levels or levels[0].stride != strides[0] or not all(level.exact for level in levels):
        raise UsageError(
            f"`backbone` (={name}) must have feature maps with stride exactly {strides[0]}, for example resnet18."
        )
    return tuple(level.path for level in levels)


_register = partial(
    register,
    paper="arXiv:1904.07850",
    title="Objects as points",
    authors="Zhou et al.",
    year=2019,
    answers="boxes",
    form="centres",
)


@_register(input=(3, 256, 256), params=11_350_616, macs=2_859_466_752)
def centres(
    classes: int = 20, *, c_in: int = 3, size: int = 256, backbone: str = "resnet18", width: int = 64
) -> Pyramid:
    if width < 1:
        raise UsageError(f"`width` (={width}) must be at least 1: the channels of the summed feature maps.")
    body = stages_of(backbone, c_in=c_in, size=size)
    taps = exact_levels(body, backbone, STRIDES)
    head = _initialised(CentreHead([level.c for level in body.at(STRIDES)], classes, width=width))
    return Pyramid(stem=body.stem, stages=body.stages, head=head, taps=taps)

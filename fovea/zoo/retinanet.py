"""RetinaNet: Lin, Goyal, Girshick, He and Dollar 2017, arXiv:1708.02002. Section 4; the pyramid: arXiv:1612.03144.

Nine anchors at every place of five maps (strides 8 to 128); for each the logits of all classes and what makes its box
of it, by two towers of 3x3 convolutions that all maps share.

Departures: those of torchvision, whose weights fit. The map of stride 64 comes from that of stride 32 in the pyramid,
not from the backbone's; anchors are rounded to whole pixels, and lie on the corners of cells. The batch norms of the
backbone stand still, `frozen_norm`, as in the paper, which starts from ImageNet weights. (torchvision's published
weights are run there without the 1e-5 under the root of these norms.) `width`, of the pyramid's maps, may be narrower.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.decoding.anchors import RATIOS, SCALES, STRIDES, pyramid_anchors
from fovea.errors import UsageError
from fovea.registry import Peer, register
from fovea.zoo import resnet
from fovea.zoo.backbones import Pyramid, raised, stages_of
from fovea.zoo.centres import exact_levels

TAPPED, COARSER = STRIDES[:3], STRIDES[3:]
"""Strides of the backbone's maps, and of those that follow."""
WIDTH = 256
DEPTH = 4
"""Convolutions of a tower."""
RARE = 0.01
"""What is thought, before training, of an anchor being of a class: section 4.1."""


class FrozenBatchNorm(nn.BatchNorm2d):
    """A batch norm that learns nothing: always by its running mean and variance. (N, c, H, W) -> (N, c, H, W)."""

    def __init__(self, c: int) -> None:
        super().__init__(c)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` normalised, scaled and shifted."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def frozen_norms(part: nn.Module) -> None:
    """Put a `FrozenBatchNorm` in the place of every batch norm inside `part`."""
    for module in list(part.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, FrozenBatchNorm(child.num_features))


class FeaturePyramid(nn.Module):
    """1x1 each, enlarged and summed from the coarsest on, 3x3 each; then twice 3x3 at stride 2.

    Maps of strides 8, 16 and 32, (N, c, h, w) -> five maps of strides 8 to 128, (N, width, h, w)
    """

    def __init__(self, channels: Sequence[int], width: int = WIDTH) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.outer = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.coarser = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in COARSER)
        for conv in (*self.inner, *self.outer, *self.coarser):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, *maps: Tensor) -> list[Tensor]:
        """Return the maps, from the finest to the coarsest."""
        laterals = [inner(x) for inner, x in zip(self.inner, maps, strict=True)]
        for i in range(len(laterals) - 2, -1, -1):
            laterals[i] = laterals[i] + raised(laterals[i + 1], laterals[i])
        made = [outer(x) for outer, x in zip(self.outer, laterals, strict=True)]
        first, second = self.coarser
        made.append(first(made[-1]))
        made.append(second(made[-1].relu()))
        return made


def _tower(outputs: int, bias: float, width: int) -> nn.Sequential:
    """Four times 3x3, ReLU, then 3x3: (N, width, H, W) -> (N, outputs, H, W)."""
    layers: dict[str, nn.Module] = {}
    for i in range(1, DEPTH + 1):
        layers |= {f"conv{i}": nn.Conv2d(width, width, 3, padding=1), f"relu{i}": nn.ReLU()}
    layers["answers"] = nn.Conv2d(width, outputs, 3, padding=1)
    for layer in layers.values():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01 * (WIDTH / width) ** 0.5)  # paper: 0.01, of 256 channels
            nn.init.zeros_(layer.get_parameter("bias"))
    nn.init.constant_(layers["answers"].get_parameter("bias"), bias)
    return nn.Sequential(OrderedDict(layers))


def _by_anchor(x: Tensor, values: int) -> Tensor:
    """Return what a tower says of each anchor: (N, 9 values, H, W) -> (N, 9 H W, values)."""
    N, C, H, W = x.shape
    A = C // values  # no size is left to be found, as a batch may be empty
    return x.reshape(N, A, values, H, W).permute(0, 3, 4, 1, 2).reshape(N, H * W * A, values)


class AnchorHead(nn.Module):
    """The pyramid, and both towers on each of its maps.

    The image and its maps of strides 8, 16 and 32 -> (N, A, classes + 4): logits, then dx, dy, dw, dh of each anchor
    """

    def __init__(self, channels: Sequence[int], classes: int, width: int) -> None:
        super().__init__()
        anchors = len(SCALES) * len(RATIOS)
        self.classes = classes
        self.pyramid = FeaturePyramid(channels, width)
        self.logits = _tower(anchors * classes, -log(1 / RARE - 1), width)
        self.deltas = _tower(anchors * 4, 0.0, width)

    def forward(self, image: Tensor, *maps: Tensor) -> Tensor:
        """Return logits and deltas of all anchors, the finest map's first."""
        found = [
            torch.cat([_by_anchor(self.logits(x), self.classes), _by_anchor(self.deltas(x), 4)], dim=2)
            for x in self.pyramid(*maps)
        ]
        return torch.cat(found, dim=1)


class RetinaNet(Pyramid):
    """A `Pyramid` that knows its anchors."""

    def anchors(self, size: tuple[int, int]) -> Tensor:
        """Return the anchors of images of `size` (height, width), (A, 4) float32: x0, y0, x1, y1 in pixels.

        In the order of the answers: map by map, the finest first; place by place; nine each.
        """
        return torch.from_numpy(pyramid_anchors(size))


RULES = (
    (r"^backbone\.body\.", ""),
    *resnet.RULES,
    (r"^backbone\.fpn\.inner_blocks\.(\d)(\.0)?\.", r"head.pyramid.inner.\1."),
    (r"^backbone\.fpn\.layer_blocks\.(\d)(\.0)?\.", r"head.pyramid.outer.\1."),
    (r"^backbone\.fpn\.extra_blocks\.p6\.", "head.pyramid.coarser.0."),
    (r"^backbone\.fpn\.extra_blocks\.p7\.", "head.pyramid.coarser.1."),
    *(
        (rf"^head\.{there}_head\.conv\.{step * i}{block}\.", f"head.{ours}.conv{i + 1}.")
        for step, block in ((1, r"\.0"), (2, ""))  # in a block of its own; before, in a chain with ReLUs
        for there, ours in (("classification", "logits"), ("regression", "deltas"))
        for i in range(DEPTH)
    ),
    (r"^head\.classification_head\.cls_logits\.", "head.logits.answers."),
    (r"^head\.regression_head\.bbox_reg\.", "head.deltas.answers."),
)
"""torchvision's names as ours, those of its published weights among them."""
PEER = Peer(
    "retinanet_resnet50_fpn",
    RULES,
    weights="https://download.pytorch.org/models/retinanet_resnet50_fpn_coco-eeacb38b.pth",
    licence="BSD-3-Clause (torchvision)",
)

_register = partial(
    register,
    paper="arXiv:1708.02002",
    title="Focal loss for dense object detection",
    authors="Lin et al.",
    year=2017,
    input=(3, 800, 800),
    answers="boxes",
    form="anchors",
    training={"arguments": {"frozen_norm": False}},  # those of random weights have seen no images
)


@_register(params=34_014_999, macs=151_540_437_248, peers={"torchvision": PEER})
def retinanet(
    classes: int = 91,
    *,
    c_in: int = 3,
    size: int = 800,
    backbone: str = "resnet50",
    frozen_norm: bool = True,
    width: int = WIDTH,
) -> RetinaNet:
    if width < 1:
        raise UsageError(f"`width` (={width}) must be at least 1: the channels of the pyramid's maps.")
    body = stages_of(backbone, c_in=c_in, size=size)
    taps = exact_levels(body, backbone, TAPPED)
    if len(taps) < len(TAPPED):
        raise UsageError(f"`backbone` (={backbone}) must have maps at strides 8, 16 and 32, as resnet50 has.")
    head = AnchorHead([level.c for level in body.at(TAPPED)], classes, width)
    model = RetinaNet(stem=body.stem, stages=body.stages, head=head, taps=taps)
    if frozen_norm:
        frozen_norms(model)
    return model

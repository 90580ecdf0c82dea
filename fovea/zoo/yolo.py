"""YOLO: Redmon, Divvala, Girshick and Farhadi 2015, arXiv:1506.02640, Figure 3; Redmon and Farhadi 2016,
arXiv:1612.08242, Table 6 and section 2 (YOLOv2). The small ones: Darknet's `yolov1-tiny.cfg`, `yolov2-tiny-voc.cfg` and
`yolov2-tiny.cfg`.

Departures: what leads from the fine map to the coarse one in YOLOv2 puts the four places of a cell behind one another
in another order than Darknet's layer, which mixes channels. `width`, and `batch_norm` of YOLOv1, are not the papers': a
narrow network with batch norm learns from few images, from random weights; the published ones want a week on ImageNet.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.backbones import Pyramid

BOXES = 2
"""Boxes of a cell in YOLOv1."""
PRIORS = 5
"""Anchors of a cell in YOLOv2."""
DENSE = 4096
WIDEST = 8
SLOPE = 0.1
"""Of the leaky ReLU below zero: equation 2."""


class Conv(NamedTuple):
    k: int  # kernel
    c: int  # output channels
    s: int = 1  # stride


FIGURE_3 = (  # 2x2 pooling between the stages; but the fifth ends in a stride
    (Conv(7, 64, 2),),                                                            # 224 x 224
    (Conv(3, 192),),                                                              # 112 x 112
    (Conv(1, 128), Conv(3, 256), Conv(1, 256), Conv(3, 512)),                     #  56 x  56
    (*(Conv(1, 256), Conv(3, 512)) * 4, Conv(1, 512), Conv(3, 1024)),             #  28 x  28
    (*(Conv(1, 512), Conv(3, 1024)) * 2, Conv(3, 1024), Conv(3, 1024, 2)),        #  14 x  14,  7 x  7
    (Conv(3, 1024), Conv(3, 1024)),                                               #   7 x   7
)  # fmt: skip
TINY_1 = (*((Conv(3, c),) for c in (16, 32, 64, 128, 256, 512)), (Conv(3, 1024), Conv(3, 256)))
TABLE_6 = (
    (Conv(3, 32),),                                                               # 416 x 416
    (Conv(3, 64),),                                                               # 208 x 208
    (Conv(3, 128), Conv(1, 64), Conv(3, 128)),                                    # 104 x 104
    (Conv(3, 256), Conv(1, 128), Conv(3, 256)),                                   #  52 x  52
    (Conv(3, 512), *(Conv(1, 256), Conv(3, 512)) * 2),                            #  26 x  26
    (Conv(3, 1024), *(Conv(1, 512), Conv(3, 1024)) * 2),                          #  13 x  13
)  # fmt: skip
PASSED = 64
"""Channels of the fine map that are passed on, four places each."""


def _unit(c_in: int, conv: Conv, *, batch_norm: bool = True) -> nn.Sequential:
    """Convolution (, BN), leaky ReLU: (N, c_in, H, W) -> (N, c, ceil(H / s), ceil(W / s))."""
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(c_in, conv.c, conv.k, stride=conv.s, padding=conv.k // 2, bias=not batch_norm)
    }
    if batch_norm:
        layers["bn"] = nn.BatchNorm2d(conv.c)
    return nn.Sequential(OrderedDict({**layers, "act": nn.LeakyReLU(SLOPE)}))


def _narrowed(c: int, width: float) -> int:
    return max(1, round(c * width))


def _stages(
    table: Sequence[Sequence[Conv]], c_in: int, *, batch_norm: bool = True, width: float = 1.0
) -> list[nn.Module]:
    """Return the stages; each begins with a 2x2 pooling, but the first, and one whose stage before ends in a stride.

    Raises:
        UsageError: no `width`.
    """
    if not 0 < width <= WIDEST:
        raise UsageError(f"`width` (={width}) must be above 0 and at most {WIDEST}: it multiplies the channels.")
    made: list[nn.Module] = []
    for i, rows in enumerate(table):
        pooled = i and table[i - 1][-1].s == 1 or i == 1
        layers: dict[str, nn.Module] = {"pool": nn.MaxPool2d(2)} if pooled else {}
        for j, conv in enumerate(rows, start=1):
            narrow = conv._replace(c=_narrowed(conv.c, width))
            layers[f"conv{j}"] = _unit(c_in, narrow, batch_norm=batch_norm)
            c_in = narrow.c
        made.append(nn.Sequential(OrderedDict(layers)))
    return made


def _side(table: Sequence[Sequence[Conv]], size: int) -> int:
    """Return the side of the last map of an image of `size` pixels.

    Raises:
        ShapeError: it is too small to be pooled so often.
    """
    windows: list[Window] = []
    for i, rows in enumerate(table, start=1):
        if i > 1 and (table[i - 2][-1].s == 1 or i == 2):
            windows.append(Window(f"stage{i}.pool", 2, stride=2))
        windows += [
            Window(f"stage{i}.conv{j}", conv.k, stride=conv.s, padding=conv.k // 2)
            for j, conv in enumerate(rows, start=1)
        ]
    return chained(size, windows)


def _he_normal(model: nn.Module) -> None:
    """Draw weights from N(0, 2 / ((1 + slope^2) fan-in)) (He et al. 2015, equation 15), but those of the answers."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and not name.endswith("answers"):
            nn.init.kaiming_normal_(module.weight, a=SLOPE, nonlinearity="leaky_relu")


def _grid(c_in: int, side: int, outputs: int, *, dense: int) -> nn.Sequential:
    """Dense layer, leaky ReLU, dropout (if `dense`), dense layer: (N, c, side, side) -> (N, outputs, side, side)."""
    flat = c_in * side**2
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    if dense:
        layers |= {"dense": nn.Linear(flat, dense), "act": nn.LeakyReLU(SLOPE), "dropout": nn.Dropout(0.5)}
    layers["answers"] = nn.Linear(dense or flat, outputs * side**2)
    return nn.Sequential(OrderedDict({**layers, "grid": nn.Unflatten(1, (outputs, side, side))}))


def in_depth(x: Tensor) -> Tensor:
    """Return each 2 x 2 places as one with four times the channels: (N, C, 2 H, 2 W) -> (N, 4 C, H, W) float.

    What `pixel_unshuffle` does, which leaves an empty batch as it is.
    """
    N, C, H, W = x.shape
    return x.reshape(N, C, H // 2, 2, W // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(N, 4 * C, H // 2, W // 2)


class PassThrough(nn.Module):
    """Two convolutions of the coarse map; 1x1 of the fine one, four places of which become one; a third; the answers.

    The image and its maps (N, 512, 2h, 2w), (N, 1024, h, w) -> (N, outputs, h, w)
    """

    def __init__(self, fine: int, c: int, outputs: int, *, passed: int = PASSED) -> None:
        super().__init__()
        self.conv1 = _unit(c, Conv(3, c))
        self.conv2 = _unit(c, Conv(3, c))
        self.passed = _unit(fine, Conv(1, passed))
        self.conv3 = _unit(4 * passed + c, Conv(3, c))
        self.answers = nn.Conv2d(c, outputs, 1)

    def forward(self, image: Tensor, fine: Tensor, x: Tensor) -> Tensor:
        """Return the answers of every cell."""
        x = self.conv2(self.conv1(x))
        H, W = (2 * side for side in x.shape[-2:])  # pooling leaves out a last odd row
        passed = in_depth(self.passed(fine[..., :H, :W]))
        y: Tensor = self.answers(self.conv3(torch.cat([passed, x], dim=1)))
        return y


_v1 = partial(
    register,
    paper="arXiv:1506.02640",
    title="You only look once: unified, real-time object detection",
    authors="Redmon et al.",
    year=2015,
    input=(3, 448, 448),
    answers="boxes",
    form="yolo",
)
_v2 = partial(
    register,
    paper="arXiv:1612.08242",
    title="YOLO9000: better, faster, stronger",
    authors="Redmon and Farhadi",
    year=2016,
    input=(3, 416, 416),
    answers="boxes",
    form="yolo2",
)


@_v1(params=271_703_550, macs=20_285_153_280, decks=("002",), training={"arguments": {"batch_norm": True}})
def yolo_v1(
    classes: int = 20, *, c_in: int = 3, size: int = 448, width: float = 1.0, batch_norm: bool = False
) -> Classifier:
    side = _side(FIGURE_3, size)
    stages = _stages(FIGURE_3, c_in, batch_norm=batch_norm, width=width)
    c, dense = (_narrowed(count, width) for count in (FIGURE_3[-1][-1].c, DENSE))
    model = Classifier(stages=stages, head=_grid(c, side, 5 * BOXES + classes, dense=dense))
    _he_normal(model)
    return model


@_v1(params=27_095_374, macs=1_608_015_360)
def yolo_v1_tiny(classes: int = 20, *, c_in: int = 3, size: int = 448) -> Classifier:
    head = _grid(TINY_1[-1][-1].c, _side(TINY_1, size), 5 * BOXES + classes, dense=0)
    model = Classifier(stages=_stages(TINY_1, c_in), head=head)
    _he_normal(model)
    return model


@_v2(params=50_655_389, macs=14_680_167_424)
def yolo_v2(classes: int = 20, *, c_in: int = 3, size: int = 416, width: float = 1.0) -> Pyramid:
    _side(TABLE_6, size)
    stages = _stages(TABLE_6, c_in, width=width)
    fine, c, passed = (_narrowed(count, width) for count in (TABLE_6[-2][-1].c, TABLE_6[-1][-1].c, PASSED))
    head = PassThrough(fine, c, PRIORS * (5 + classes), passed=passed)
    model = Pyramid(stages=stages, head=head, taps=["stage5", "stage6"])
    _he_normal(model)
    return model


def _tiny(classes: int, *, c_in: int, size: int, last: int, width: float) -> Classifier:
    """Return the small YOLOv2, whose last convolution but the answers has `last` channels."""
    table = tuple((Conv(3, c),) for c in (16, 32, 64, 128, 256, 512))
    _side(table, size)
    first = _stages(table, c_in, width=width)
    c, wide, last = (_narrowed(count, width) for count in (table[-1][-1].c, 1024, last))
    layers = {
        # pooled 2x2 at stride 1: with the last row and column repeated, the size stays and no other value comes in
        "pad": nn.ReplicationPad2d((0, 1, 0, 1)),
        "pool": nn.MaxPool2d(2, stride=1),
        "conv1": _unit(c, Conv(3, wide)),
    }
    stages = [*first, nn.Sequential(OrderedDict(layers))]
    answers = nn.Conv2d(last, PRIORS * (5 + classes), 1)
    head = nn.Sequential(OrderedDict({"conv": _unit(wide, Conv(3, last)), "answers": answers}))
    model = Classifier(stages=stages, head=head)
    _he_normal(model)
    return model


@_v2(params=15_861_773, macs=3_485_520_896)
def yolo_v2_tiny_voc(classes: int = 20, *, c_in: int = 3, size: int = 416, width: float = 1.0) -> Classifier:
    return _tiny(classes, c_in=c_in, size=size, last=1024, width=width)


@_v2(params=11_232_057, macs=2_703_221_248)
def yolo_v2_tiny_coco(classes: int = 80, *, c_in: int = 3, size: int = 416, width: float = 1.0) -> Classifier:
    return _tiny(classes, c_in=c_in, size=size, last=512, width=width)

"""NASNet-A: Zoph, Vasudevan, Shlens and Le 2017, arXiv:1707.07012. Cells: Figure 4. Networks: Figure 2, right.

A cell sees the maps of the two cells before it. Mobile is 4 @ 1056, large 6 @ 4032: repeats of the normal cell in each
stage, and maps before the logits, 24 times those of the first normal cells.

Departures: no auxiliary head, no dropout, no ScheduledDropPath, as in published weights. Where the paper says nothing,
as the authors' code has it: two cells of reduction in the stem, the first of which sees its input unsqueezed; where
maps shrink, those before are halved by two convolutions, one shifted by a pixel; in the large network the cell behind
a reduction sees one cell further back. Averages that shrink maps count their padding, as in timm, whose weights we
load; the authors' do not. He normal initialisation.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.resnet import he_normal

EPS = 1e-3  # of batch norm
Pair = tuple[Tensor, Tensor]
"""The last maps, and those before."""


class Step(NamedTuple):
    """A sum of two operations, each on `h` (the last maps), `prev` (those before) or an earlier step."""

    left: str
    of: str
    right: str
    and_of: str


NORMAL = (
    Step("sep 5x5",  "h",     "sep 3x3",  "prev"),
    Step("sep 5x5",  "prev",  "sep 3x3",  "prev"),
    Step("avg 3x3",  "h",     "identity", "prev"),
    Step("avg 3x3",  "prev",  "avg 3x3",  "prev"),
    Step("sep 3x3",  "h",     "identity", "h"),
)  # fmt: skip
REDUCTION = (
    Step("sep 5x5",  "h",     "sep 7x7",  "prev"),
    Step("max 3x3",  "h",     "sep 7x7",  "prev"),
    Step("avg 3x3",  "h",     "sep 5x5",  "prev"),
    Step("identity", "step2", "avg 3x3",  "step1"),
    Step("sep 3x3",  "step1", "max 3x3",  "h"),
)  # fmt: skip
OUTPUTS: dict[tuple[Step, ...], tuple[str, ...]] = {
    NORMAL: ("prev", "step1", "step2", "step3", "step4", "step5"),
    REDUCTION: ("step2", "step3", "step4", "step5"),
}
"""What a cell puts behind one another: what nothing else in it uses, and, in the normal one, the maps before."""


class Pad(nn.Module):
    """Pad, for a window of `kernel` at stride 2, what ceil(size / 2) positions need: of an even size less before.

    (N, C, H, W) -> (N, C, H', W')
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with zeros around it."""
        H, W = x.shape[2:]
        half = self.kernel // 2
        return F.pad(x, (half - 1 + W % 2, half, half - 1 + H % 2, half))


class Pool(nn.Module):
    """Average or maximum of 3x3; averages at stride 2 count the zeros around the maps, those at stride 1 do not.

    (N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, kind: str, stride: int) -> None:
        super().__init__()
        self.kind, self.stride = kind, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled maps."""
        if self.stride == 1:
            return self._same(x)
        if self.kind == "avg":
            return F.avg_pool2d(Pad(3)(x), 3, 2)
        # the windows on an even size begin at the first pixel, and the last one hangs over
        return F.max_pool2d(x, 3, 2, (x.shape[2] % 2, x.shape[3] % 2), ceil_mode=True)

    def _same(self, x: Tensor) -> Tensor:
        if self.kind == "max":
            return F.max_pool2d(x, 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def extra_repr(self) -> str:
        """Return kind and stride, for printouts."""
        return f"{self.kind}, stride={self.stride}"


class Halved(nn.Module):
    """ReLU, every second pixel by 1x1, and by another those a pixel further; put behind one another, BN.

    (N, c_in, H, W) -> (N, c, ceil(H / 2), ceil(W / 2))
    """

    def __init__(self, c_in: int, c: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(c_in, c // 2, 1, stride=2, bias=False)
        self.conv2 = nn.Conv2d(c_in, c - c // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(c, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the halved maps."""
        x = self.relu(x)
        shifted = F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))
        return cast(Tensor, self.bn(torch.cat([self.conv1(x), self.conv2(shifted)], 1)))


def _separable(c_in: int, c: int, kernel: int, stride: int) -> nn.Sequential:
    """Twice ReLU, depthwise, pointwise, BN; the first with the stride."""
    layers: dict[str, nn.Module] = {}
    for i, (maps, step) in enumerate(((c_in, stride), (c, 1)), start=1):
        layers[f"relu{i}"] = nn.ReLU()
        if step == 2:
            layers["pad"] = Pad(kernel)
        padding = 0 if step == 2 else kernel // 2
        layers[f"depthwise{i}"] = nn.Conv2d(maps, maps, kernel, stride=step, padding=padding, groups=maps, bias=False)
        layers[f"pointwise{i}"] = nn.Conv2d(maps, c, 1, bias=False)
        layers[f"bn{i}"] = nn.BatchNorm2d(c, eps=EPS)
    return nn.Sequential(OrderedDict(layers))


def _squeeze(c_in: int, c: int) -> nn.Sequential:
    """ReLU, 1x1, BN: (N, c_in, H, W) -> (N, c, H, W)."""
    layers = {"relu": nn.ReLU(), "conv": nn.Conv2d(c_in, c, 1, bias=False), "bn": nn.BatchNorm2d(c, eps=EPS)}
    return nn.Sequential(OrderedDict(layers))


def _operation(name: str, c_in: int, c: int, *, stride: int) -> nn.Module:
    if name == "identity":
        return nn.Identity()
    kind, kernel = name.split()
    return _separable(c_in, c, int(kernel[0]), stride) if kind == "sep" else Pool(kind, stride)


class Cell(nn.Module):
    """The sums of Figure 4 on the last maps, squeezed, and those before, adjusted to them; put behind one another.

    `prev` is what makes the maps before as many and as large as `c` squeezed ones; without it they stay as they are.
    `skips` says that the next cell gets those before this cell, in place of those that it saw last.

    ((N, c_h, H, W), (N, c_prev, ...)) -> ((N, 4 c or 6 c, ...), (N, c_h, H, W))
    """

    def __init__(
        self, steps: tuple[Step, ...], c_h: int, c: int, *, prev: nn.Module | None, skips: bool = False
    ) -> None:
        super().__init__()
        self.outputs, self.skips = OUTPUTS[steps], skips
        self.adjust = prev or nn.Identity()
        self.squeeze = _squeeze(c_h, c)
        inputs = {"h": c, "prev": c if prev else c_h}
        for i, step in enumerate(steps, start=1):
            sides = ((step.left, step.of), (step.right, step.and_of))
            layers = [
                _operation(name, inputs.get(of, c), c, stride=2 if steps is REDUCTION and of in inputs else 1)
                for name, of in sides
            ]
            self.add_module(f"step{i}", nn.ModuleDict(dict(zip(("left", "right"), layers, strict=True))))
        self.steps = steps

    def forward(self, x: Tensor | Pair) -> Pair:
        """Return the new maps, and those the next cell takes for the ones before."""
        last, before = x if isinstance(x, tuple) else (x, x)
        maps = {"h": self.squeeze(last), "prev": self.adjust(before)}
        for i, step in enumerate(self.steps, start=1):
            layers = cast(nn.ModuleDict, getattr(self, f"step{i}"))
            maps[f"step{i}"] = layers["left"](maps[step.of]) + layers["right"](maps[step.and_of])
        return torch.cat([maps[name] for name in self.outputs], 1), before if self.skips else last


class Last(nn.Module):
    """ReLU on the last maps: ((N, c, H, W), ...) -> (N, c, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: Pair) -> Tensor:
        """Return the feature map."""
        return cast(Tensor, self.relu(x[0]))


class Network(NamedTuple):
    n: int  # normal cells in each stage
    penultimate: int  # maps before the logits
    stem: int  # maps of the first convolution
    skips: bool  # whether a cell behind a reduction sees further back


MOBILE, LARGE = Network(4, 1056, 32, skips=False), Network(6, 4032, 96, skips=True)


class _Maps:
    """What is known of the maps while cells are added: how many the last and those before have, and how large."""

    def __init__(self, c: int) -> None:
        self.c_h = self.c_prev = c
        self.same_size = self.first = True

    def cell(self, steps: tuple[Step, ...], c: int, *, skips: bool = False) -> Cell:
        """Return the next cell."""
        prev = None if self.first else (_squeeze if self.same_size else Halved)(self.c_prev, c)
        cell = Cell(steps, self.c_h, c, prev=prev, skips=skips)
        # where a reduction skips, the maps before are those of two cells before, as large as the last were
        self.c_prev = self.c_prev if skips else self.c_h
        self.c_h = c * len(OUTPUTS[steps])
        self.same_size, self.first = steps is NORMAL, False
        return cell


def _nasnet(network: Network, *, classes: int, c_in: int) -> Classifier:
    maps, c = _Maps(network.stem), network.penultimate // 24
    stem: dict[str, nn.Module] = {
        "conv": nn.Conv2d(c_in, network.stem, 3, stride=2, bias=False),
        "bn": nn.BatchNorm2d(network.stem, eps=EPS),
    }
    stem |= {f"cell{i}": maps.cell(REDUCTION, c // divisor) for i, divisor in ((1, 4), (2, 2))}
    stages = []
    for factor in (1, 2, 4):
        cells = [maps.cell(REDUCTION, c * factor, skips=network.skips)] if factor > 1 else []
        cells += [maps.cell(NORMAL, c * factor) for _ in range(network.n)]
        stages.append(nn.Sequential(OrderedDict((f"cell{i}", cell) for i, cell in enumerate(cells, start=1))))
    stages[-1].add_module("last", Last())
    head = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "logits": nn.Linear(maps.c_h, classes)}
    body = nn.Sequential(OrderedDict(stem))
    return he_normal(Classifier(stem=body, stages=stages, head=nn.Sequential(OrderedDict(head))))


TIMM = (
    (r"^conv0\.", "stem."),
    *((rf"^cell_stem_{i}\.", f"stem.cell{i + 1}.") for i in (0, 1)),
    *((rf"^reduction_cell_{i}\.", f"stage{i + 2}.cell1.") for i in (0, 1)),
    *((rf"^cell_{i}\.", f"stage1.cell{i + 1}.") for i in range(6)),
    *((rf"^cell_{i}\.", f"stage{i // 6 + 1}.cell{i % 6 + 2}.") for i in range(6, 18)),
    (r"\.conv_1x1\.", ".squeeze."),
    (r"\.conv_prev_1x1\.", ".adjust."),
    (r"\.path_(\d)\.conv\.", r".adjust.conv\1."),
    (r"\.final_path_bn\.", ".adjust.bn."),
    *((rf"\.comb_iter_{i}_(left|right)\.", rf".step{i + 1}.\1.") for i in range(5)),
    (r"\.separable_(\d)\.(depthwise|pointwise)_conv2d\.", r".\2\1."),
    (r"\.bn_sep_(\d)\.", r".bn\1."),
    (r"^last_linear\.", "head.logits."),
)
PEER = Peer(
    "nasnetalarge",
    TIMM,
    weights="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/nasnetalarge-dc4a7b8b.pth",
    licence="Apache-2.0 (timm)",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
_register = partial(
    register,
    paper="arXiv:1707.07012",
    title="Learning transferable architectures for scalable image recognition",
    authors="Zoph et al.",
    year=2017,
    published="Table 2",
    decks=("002",),
)


def _checked(network: Network, *, classes: int, c_in: int, size: int) -> Classifier:
    chained(size, [Window("stem.conv", 3, stride=2)])
    return _nasnet(network, classes=classes, c_in=c_in)


@_register(input=(3, 224, 224), params=5_289_978, macs=563_638_816, top1=74.0, top5=91.6, published="Table 3")
def nasnet_mobile(classes: int = 1000, *, c_in: int = 3, size: int = 224) -> Classifier:
    return _checked(MOBILE, classes=classes, c_in=c_in, size=size)


@_register(input=(3, 331, 331), params=88_753_150, macs=23_783_414_658, top1=82.7, top5=96.2, peers={"timm": PEER})
def nasnet_large(classes: int = 1000, *, c_in: int = 3, size: int = 331) -> Classifier:
    return _checked(LARGE, classes=classes, c_in=c_in, size=size)

"""Xception: Chollet 2016, arXiv:1610.02357. Figure 5.

Departures: none from the figure. The paper does not print the constants of its batch norm; the eps here is PyTorch's
1e-5, as in the port of its weights. He normal initialisation.
"""

from collections import OrderedDict
from typing import NamedTuple, cast

from torch import Tensor, nn

from fovea.layers import Classifier
from fovea.registry import Peer, register
from fovea.shapes import Window, chained
from fovea.zoo.inception import dropout_head, he_normal


class Block(NamedTuple):
    c: tuple[int, ...]  # output channels of the separable convolutions
    s: int  # stride of the pooling after them; without it, 1
    relu: bool = True  # whether it begins with ReLU


FIGURE_5 = (
    (  # entry flow
        Block((128, 128), 2, relu=False),  # 74 x 74
        Block((256, 256), 2),  # 37 x 37
        Block((728, 728), 2),  # 19 x 19
    ),
    (Block((728, 728, 728), 1),) * 8,  # middle flow
    (Block((728, 1024), 2),),  # exit flow, 10 x 10
)
EXIT = (1536, 2048)  # the last two separable convolutions


def separable(c_in: int, c_out: int) -> nn.Sequential:
    """3x3 depthwise, 1x1 pointwise: (N, c_in, H, W) -> (N, c_out, H, W)."""
    layers = {
        "depthwise": nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False),
        "pointwise": nn.Conv2d(c_in, c_out, 1, bias=False),
    }
    return nn.Sequential(OrderedDict(layers))


class XceptionBlock(nn.Module):
    """(ReLU, separable convolution, BN) repeated (, 3x3 max pooling); plus the input, projected where shapes change.

    (N, c_in, H, W) -> (N, c[-1], ceil(H / s), ceil(W / s))
    """

    def __init__(self, c_in: int, block: Block) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        shortcut = {
            "conv": nn.Conv2d(c_in, block.c[-1], 1, stride=block.s, bias=False),
            "bn": nn.BatchNorm2d(block.c[-1]),
        }
        self.shortcut = nn.Identity() if block.s == 1 else nn.Sequential(OrderedDict(shortcut))
        for i, c in enumerate(block.c, start=1):
            if i > 1 or block.relu:
                layers[f"relu{i}"] = nn.ReLU()
            layers |= {f"separable{i}": separable(c_in, c), f"bn{i}": nn.BatchNorm2d(c)}
            c_in = c
        if block.s > 1:
            layers["pool"] = nn.MaxPool2d(3, stride=block.s, padding=1)
        self.residual = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x) + shortcut(x)."""
        return cast(Tensor, self.residual(x) + self.shortcut(x))


def _stem(c_in: int) -> nn.Sequential:
    """3x3 at stride 2 and 3x3, with BN and ReLU, no padding: (N, c_in, 299, 299) -> (N, 64, 147, 147)."""
    layers = {
        "conv1": nn.Conv2d(c_in, 32, 3, stride=2, bias=False),
        "bn1": nn.BatchNorm2d(32),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(32, 64, 3, bias=False),
        "bn2": nn.BatchNorm2d(64),
        "relu2": nn.ReLU(),
    }
    return nn.Sequential(OrderedDict(layers))


def _xception(classes: int, *, c_in: int) -> Classifier:
    c, stages = 64, []
    for flow in FIGURE_5:
        layers: dict[str, nn.Module] = {}
        for i, block in enumerate(flow, start=1):
            layers[f"block{i}"] = XceptionBlock(c, block)
            c = block.c[-1]
        stages.append(nn.Sequential(OrderedDict(layers)))
    for i, c_out in enumerate(EXIT, start=1):
        for name, layer in ((f"separable{i}", separable(c, c_out)), (f"bn{i}", nn.BatchNorm2d(c_out))):
            stages[-1].add_module(name, layer)
        stages[-1].add_module(f"relu{i}", nn.ReLU())
        c = c_out
    return he_normal(Classifier(stem=_stem(c_in), stages=stages, head=dropout_head(c, classes, dropout=0.5)))


RULES = (
    (r"^(conv|bn)([12])\.", r"stem.\1\2."),
    (r"^block([123])\.", r"stage1.block\1."),
    *((rf"^block{i + 3}\.", f"stage2.block{i}.") for i in range(1, 9)),
    (r"^block12\.", "stage3.block1."),
    *((rf"^conv{i + 2}\.", f"stage3.separable{i}.") for i in (1, 2)),
    *((rf"^bn{i + 2}\.", f"stage3.bn{i}.") for i in (1, 2)),
    (r"\.skip\.", ".shortcut.conv."),
    (r"\.skipbn\.", ".shortcut.bn."),
    *((rf"^stage1\.block1\.rep\.{3 * i - 3}\.", f"stage1.block1.residual.separable{i}.") for i in (1, 2)),
    *((rf"^stage1\.block1\.rep\.{3 * i - 2}\.", f"stage1.block1.residual.bn{i}.") for i in (1, 2)),
    *((rf"\.rep\.{3 * i - 2}\.", f".residual.separable{i}.") for i in (1, 2, 3)),
    *((rf"\.rep\.{3 * i - 1}\.", f".residual.bn{i}.") for i in (1, 2, 3)),
    (r"\.(separable\d)\.conv1\.", r".\1.depthwise."),
    (r"^fc\.", "head.logits."),
)
PEER = Peer(
    "legacy_xception",
    RULES,
    weights="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
    licence="Apache-2.0 (timm)",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


@register(
    paper="arXiv:1610.02357",
    title="Xception: Deep learning with depthwise separable convolutions",
    authors="Chollet",
    year=2016,
    input=(3, 299, 299),
    params=22_855_952,
    macs=8_357_403_496,
    top1=79.0,
    top5=94.5,
    published="Chollet 2016, Table 1",
    decks=("002",),
    peers={"timm": PEER},
)
def xception(classes: int = 1000, *, c_in: int = 3, size: int = 299) -> Classifier:
    chained(size, [Window("stem.conv1", 3, stride=2), Window("stem.conv2", 3)])
    return _xception(classes, c_in=c_in)

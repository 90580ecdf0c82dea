"""Networks by pattern: lecture 000, "Putting it all together": C convolution, R ReLU, P max pooling, F dense layer.

`CRCRP CRCRP F` is two stages of two convolutions and a pooling each, then the logits. Spaces are for the reader. The
last F is the logits, added where it is missing; F before it are hidden dense layers. `letters.py` has all letters:
`C16k5p0RP (C32s2BRC32B)R W B R C64 B R G F` has a 5x5 kernel without padding, a residual block and a depthwise layer.

Departures: the lecture gives letters only. Where no numbers stand, convolutions are 3x3 and keep the size, pooling is
2x2; a stage is as wide as `widths` says, by default 32, doubled from stage to stage up to 512, and a hidden dense layer
128; dropout takes a half. Convolutions right before a batch norm have no bias. Where the path of a residual block
changes the shape, a 1x1 convolution and batch norm stand for the identity: shortcut B of He et al. 2015.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from torch import Tensor, nn

from fovea.errors import ShapeError, UsageError
from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.letters import MOST_LETTERS, OPENED, Pattern, Word, blocks, read, words
from fovea.zoo.resnet import projection
from fovea.zoo.vgg_blocks import he_uniform

FIRST, MOST, DENSE = 32, 512, 128  # default widths
HALF = 50  # percent of dropout
NAMES = {
    **{"C": "conv", "W": "depthwise", "B": "bn", "R": "relu", "P": "pool", "A": "average", "D": "dropout"},
    OPENED: "block",
}
"""What the layers of each letter are called; of each kind in a stage they are numbered."""


class Path(nn.Module):
    """F(x) + shortcut(x); the shapes are those of F, `residual`."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return F(x) + shortcut(x)."""
        return cast(Tensor, self.residual(x) + self.shortcut(x))


@dataclass
class _Made:
    """The maps as far as they have come: their channels, and all windows over the input up to there."""

    c: int
    size: int
    windows: list[Window] = field(default_factory=list)

    def through(self, path: str, word: Word) -> tuple[int, int, int]:
        """Return kernel, stride and padding of a letter, and take note of them."""
        pools = word.letter in "PA"
        kernel = word.kernel or (2 if pools else 3)
        stride = word.stride or (kernel if pools else 1)
        padding = word.padding if word.padding is not None else 0 if pools else (kernel - 1) // 2
        if pools and 2 * padding > kernel:
            raise UsageError(
                f"`{word.text}`: the padding of a pooling layer must be at most half of its kernel (={kernel})."
            )
        self.windows.append(Window(path, kernel, stride=stride, padding=padding))
        return kernel, stride, padding


def _layers(block: Sequence[Word], path: str, made: _Made, *, width: int) -> nn.Sequential:
    """Return the layers of letters, numbered by kind: (N, C, H, W) -> (N, C', H', W')."""
    layers: dict[str, nn.Module] = {}
    parts = list(blocks(block))
    for part, after in zip(parts, [*parts[1:], [Word("")]], strict=True):
        name = NAMES[part[0].letter]
        name += str(1 + sum(layer.rstrip("0123456789") == name for layer in layers))
        inner = f"{path}.{name}"
        if part[0].letter == OPENED:
            layers[name] = _path(part[1:-1], inner, made, width=width)
        else:
            layers[name] = _layer(part[0], inner, made, width=width, bias=after[0].letter != "B")
    return nn.Sequential(OrderedDict(layers))


def _layer(word: Word, path: str, made: _Made, *, width: int, bias: bool) -> nn.Module:
    if word.letter in "CW":
        kernel, stride, padding = made.through(path, word)
        c_in = made.c
        made.c = c_in if word.letter == "W" else word.count or width
        groups = c_in if word.letter == "W" else word.groups or 1
        if c_in % groups or made.c % groups:
            raise UsageError(f"`{word.text}`: the groups (={groups}) must divide {c_in} and {made.c} channels.")
        return nn.Conv2d(c_in, made.c, kernel, stride=stride, padding=padding, groups=groups, bias=bias)
    if word.letter in "PA":
        kernel, stride, padding = made.through(path, word)
        return (nn.MaxPool2d if word.letter == "P" else nn.AvgPool2d)(kernel, stride, padding)
    return nn.BatchNorm2d(made.c) if word.letter == "B" else _function(word)


def _function(word: Word) -> nn.Module:
    """Return ReLU or dropout."""
    if word.letter == "R":
        return nn.ReLU6() if word.count else nn.ReLU()
    return nn.Dropout((HALF if word.count is None else word.count) / 100)


def _path(block: Sequence[Word], path: str, made: _Made, *, width: int) -> Path:
    """Return a residual block of letters: (N, C, H, W) -> (N, C', H / stride, W / stride)."""
    c_in, before = made.c, list(made.windows)
    residual = _layers(block, f"{path}.residual", made, width=width)
    strides = [window.stride for window in made.windows[len(before) :]]
    stride = int(math.prod(strides))
    beside = [*before, Window(f"{path}.shortcut", 1, stride=stride)]
    ends, size = chained(made.size, made.windows), chained(made.size, beside)
    if ends != size:
        raise ShapeError(
            f"`{path}` adds maps of {ends}x{ends} to maps of {size}x{size}: inside ( ) each kernel must keep the "
            "size, which is the default without `p`."
        )
    same = made.c == c_in and stride == 1
    return Path(residual, nn.Identity() if same else projection(c_in, made.c, stride=stride))


def _head(letters: Pattern, c_in: int, widths: Sequence[int], classes: int) -> nn.Sequential:
    """Dense layers, each with what its letters ask for, then the logits: (N, c_in in all) -> (N, classes)."""
    layers: dict[str, nn.Module] = {"pool": nn.AdaptiveAvgPool2d(1)} if letters.pooled else {}
    layers["flatten"] = nn.Flatten()
    for word in (words(letters.pooled) or [])[1:]:
        layers["dropout"] = _function(word)
    for i, (layer, width) in enumerate(zip(letters.hidden, widths, strict=True), start=1):
        dense, *others = words(layer) or [Word("F")]
        layers[f"dense{i}"] = nn.Linear(c_in, dense.count or width)
        c_in = dense.count or width
        for word in others:
            layers[f"{NAMES[word.letter]}{i}"] = nn.BatchNorm1d(c_in) if word.letter == "B" else _function(word)
    layers["logits"] = nn.Linear(c_in, classes)
    return nn.Sequential(OrderedDict(layers))


def _widths(given: Sequence[int], letters: Pattern) -> tuple[Sequence[int], Sequence[int]]:
    """Return the widths of the stages and of the hidden dense layers."""
    stages, hidden = len(letters.stages), len(letters.hidden)
    widths = list(given) or [min(FIRST * 2**i, MOST) for i in range(stages)] + hidden * [DENSE]
    if len(widths) != stages + hidden or not all(type(width) is int and width >= 1 for width in widths):
        raise UsageError(
            f"`widths` (={list(given)}) must be {stages + hidden} integers of at least 1: one for each of "
            f"{', '.join((*letters.stages, *letters.hidden))}."
        )
    return widths[:stages], widths[stages:]


@register(
    paper="this project",
    title="Patterns of convolution, ReLU, pooling and dense layers",
    year=2026,
    input=(3, 32, 32),
    params=106_538,
    macs=24_518_656,
    decks=("000",),
)
def pattern(
    classes: int = 10, *, c_in: int = 3, size: int = 32, pattern: str = "CRCRP CRCRP F", widths: Sequence[int] = ()
) -> Classifier:
    letters = read(pattern)
    if letters is None:
        raise UsageError(
            f"`pattern` (={pattern[:80]}) must be letters C (convolution), R (ReLU) and P (pooling), beginning with C, "
            f"then F (dense layer), as `CRCRP CRCRP F`; also W, B, A, D, G, ( ) and numbers as in `C64k5s2p0`; at most "
            f"{MOST_LETTERS}."
        )
    stage_widths, hidden_widths = _widths(widths, letters)
    made = _Made(c_in, size)
    stages = [
        _layers(words(stage) or [], f"stage{i}", made, width=width)
        for i, (stage, width) in enumerate(zip(letters.stages, stage_widths, strict=True), start=1)
    ]
    last = chained(size, made.windows)
    values = made.c if letters.pooled else made.c * last**2
    return he_uniform(Classifier(stages=stages, head=_head(letters, values, hidden_widths, classes)))

"""Networks by pattern: lecture 000, "Putting it all together": C convolution, R ReLU, P max pooling, F dense layer.

`CRCRP CRCRP F` is two stages of two convolutions and a pooling each, then the logits. Spaces are for the reader. The
last F is the logits, added where it is missing; F before it are hidden dense layers.

Departures: the lecture gives letters only. Convolutions are 3x3 and keep the size, pooling is 2x2; a stage is as wide
as `widths` says, by default 32, doubled from stage to stage up to 512, and a hidden dense layer 128.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from fovea.errors import UsageError
from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained
from fovea.zoo.vgg_blocks import he_uniform

LETTERS = re.compile(r"(?P<stages>C[CRP]*)(?P<head>(?:FR?)*)")
MOST_LETTERS = 1000
FIRST, MOST, DENSE = 32, 512, 128  # default widths


class Pattern(NamedTuple):
    stages: tuple[str, ...]  # as "CRCRP": each begins with C, and ends before the C that follows a P
    hidden: tuple[str, ...]  # "F" or "FR": dense layers before the logits


def read(pattern: str) -> Pattern | None:
    """Return what the letters mean, None where they are no pattern.

    >>> read("CRCRP CRP FRF")
    Pattern(stages=('CRCRP', 'CRP'), hidden=('FR',))
    """
    letters = "".join(pattern.split())
    match = LETTERS.fullmatch(letters)
    if match is None or len(letters) > MOST_LETTERS:
        return None
    return Pattern(
        stages=tuple(re.findall(r"C[CR]*[PR]*", match["stages"])),
        hidden=tuple(re.findall(r"FR?", match["head"].removesuffix("F"))),
    )


def _stage(letters: str, c_in: int, width: int) -> nn.Sequential:
    """Return the layers of the letters, numbered: (N, c_in, H, W) -> (N, width, H / 2^P, W / 2^P)."""
    layers: dict[str, nn.Module] = {}
    for letter in letters:
        name = {"C": "conv", "R": "relu", "P": "pool"}[letter]
        number = 1 + sum(layer.startswith(name) for layer in layers)
        if letter == "C":
            layers[f"conv{number}"] = nn.Conv2d(c_in, width, 3, padding=1)
            c_in = width
        else:
            layers[f"{name}{number}"] = nn.ReLU() if letter == "R" else nn.MaxPool2d(2)
    return nn.Sequential(OrderedDict(layers))


def _head(hidden: Sequence[str], c_in: int, widths: Sequence[int], classes: int) -> nn.Sequential:
    """Dense layers, each with its ReLU where there is an R, then the logits: (N, c_in in all) -> (N, classes)."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for i, (letters, width) in enumerate(zip(hidden, widths, strict=True), start=1):
        layers[f"dense{i}"] = nn.Linear(c_in, width)
        if "R" in letters:
            layers[f"relu{i}"] = nn.ReLU()
        c_in = width
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
            f"then F (dense layer), as `CRCRP CRCRP F`; at most {MOST_LETTERS}."
        )
    stage_widths, hidden_widths = _widths(widths, letters)
    windows, stages = [], []
    for i, (stage, width) in enumerate(zip(letters.stages, stage_widths, strict=True), start=1):
        windows += [Window(f"stage{i}.pool{j}", 2, stride=2) for j in range(1, stage.count("P") + 1)]
        stages.append(_stage(stage, c_in, width))
        c_in = width
    head = _head(letters.hidden, c_in * chained(size, windows) ** 2, hidden_widths, classes)
    return he_uniform(Classifier(stages=stages, head=head))

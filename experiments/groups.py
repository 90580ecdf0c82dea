"""Accuracy against the number of groups, from the standard convolution to the depthwise one.

Lecture 002: groupwise convolution is a "trade-off between standard conv2D filtering and depth-wise filtering: use more
of these grouped filters to get more output channels"; its Figures 11 and 12 compare networks on CIFAR-10 with
ShuffleNet and MobileNetV2, by FLOPs and by parameters. (Their other half is Tiny ImageNet, which is not at hand; and
their own networks, of pre-defined sparsity, are not these.)

Blocks of a 3x3 convolution in groups and a 1x1 convolution, each with batch norm and ReLU: as wide as the network of
one group, or so much wider that the multiply-adds, or the parameters, are as many. Beside them networks of the blocks
of ShuffleNet and MobileNetV2, in the same three stages, widened to the same multiply-adds.
"""

import json
from bisect import bisect
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from torch import nn

from experiments.figures import COLOURS, axes, save
from experiments.harness import Data, accuracy, experiment, load, over_seeds, probabilities, started, trained
from fovea.layers import Classifier
from fovea.measurement.network import measure_network
from fovea.training.recipe import Recipe
from fovea.zoo.mobilenet_v2 import InvertedResidual
from fovea.zoo.resnet import he_normal, head
from fovea.zoo.shufflenet_v1 import Unit

SIZE, CLASSES = 32, 10
STAGES, BLOCKS = 3, 1  # blocks in a stage
STEM, WIDTH, WIDEST = 12, 12, 160  # channels of the stem; of the first stage with one group, and at most
GROUPS = {"1 group": 1, "2 groups": 2, "4 groups": 4, "6 groups": 6}
STANDARD = "1 group"
SHUFFLED_GROUPS, EXPANSION = 2, 4
ALIKE = {"equal width": "width", "equal MACs": "macs", "equal parameters": "parameters"}
"""What the networks of one curve share, as a figure of `Cost` where it is one."""

Block = Callable[..., nn.Module]


class Cost(NamedTuple):
    """What an image costs, and a network holds."""

    macs: int
    parameters: int


class Result(NamedTuple):
    """What one network reaches, with an accuracy for each seed."""

    alike: str
    kind: str
    macs: int
    parameters: int
    accuracies: list[float]


def grouped(c_in: int, c_out: int, *, stride: int, groups: int = 0) -> nn.Module:
    """3x3 in groups (none: depthwise), BN, ReLU, 1x1, BN, ReLU.

    (N, c_in, H, W) -> (N, c_out, ceil(H / stride), ceil(W / stride))
    """
    conv = nn.Conv2d(c_in, c_in, 3, stride=stride, padding=1, groups=groups or c_in, bias=False)
    first = [conv, nn.BatchNorm2d(c_in), nn.ReLU()]
    return nn.Sequential(*first, nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


def shuffled(c_in: int, c_out: int, *, stride: int) -> nn.Module:
    """ShuffleNet's unit; at stride 1 it needs as many channels as before, so that a 1x1 convolution widens."""
    if stride == 1 and c_in != c_out:
        wider = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())
        return nn.Sequential(wider, shuffled(c_out, c_out, stride=1))
    return Unit(c_in, c_out, stride=stride, groups=SHUFFLED_GROUPS, first_groups=SHUFFLED_GROUPS)


BLOCKS_OF: dict[str, tuple[Block, int]] = {
    **{name: (partial(grouped, groups=g), g) for name, g in GROUPS.items()},
    "depthwise": (grouped, 1),
    "ShuffleNet's": (shuffled, 8),
    "MobileNetV2's": (partial(InvertedResidual, expand=EXPANSION), 1),
}
"""A block, and what channels must be a multiple of."""
PEERS = ("ShuffleNet's", "MobileNetV2's")


def widths_of(kind: str, width: float) -> tuple[int, ...]:
    """Return the stages' channels: `width`, twice and four times it, to the next multiple that the block takes."""
    multiple = BLOCKS_OF[kind][1]
    return tuple(max(1, round(width * 2**i / multiple)) * multiple for i in range(STAGES))


def network(kind: str, widths: Sequence[int]) -> Classifier:
    """Stem and stages, each after the first at stride 2, as wide as `widths`: (N, 3, 32, 32) -> (N, 10)."""
    stem = nn.Sequential(nn.Conv2d(3, STEM, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU())
    c, stages = STEM, []
    for i, c_out in enumerate(widths):
        blocks = []
        for j in range(BLOCKS):
            blocks.append(BLOCKS_OF[kind][0](c, c_out, stride=2 if i and not j else 1))
            c = c_out
        stages.append(nn.Sequential(*blocks))
    return he_normal(Classifier(stem=stem, stages=stages, head=head(c, CLASSES)))


@cache
def cost(kind: str, widths: tuple[int, ...]) -> Cost:
    total = measure_network(network(kind, widths), (3, SIZE, SIZE)).total
    return Cost(total.macs, total.parameters)


def fitted(kind: str, alike: str) -> tuple[int, ...]:
    """Return the channels at which a network is closest to the standard one in what is alike."""
    standard = widths_of(STANDARD, WIDTH)
    if alike == "equal width":
        return standard
    figure = ALIKE[alike]
    target = getattr(cost(STANDARD, standard), figure)
    sizes = [widths_of(kind, half / 2) for half in range(2, 2 * WIDEST + 1)]
    above = bisect(sizes, target, key=lambda widths: getattr(cost(kind, widths), figure))  # it grows with the width
    return min(sizes[above - 1 : above + 1], key=lambda widths: abs(getattr(cost(kind, widths), figure) - target))


def contestants() -> list[tuple[str, str, tuple[int, ...]]]:
    """Return what is alike, the block, and the channels of every network; the peers have no equal width."""
    return [
        (alike, kind, fitted(kind, alike))
        for alike in ALIKE
        for kind in BLOCKS_OF
        if alike != "equal width" or kind not in PEERS
    ]


def run(data: Data, recipe: Recipe, seeds: Sequence[int]) -> list[Result]:
    """Return what every contestant reaches; networks that are alike in two ways are trained once."""
    reached: dict[tuple[str, tuple[int, ...]], list[float]] = {}
    found = []
    print("| alike | block | channels | MACs | parameters | test accuracy, % |\n|---|---|---|---|---|---|")
    for alike, kind, widths in contestants():
        if (kind, widths) not in reached:
            models = (trained(partial(network, kind, widths), data, recipe.replace(seed=seed)) for seed in seeds)
            reached[kind, widths] = [
                accuracy(probabilities(model, data.test, data.preprocess), data.test) for model in models
            ]
        macs, parameters = cost(kind, widths)
        found.append(Result(alike, kind, macs, parameters, reached[kind, widths]))
        channels, right = ", ".join(map(str, widths)), over_seeds(reached[kind, widths])
        print(f"| {alike} | {kind} | {channels} | {macs / 1e6:.2f} M | {parameters:,} | {right} |", flush=True)
    print(json.dumps([[*each[:4], [round(value, 4) for value in each.accuracies]] for each in found]))
    return found


def draw(found: Sequence[Result], out: Path) -> None:
    """Draw accuracy against groups, a curve for each thing alike and the peers as levels; and against MACs."""
    figure, (by_groups, by_macs) = axes(2, width=4.8)
    names = [kind for kind in BLOCKS_OF if kind not in PEERS]
    for colour, alike in zip(COLOURS, ALIKE, strict=False):
        curve = [each for each in found if each.alike == alike and each.kind not in PEERS]
        means = [100 * fmean(each.accuracies) for each in curve]
        for x, each in enumerate(curve):
            ends = [100 * end for end in (min(each.accuracies), max(each.accuracies))]
            by_groups.vlines(x, *ends, color=colour, alpha=0.4)
        by_groups.plot(range(len(means)), means, color=colour, marker=".", label=alike)
        by_macs.plot([each.macs / 1e6 for each in curve], means, color=colour, marker=".", ls="", label=alike)
    for style, colour, kind in zip(("--", ":"), COLOURS[3:], PEERS, strict=False):
        peers = [each for each in found if each.kind == kind]
        by_groups.axhline(100 * fmean(peers[0].accuracies), color=colour, ls=style, lw=1, label=f"{kind}, equal MACs")
        values = [100 * fmean(each.accuracies) for each in peers]
        by_macs.plot([each.macs / 1e6 for each in peers], values, color=colour, marker="D", ls="", label=kind)
    by_groups.set_xticks(range(len(names)), [name.removesuffix(" groups").removesuffix(" group") for name in names])
    by_groups.set(xlabel="groups of the 3x3 convolutions", ylabel="test accuracy in %")
    by_macs.set(xlabel="million MACs", ylabel="test accuracy in %")
    for plot in (by_groups, by_macs):
        low, high = plot.get_ylim()
        plot.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
        plot.legend(frameon=False, fontsize=7, loc="upper left", ncols=2)
    save(figure, out)


def main() -> None:
    given = started(experiment(__doc__, images=1_500, epochs=5, seeds=(0, 1, 2), picture="groups.png"))
    data = load("cifar10", train=given.images, test=2 * given.images)
    recipe = Recipe(epochs=given.epochs, batch=32, lr=0.1, keep_best=False, threads=1)
    print(f"{given.images:,} images of CIFAR-10, {given.epochs} epochs, seeds {given.seeds}")
    draw(run(data, recipe, given.seeds), given.out)


if __name__ == "__main__":
    main()

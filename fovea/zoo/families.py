"""The families of networks, a file of this package each: what each added, and from which others it descends.

Parents are those that the family's own paper names as where it begins; the first is the one it changed, further ones
are what it took from elsewhere.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fovea import registry
from fovea.registry import Entry
from fovea.texts import natural_key

MORE, LAST, RUNG = "├── ", "└── ", "│   "
"""What leads to a family that others follow, to the last one, and past one to its neighbours."""


class Family(NamedTuple):
    """What is said of a family as a whole."""

    title: str
    adds: str
    """What was new in it."""
    parents: tuple[str, ...] = ()
    """Names of families."""


FAMILIES = {
    "neocognitron": Family("Neocognitron", "local features, pooled, layer by layer"),
    "mlp": Family("Multilayer perceptron", "layers of units trained by back-propagation"),
    "lenet": Family("LeNet", "convolutions trained by back-propagation", ("neocognitron", "mlp")),
    "alexnet": Family("AlexNet and ZFNet", "ReLU, dropout, two GPUs; a thousand classes", ("lenet",)),
    "nin": Family("Network in network", "1x1 convolutions, global average pooling", ("alexnet",)),
    "vgg": Family("VGG", "nothing but 3x3, and deeper", ("alexnet",)),
    "vgg_blocks": Family("Lectures' networks", "few of VGG's blocks, for small images", ("vgg",)),
    "dogs_vs_cats": Family("Dogs versus cats", "a lecture's network of VGG's blocks", ("vgg",)),
    "vgg_axes": Family("VGG in 1-D and 3-D", "along one axis for series, three for clips (C3D)", ("vgg",)),
    "googlenet": Family("GoogLeNet", "kernels of several sizes side by side", ("nin",)),
    "all_cnn": Family("All-CNN", "strides in place of pooling", ("nin",)),
    "convnetjs": Family("ConvNetJS", "training in a browser", ("alexnet",)),
    "bn_inception": Family("BN-Inception", "batch norm", ("googlenet",)),
    "inception_v3": Family("Inception-v3", "kernels factorised into rows and columns", ("bn_inception",)),
    "prelu_net": Family("PReLU-net", "ReLUs with a learnt slope, He initialisation", ("vgg",)),
    "resnet": Family("ResNet", "a shortcut past every block", ("vgg", "prelu_net", "bn_inception")),
    "resnet_cifar": Family("ResNet for CIFAR-10", "shortcuts without parameters, up to 1202 layers", ("resnet",)),
    "inception_v4": Family("Inception-v4", "one plan for all modules, more of them", ("inception_v3",)),
    "inception_resnet": Family("Inception-ResNet", "Inception with shortcuts", ("inception_v4", "resnet")),
    "xception": Family("Xception", "each map filtered alone, then mixed by 1x1", ("inception_v3", "resnet")),
    "resnet_v2": Family("ResNet v2", "norm and ReLU before the convolution", ("resnet",)),
    "wide_resnet": Family("Wide ResNet", "wide instead of deep", ("resnet_v2",)),
    "pyramidnet": Family("PyramidNet", "every block a little wider", ("resnet_v2",)),
    "densenet": Family("DenseNet", "each layer takes all outputs before it", ("resnet_v2",)),
    "resnext": Family("ResNeXt", "many narrow groups in a block", ("resnet", "googlenet")),
    "time_series": Family("FCN, ResNet in 1-D", "series: convolutions that keep the length", ("resnet", "nin")),
    "waveform": Family("M3 to M18", "waveforms: a first window as wide as a filter bank", ("vgg", "bn_inception")),
    "squeezenet": Family("SqueezeNet", "few maps before 3x3: AlexNet's accuracy in 1.2 M", ("googlenet", "alexnet")),
    "mobilenet_v1": Family("MobileNet", "depthwise convolutions throughout, a width to choose", ("xception", "vgg")),
    "shufflenet_v1": Family("ShuffleNet", "1x1 in groups, channels shuffled", ("xception", "resnext")),
    "nasnet": Family("NASNet", "cells found by a search", ("inception_v3", "resnet", "xception")),
    "senet": Family("SENet", "maps weighed by what all are on average", ("resnext", "resnet")),
    "dpn": Family("DPN", "shortcuts that add, and others that append", ("resnext", "densenet")),
    "regression": Family("Coordinates as numbers", "a box or points beside the class", ("alexnet",)),
    "fcn": Family("FCN", "dense layers as convolutions: a class for every pixel", ("vgg",)),
    "unet": Family("U-Net", "a path back up, each level beside the one down", ("fcn",)),
    "segnet": Family("SegNet", "values put back where pooling took them from", ("fcn", "vgg")),
    "deeplab": Family("DeepLab", "holes in kernels in place of strides", ("fcn", "resnet")),
    "yolo": Family("YOLO", "all boxes in one look, from a grid of cells", ("googlenet",)),
    "retinanet": Family("RetinaNet", "anchors on five maps, a loss that forgets what is easy", ("resnet", "fcn")),
    "simple_baseline": Family("SimpleBaseline", "heat maps of points on ResNet", ("resnet",)),
    "centres": Family("Objects as points", "centres in place of anchors", ("retinanet", "simple_baseline")),
    "attention": Family("Residual attention", "masks that weigh places", ("resnet_v2",)),
    "capsnet": Family("CapsNet", "capsules that agree, in place of pooling", ("lenet",)),
    "r3d": Family("ResNet in 3-D", "clips: space and time together, or one by one", ("resnet", "vgg_axes")),
    "mobilenet_v2": Family("MobileNetV2", "narrow outside, wide inside, a linear end", ("mobilenet_v1", "resnet")),
    "mnasnet": Family("MnasNet", "a search that times a phone", ("mobilenet_v2", "senet", "nasnet")),
    "shufflenet_v2": Family("ShuffleNet V2", "drawn by the clock: halves, no groups", ("shufflenet_v1", "densenet")),
    "cbam": Family("CBAM", "maps weighed, then places", ("senet",)),
    "causal": Family("Causal stack", "series: looks back only, twice as far at each level", ("resnet",)),
    "mobilenet_v3": Family("MobileNetV3", "h-swish, a cheaper end", ("mnasnet", "mobilenet_v2")),
    "efficientnet": Family("EfficientNet", "depth, width and resolution grow together", ("mnasnet",)),
    "predefined_sparse": Family("Predefined sparsity", "zeros fixed before training", ("resnet_cifar", "vgg")),
    "regnet": Family("RegNet", "a rule for widths instead of a network", ("resnext", "senet")),
    "efficientnet_v2": Family("EfficientNetV2", "full 3x3 where maps are large", ("efficientnet",)),
    "repvgg": Family("RepVGG", "branches in training, a plain chain in use", ("vgg", "resnet")),
    "convnext": Family("ConvNeXt", "what transformers taught", ("resnext", "mobilenet_v2")),
    "foveola": Family("Foveola", "published ideas for small images", ("vgg", "bn_inception")),
    "pattern": Family("Networks by pattern", "letters instead of code", ("vgg",)),
}


def family_of(name: str) -> Family:
    """Return the family called `name`; of one that is not in the table, only the name is known."""
    return FAMILIES.get(name, Family(name, ""))


def name_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key of the name of a network that takes its numbers as numbers, and `_05` as 0.5.

    >>> sorted(["net_v1_05", "net_v1_025", "net110", "net20"], key=name_key)
    ['net20', 'net110', 'net_v1_025', 'net_v1_05']
    """
    return natural_key(re.sub(r"_0(\d)$", r"_0\g<1>0", name))


def grouped(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by the name of their family; families by the year of their first network, then by title."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.year, name_key(entry.name))):
        groups.setdefault(entry.family, []).append(entry)
    return dict(sorted(groups.items(), key=lambda item: (item[1][0].year, family_of(item[0]).title)))


class Line(NamedTuple):
    """A family in the tree."""

    name: str
    title: str
    year: int
    adds: str
    descends_from: tuple[str, ...]
    """Names of its parents; it stands below the first."""
    networks: tuple[str, ...]
    """Those that were asked for; none of a family that is here for its descendants."""
    branch: str
    """What leads to it from above, in a tree of text."""

    def to_dict(self) -> dict[str, Any]:
        """Return all but the drawing as JSON values."""
        values = {**self._asdict(), "descends_from": list(self.descends_from), "networks": list(self.networks)}
        del values["branch"]
        return values

    def text(self) -> str:
        """Return it as one line of the tree."""
        others = ", ".join(family_of(name).title for name in self.descends_from[1:])
        return f"{self.branch}{self.title} {self.year}: {self.adds}" + f"; also from {others}" * bool(others)


def tree(entries: Sequence[Entry]) -> list[Line]:
    """Return the families of these networks and all that they descend from, each below its first parent, by year."""
    asked = grouped(entries)
    wanted = _with_ancestors(asked)
    known = grouped([registry.entry(name) for name in registry.names()])
    years = {name: known[name][0].year for name in wanted}
    below: dict[str, list[str]] = {}
    for name in sorted(wanted, key=lambda name: (years[name], family_of(name).title)):
        below.setdefault(next(iter(family_of(name).parents), ""), []).append(name)
    below[""] = sorted(below.get("", []), key=lambda name: name in below)  # first those that stand alone

    def lines(parent: str, above: str) -> Iterator[Line]:
        for name in below.get(parent, ()):
            last, family = name == below[parent][-1], family_of(name)
            branch = f"{above}{LAST if last else MORE}" if parent else ""
            networks = tuple(entry.name for entry in asked.get(name, ()))
            yield Line(name, family.title, years[name], family.adds, family.parents, networks, branch)
            yield from lines(name, f"{above}{'    ' if last else RUNG}" if parent else "")

    return list(lines("", ""))


def _with_ancestors(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += family_of(name).parents
    return found

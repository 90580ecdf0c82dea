"""The stages of one network as the body of another: which maps they give, and a head that sees several of them.

The body keeps the names of its children, `stem` and `stage1` to `stageN`, so that weights of the network it is taken
from fit; all that is new stands in `head`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import log2
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea import registry
from fovea.errors import ShapeError, UsageError
from fovea.layers import Classifier, Unfilled

PROBE = 256
"""Side of the images that show which maps a backbone has."""
BUILT_FOR = 64
"""Side that backbones are built for where images are larger: only their heads, which go, depend on it."""


class Level(NamedTuple):
    """The last map of a backbone that has this stride."""

    path: str
    """The layer that gives it: `stage2`, or inside a child `stem.relu`."""
    c: int
    """Its channels."""
    stride: int
    """Pixels of the input from one of its places to the next, rounded to a power of two."""
    exact: bool
    """Whether it has exactly one place for every `stride` pixels, as no layer before it lost a border."""


class Backbone(NamedTuple):
    """A network without its head."""

    stem: nn.Module | None
    stages: list[nn.Module]
    levels: tuple[Level, ...]
    """From the finest to the coarsest."""

    @property
    def last(self) -> Level:
        """What its last stage gives."""
        return self.levels[-1]

    def at(self, strides: Sequence[int]) -> tuple[Level, ...]:
        """Return the levels of these strides that the backbone has."""
        return tuple(level for level in self.levels if level.stride in strides)


class Pyramid(Classifier):
    """A chain of `stem`, `stage1`..`stageN` whose maps at several places, and the input, `head` sees together.

    `taps` are the paths of the layers that give them, in the order of the pass: `stage2`, `stem.relu`.
    """

    def __init__(
        self, *, stem: nn.Module | None = None, stages: Sequence[nn.Module], head: nn.Module, taps: Sequence[str]
    ) -> None:
        super().__init__(stem=stem, stages=stages, head=head)
        self._taps = tuple(taps)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what `head` gets, float: the input (N, c_in, H, W), then the maps (N, c, h, w) of the taps."""
        found = [x]
        for path, layer in steps(self, self._taps):
            x = layer(x)
            if path in self._taps:
                found.append(x)
        return tuple(found)

    def features(self, x: Tensor) -> Tensor:
        """Return the map of the last tap, (N, C, h, w) float."""
        return self.maps(x)[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the answer, in the form of the network's entry."""
        return cast(Tensor, self.head(*self.maps(x)))


def steps(model: Classifier, taps: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers that make up the body, each with its path; children that have taps inside layer by layer.

    The last layer inside has the path of its child, as it gives the same.
    """
    for name in model.body:
        child = getattr(model, name)
        inside = list(child.named_children()) if any(tap.startswith(f"{name}.") for tap in taps) else []
        yield from ((f"{name}.{inner}", layer) for inner, layer in inside[:-1])
        yield name, inside[-1][1] if inside else child


def stages_of(name: str, *, c_in: int, size: int) -> Backbone:
    """Return the network `name` without its head, new, for images (N, c_in, size, size).

    Raises:
        UsageError: an unknown name, or a network whose stages cannot be taken.
        ShapeError: `size` is too small for it.
    """
    levels = levels_of(registry.resolve(name), c_in)
    model = _whole(name, c_in=c_in, size=size)
    stages = [child for path, child in model.named_children() if path.startswith("stage")]
    return Backbone(getattr(model, "stem", None), stages, levels)


def levels_of(name: str, c_in: int) -> tuple[Level, ...]:
    """Return which maps the network `name` has, from the finest to the coarsest.

    Raises:
        UsageError: it is none for images, or its stages do not follow one another.
    """
    last: dict[int, Level] = {}
    for path, (_, c, *sides) in maps_of(name, c_in, PROBE):
        stride = 2 ** round(log2(PROBE / sides[-1]))
        last[stride] = Level(path, c, stride, exact=sides == [PROBE // stride] * 2)
    return tuple(last.values())


@lru_cache(maxsize=128)
def maps_of(name: str, c_in: int, size: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the path and the shape (1, C, H, W) of all maps that a head could see, of an image of `size` pixels.

    Raises:
        UsageError: the network is none for images, or its stages do not follow one another.
        ShapeError: `size` is too small for it.
    """
    entry = registry.entry(name)
    refused = UsageError(
        f"`backbone` (={name}) must be an image classification network with consecutive stages, for example "
        "resnet18 or mobilenet_v2."
    )
    if entry.answers != "classes" or len(entry.input) != 3:
        raise refused
    with torch.device("meta"), Unfilled(), torch.no_grad():
        model = _whole(name, c_in=c_in, size=size).eval()
        if type(model).features is not Classifier.features:
            raise refused
        try:
            shapes = tuple(_shapes(model, torch.empty(1, c_in, size, size)))
        except RuntimeError as error:  # its layers take images of one size only
            raise refused from error
    if any(len(shape) != 4 for _, shape in shapes):
        raise refused
    return shapes


def _shapes(model: Classifier, x: Tensor) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the path and the shape of what every layer of the chains in the body gives."""
    chains = [f"{name}." for name in model.body if type(getattr(model, name)) is nn.Sequential]
    for path, layer in steps(model, chains):
        x = layer(x)
        yield path, tuple(x.shape) if isinstance(x, Tensor) else ()
        if not isinstance(x, Tensor):
            return


def _whole(name: str, *, c_in: int, size: int) -> Classifier:
    """Return the network with its head, which goes: built for small images, as long as it takes them."""
    try:
        return cast(Classifier, registry.build(name, classes=1, c_in=c_in, size=min(size, BUILT_FOR)))
    except ShapeError:
        if size <= BUILT_FOR:
            raise
    return cast(Classifier, registry.build(name, classes=1, c_in=c_in, size=size))


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Return `x` (N, C, h, w) float at the height and width of `like`: interpolated bilinearly where they differ."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def raised(x: Tensor, like: Tensor) -> Tensor:
    """Return `x` (N, C, h, w) at the height and width of `like`, each value repeated; any dtype."""
    return x if x.shape[-2:] == like.shape[-2:] else F.interpolate(x, size=like.shape[-2:])

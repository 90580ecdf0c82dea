"""A planted cue: a small network is trained on images whose class one known patch tells, and methods must find it.

Images are (N, 1, 28, 28) float32: noise, in it at random places the cue, 8 x 8 pixels with horizontal stripes in class
0 and vertical ones in class 1, and a decoy, a chessboard of the same contrast that tells nothing. The cue is all there
is to be learned, so a method that points elsewhere is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from time import perf_counter

import torch
from torch import Tensor, nn

from fovea.devices import using_threads
from fovea.explanation.attribution.registry import Method
from fovea.explanation.objective import Objective
from fovea.explanation.passes import generator
from fovea.explanation.trust.boxes import energy, pointing, shares

SIDE, PATCH = 28, 8
TRAINING_STEPS, BATCH = 150, 32
CONTRAST, NOISE = 1.0, 0.5

LEAST_ACCURACY = 0.95
"""Of the network: below it nothing follows from its maps."""
LEAST_LIFT = 2.0
"""A map with less of its mass in the cue does not find it; 1 is what chance gives, the share of the image."""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Images with a cue, where it is, and a network that learned it."""

    model: nn.Module
    x: Tensor
    """(N, 1, 28, 28) float32, not seen in training."""
    labels: Tensor
    """(N,) int64."""
    cues: Sequence[Tensor]
    """The box of each cue, (1, 4): x0, y0, x1, y1."""
    decoys: Sequence[Tensor]
    accuracy: float
    """Of the network on these images; below `LEAST_ACCURACY` it did not learn the cue."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """How well a method finds the cue."""

    mass: float
    """Share of the map's positive values inside the cue, mean over the images; maps with none count as 0."""
    lift: float
    """`mass` divided by the share of the image that the cue covers: 1 is chance."""
    decoy: float
    """Share inside the decoy."""
    pointing: float
    """How often the highest place lies in the cue."""
    seconds: float
    """Per image."""

    @property
    def found(self) -> bool:
        """Return whether the cue has `LEAST_LIFT` times what chance gives it, and more than the decoy."""
        return self.lift >= LEAST_LIFT and self.mass > self.decoy


def planted_images(count: int, draw: torch.Generator) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """Return images (N, 1, 28, 28) float32, labels (N,) int64, and the boxes, (1, 4) each, of cues and decoys."""
    x = NOISE * torch.randn(count, 1, SIDE, SIDE, generator=draw)
    labels = torch.randint(2, (count,), generator=draw)
    stripes = CONTRAST * (1 - 2 * ((torch.arange(PATCH) // 2) % 2)).float()
    patterns = (stripes[:, None].expand(PATCH, PATCH), stripes.expand(PATCH, PATCH))
    chessboard = stripes[:, None] * stripes
    cues, decoys = list[Tensor](), list[Tensor]()
    for image, label in zip(x[:, 0], labels.tolist(), strict=True):
        # the two lie in different halves, so they never touch
        sides = torch.randperm(2, generator=draw).tolist()
        for pattern, half, boxes in ((patterns[label], sides[0], cues), (chessboard, sides[1], decoys)):
            row = int(torch.randint(SIDE - PATCH + 1, (), generator=draw))
            column = half * SIDE // 2 + int(torch.randint(SIDE // 2 - PATCH + 1, (), generator=draw))
            image[row : row + PATCH, column : column + PATCH] += pattern
            boxes.append(torch.tensor([[column, row, column + PATCH, row + PATCH]]))
    return x, labels, cues, decoys


@cache
def planted(*, images: int = 32, seed: int = 0) -> Planted:
    """Return a network that a few seconds of training taught the cue, and `images` new ones, (N, 1, 28, 28) float32."""
    draw = generator(seed)
    # so small a network takes several times as long where threads have to wait for each other
    with using_threads(1), torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        model = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2)),
        )
        descent = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(TRAINING_STEPS):
            x, labels, _, _ = planted_images(BATCH, draw)
            loss = nn.functional.cross_entropy(model(x), labels)
            descent.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            descent.step()
    model.requires_grad_(False).eval()
    x, labels, cues, decoys = planted_images(images, draw)
    accuracy = float((model(x).argmax(1) == labels).float().mean())
    return Planted(model=model, x=x, labels=labels, cues=cues, decoys=decoys, accuracy=accuracy)


def find_cue(method: Method, test: Planted | None = None, **common: int) -> Found:
    """Return how well a method finds the planted cue, maps (N, 28, 28) float32; `common` as in `attribution.COMMON`."""
    test = test or planted()
    began = perf_counter()
    with using_threads(1):
        maps = method(test.model, test.x, Objective(answers=test.labels), **common).at((SIDE, SIDE))
    seconds = (perf_counter() - began) / len(maps)
    mass = float(energy(maps, test.cues).nan_to_num(0).mean())
    return Found(
        mass=mass,
        lift=mass / float(shares(test.cues, (SIDE, SIDE)).mean()),
        decoy=float(energy(maps, test.decoys).nan_to_num(0).mean()),
        pointing=float(pointing(maps, test.cues).mean()),
        seconds=seconds,
    )


def find_cues(methods: Mapping[str, Method], test: Planted | None = None, **common: int) -> dict[str, Found]:
    """Return the same of several methods by name; maps are (N, 28, 28) float32."""
    return {name: find_cue(method, test, **common) for name, method in methods.items()}

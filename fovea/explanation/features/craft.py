"""Concepts that a network has by itself: parts of a layer's maps that add up to them, found on crops (CRAFT).

Fel et al. 2022, "CRAFT: concept recursive activation factorization for explainability", arXiv:2211.10154. Inputs are
(N, C, H, W) float, normalised; r concepts are directions (r, K) among the K channels of a layer, none below 0.

Departures: concepts are not divided further (section 3.2); what a map holds beside the concepts stays as it is when
they are weakened, where the paper leaves it out.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import qmc
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fovea.errors import UsageError
from fovea.explanation.attribution.registry import Progress
from fovea.explanation.features.channels import as_maps
from fovea.explanation.features.embedding import pooled
from fovea.explanation.objective import Objective
from fovea.explanation.outputs import LayerOutputs, evaluating, in_batches, matching, outputs_in_batches
from fovea.explanation.target_layer import calls_of
from fovea.hooks import changed

CROP = 0.33
"""Side of a crop over that of the image."""
DESIGNS = 16
"""Points of the sequence that the masks are made of, for each image."""


class Place(NamedTuple):
    """A crop: the number of its image, and its first row, first column, height and width in pixels."""

    image: int
    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class Concepts:
    """The concepts of a layer for images of one class."""

    layer: str
    directions: Tensor
    """(r, K) float32, each of length 1, the most important first."""
    importance: Tensor
    """(r,) float32: total Sobol indices, mean over the images: the share of the evidence's variance, when concepts are
    weakened at random, that would remain if all but this one were known."""
    crops: tuple[Place, ...]
    strength: Tensor
    """(crops, r) float32: how much of each concept is in each crop."""
    error: float
    """What the concepts leave of the crops' activations, over these, in norm."""

    def best(self, concept: int, count: int = 9) -> list[Place]:
        """Return the crops that show a concept best, strongest first."""
        return [self.crops[row] for row in self.strength[:, concept].argsort(descending=True, stable=True)[:count]]


def craft(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    layer: str,
    concepts: int = 10,
    crop: float = CROP,
    designs: int = DESIGNS,
    batch: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Concepts:
    """Return the concepts that make up the output of `layer` for images `x` (N, C, H, W), and what each counts.

    Crops of `crop` times the image's sides, half of it apart, are enlarged to the input; their activations, mean over
    places, are factorised (equation 1). Each concept counts by its total Sobol index (equation 3, Jansen's estimator)
    over masks of `designs` points of a Sobol sequence, with concepts + 2 passes of the rest of the network for each.

    Raises:
        UsageError: no such layer, one that runs several times, or one whose output is below 0 somewhere.
        ShapeError: its output is no map.
    """
    if not (0 < crop <= 1 and concepts >= 1 and designs >= 1):
        raise UsageError(f"`crop` (={crop}) must be from 0 to 1, `concepts` (={concepts}) and `designs` be at least 1.")
    told = progress or (lambda _, __: None)
    _require_one_call(model, layer, x)
    places = [Place(image, *place) for image in range(len(x)) for place in crop_places(x.shape[2:], crop)]
    activations = _of_crops(model, x, places, layer, batch)
    strength, directions = factorised(activations, concepts, seed=seed)
    importance = torch.zeros(len(directions), dtype=torch.float64)
    for image in range(len(x)):
        one = objective.of(image) if len(objective.answers) > 1 else objective
        rest = _Rest(model, x[image : image + 1], one, layer)
        importance += _importance(rest, directions, designs, batch, seed) / len(x)
        told(image + 1, len(x))
    order = importance.argsort(descending=True, stable=True)
    left = (activations - strength @ directions).norm() / activations.norm().clamp(min=1e-300)
    return Concepts(
        layer=layer,
        directions=directions[order].float(),
        importance=importance[order].float(),
        crops=tuple(places),
        strength=strength[:, order].float(),
        error=float(left),
    )


def non_negative_layer(model: nn.Module, x: Tensor) -> str:
    """Return the path of the last module whose map, of more than one place, is nowhere below 0 for `x` (N, C, H, W).

    Raises: UsageError if there is none.
    """
    with evaluating(model):
        calls = calls_of(model, matching(model, x))
    given = {call.path: call.result for call in calls if call.path and call.result is not None}
    fit = [
        path
        for path, maps in given.items()
        if maps.ndim == 4 and maps.shape[2:].numel() > 1 and bool((maps >= 0).all()) and maps.any()
    ]
    if not fit:
        raise UsageError(
            "CRAFT needs a layer whose output is never below 0, such as a ReLU, and this network has none."
        )
    last = given[fit[-1]]
    return min((path for path in fit if given[path] is last), key=lambda path: path.count("."))


def concept_maps(model: nn.Module, x: Tensor, found: Concepts) -> Tensor:
    """Return where in inputs `x` (N, C, H, W) the concepts are: (N, r, h, w) float32, at least 0."""
    ((maps,),) = outputs_in_batches(model, [x], [found.layer])
    return _strengths(_non_negative(as_maps(maps, found.layer), found.layer), found.directions.double()).float()


def crop_places(size: tuple[int, ...], share: float) -> Iterator[tuple[int, int, int, int]]:
    """Yield top, left, height and width of crops of `share` of the sides, half of one apart, to all four borders."""
    H, W = size
    h, w = (max(1, round(side * share)) for side in (H, W))
    tops, lefts = (_firsts(side, part) for side, part in ((H, h), (W, w)))
    yield from ((top, left, h, w) for top in tops for left in lefts)


def _firsts(side: int, part: int) -> list[int]:
    count = 1 + -(-(side - part) // max(1, part // 2))
    return sorted({int(first) for first in np.linspace(0, side - part, count).round()})


def factorised(activations: Tensor, concepts: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return strengths (n, r) and directions (r, K) of length 1 whose product is nearest to activations (n, K).

    All are float64 and at least 0; r is `concepts`, or less where activations have fewer rows, or columns, than that.
    """
    rank = min(concepts, *activations.shape)
    model = NMF(rank, init="nndsvda", max_iter=1000, tol=1e-6, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `Concepts.error` says how near it is
        strength = torch.from_numpy(model.fit_transform(activations.numpy()))
    directions = torch.from_numpy(model.components_)
    norms = directions.norm(dim=1)
    return strength * norms, directions / norms.clamp(min=1e-300)[:, None]


def _of_crops(model: nn.Module, x: Tensor, places: list[Place], layer: str, batch: int) -> Tensor:
    """Return the activations of crops, mean over their places: (crops, K) float64 on the CPU."""

    def enlarged() -> Iterator[Tensor]:
        for first in range(0, len(places), batch):
            parts = [
                x[p.image, :, p.top : p.top + p.height, p.left : p.left + p.width]
                for p in places[first : first + batch]
            ]
            yield interpolate(torch.stack(parts), x.shape[2:], mode="bilinear", align_corners=False)

    found = outputs_in_batches(model, enlarged(), [layer])
    return torch.cat([pooled(_non_negative(as_maps(maps, layer), layer)) for (maps,) in found])


def _non_negative(maps: Tensor, layer: str) -> Tensor:
    """Return maps of any shape in float64 on the CPU."""
    if not bool((maps >= 0).all()):
        raise UsageError(
            f"CRAFT needs a layer whose output is never below 0, such as a ReLU; the output of `{layer}` is partly "
            "below 0."
        )
    return maps.double().cpu()


def _require_one_call(model: nn.Module, layer: str, x: Tensor) -> None:
    calls = LayerOutputs(model, [layer], x).calls[layer]
    if calls > 1:
        raise UsageError(f"CRAFT needs a layer that runs once; `{layer}` runs {calls} times.")


def _strengths(maps: Tensor, directions: Tensor, *, rounds: int = 200) -> Tensor:
    """Return how much of each direction (r, K) is at each place of maps (N, K, h, w), float64: (N, r, h, w).

    Least squares with no coefficient below 0, by multiplicative updates (Lee and Seung 2000, equation 4).
    """
    N, K, h, w = maps.shape
    values = maps.permute(0, 2, 3, 1).reshape(-1, K)
    wanted, among = values @ directions.T, directions @ directions.T
    strength = wanted.clone()
    for _ in range(rounds):
        strength = strength * wanted / (strength @ among).clamp(min=1e-300)
    return strength.reshape(N, h, w, -1).permute(0, 3, 1, 2)


class _Rest:
    """What follows a layer, as a function of its map: the evidence for one input (1, C, H, W)."""

    def __init__(self, model: nn.Module, x: Tensor, objective: Objective, layer: str) -> None:
        self.model, self.x, self.objective, self.layer = model, matching(model, x), objective, layer
        ((self.maps,),) = outputs_in_batches(model, [x], [layer])
        self.copies = True
        self.copies = not self._takes_many()

    def __call__(self, maps: Tensor) -> Tensor:
        """Return the evidence (M,) float64, on the CPU, for maps (M, K, h, w), float."""
        x = self.x.expand(len(maps) if self.copies else 1, -1, -1, -1).clone()
        with torch.no_grad(), evaluating(self.model), changed(self.model, self.layer, lambda _: maps.to(self.maps)):
            return self.objective(self.model(x)).double().cpu()

    def _takes_many(self) -> bool:
        """Whether one input is enough for many maps, as where all that follows the layer follows from its map."""
        maps = torch.cat([self.maps, self.maps / 2, self.maps * 0])
        wanted = self(maps)
        self.copies = False
        try:
            found = self(maps)
        except RuntimeError:
            return False
        return found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-3, atol=1e-5)


def _importance(rest: _Rest, directions: Tensor, designs: int, batch: int, seed: int) -> Tensor:
    """Return the total Sobol index of each concept for one input: (r,) float64."""
    maps = rest.maps.double().cpu()
    strength = _strengths(maps, directions)[0]  # (r, h, w)
    values = []
    for part in in_batches(sobol_masks(len(directions), designs, seed=seed), batch):
        # what weakened concepts lack is taken from the map, as far as there is any
        lacking = torch.einsum("mr,rhw,rk->mkhw", 1 - part, strength, directions)
        values.append(rest((maps - lacking).clamp(min=0)))
    return total_indices(torch.cat(values), len(directions))


def sobol_masks(r: int, designs: int, *, seed: int = 0) -> Tensor:
    """Return the points that `total_indices` wants, ((r + 2) designs, r) float64 from 0 to 1.

    A, B, and for each column A with that of B, of a scrambled Sobol sequence in 2 r dimensions.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # balanced only where `designs` is a power of 2
        points = torch.from_numpy(qmc.Sobol(2 * r, seed=seed).random(designs))
    a, b = points[:, :r], points[:, r:]
    mixed = []
    for column in range(r):
        mixed.append(a.clone())
        mixed[-1][:, column] = b[:, column]
    return torch.cat([a, b, *mixed])


def total_indices(values: Tensor, r: int) -> Tensor:
    """Return the total Sobol indices (r,) of a function's values, ((r + 2) designs,) float64, at `sobol_masks`.

    Jansen 1999: half the mean squared change by a new draw of one variable, over the variance. 0 for a constant.
    """
    parts = values.reshape(r + 2, -1)
    variance = parts[:2].var(correction=0)
    change = (parts[0] - parts[2:]).square().mean(1) / 2
    return change / variance if float(variance) > 1e-24 else torch.zeros_like(change)

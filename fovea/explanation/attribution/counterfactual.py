"""A minimal mask that changes the decision: the least of the image that, hidden, takes the answer away.

What the decision is the objective knows: the largest output, a label above its threshold, a grade. A number decides
nothing; there the mask takes away more than half of what the image has for it beyond what hides it.

Fong and Vedaldi 2017, arXiv:1704.03296, equations 2 and 4: a coarse mask is learned that deletes evidence, is small and
is smooth. Inputs are (N, C, H, W) float, normalised; masks (N, H, W) float32, 0 where kept to 1 where deleted.

Departures: the evidence is scaled to 1 for the image and 0 for what hides it, so that the weights of the penalties
hold for logits as for probabilities; the mask is half as fine, for fewer scattered specks, and begins at a half
everywhere; no pixel noise is added; the mask is cut at the smallest area that changes the decision, which is reported;
and where none does the penalty of the area is halved and the mask learned again.
"""

from typing import Self

import torch
from torch import Tensor, nn

from fovea.explanation.attribution.registry import COUNT, WEIGHT, Attribution, Progress, method
from fovea.explanation.objective import Objective
from fovea.explanation.passes import FILLS, Fill, Images, filled, generator, laid_out_as, wide

CELLS = 14
"""Of the mask along the shorter side of an image, unless they were smaller than 2 pixels. The paper has 28 of 224."""

JITTER = 1 / 56
"""Of the shorter side: how far the image moves at most between two steps, 4 pixels of 224 as in the paper."""

ATTEMPTS = 4
"""Penalties of the area, each half of the one before, until the decision changes."""

LEAST = 0.1
"""Of the mask: places below it are as good as kept, and their order says nothing."""

AREAS = 100
"""Areas that are tried up to all places above `LEAST`, and then between the first that does it and the one before."""

LEARNING_RATE = 0.1
POWER = 3.0
"""The paper's, of its gradient descent and of the differences between neighbouring cells."""


@method(
    "counterfactual",
    title="Minimal mask",
    source="Fong and Vedaldi 2017, arXiv:1704.03296, equations 2 and 4",
    bounds={"steps": COUNT, "area": WEIGHT, "roughness": WEIGHT, "fill": tuple(FILLS)},
)
def counterfactual(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    steps: int = 100,
    area: float = 4.0,
    roughness: float = 0.2,
    fill: Fill = "blur",
    batch: int = 16,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Return the learned mask, (N, H, W), and what it takes to change the decision.

    Figures, (N,): `flipped`, 1 where the answer stops to be the decision when the image is hidden where the mask is
    highest; `area`, the smallest share of the pixels that does it, not a number where none does or where the answer is
    not the decision to begin with. `region` gives these pixels.

    `area` and `roughness` weigh the penalties; `fill` is what hides, see `passes.FILLS`: of images as small as 32 x 32
    the default blur hides little.
    """
    images = Images(x, objective, passes=steps, progress=progress)
    cover, offsets = filled(x, fill, seed=seed), _offsets(x, steps, seed)
    values, areas = torch.zeros(len(x), *x.shape[2:]), torch.full((len(x),), torch.nan)
    left = [*range(len(x))]
    for attempt in range(ATTEMPTS):
        tried, left = left, []
        for start in range(0, len(tried), batch):
            rows = tried[start : start + batch]
            asked = _Asked(model, x[rows], cover[rows], objective.rows(rows))
            masks = _learned(asked, offsets, (area / 2**attempt, roughness))
            values[rows] = masks.cpu()
            for place in asked.to_change:
                row = rows[place]
                areas[row] = _smallest(asked.of(place), masks[place], batch)
                if areas[row].isnan():
                    left.append(row)
            images.passed(0 if attempt else steps * len(rows))
    return Attribution(values=values, figures={"area": areas, "flipped": areas.isfinite().float()})


class _Asked:
    """What is asked of images x (n, C, H, W) and of the `cover` that hides them."""

    @torch.no_grad()
    def __init__(self, model: nn.Module, x: Tensor, cover: Tensor, objective: Objective) -> None:
        self.model, self.x, self.cover, self.objective = model, x, cover, objective
        outputs = [wide(model(laid_out_as(shown.clone(), x))) for shown in (x, cover)]
        whole, self.nothing = (objective(each) for each in outputs)
        rise = whole - self.nothing
        decided = objective.decided(outputs[0])
        # a decision falls with its evidence; a number may have to rise
        self.span = torch.where(rise == 0, 1, rise if decided is None else rise.abs())
        self.to_change = (rise != 0 if decided is None else decided).nonzero()[:, 0].tolist()
        """The images whose answer stands, and may be taken away."""

    def of(self, place: int) -> Self:
        """Return the same of one image."""
        row = slice(place, place + 1)
        return type(self)(self.model, self.x[row], self.cover[row], self.objective.of(place))

    def left(self, outputs: Tensor) -> Tensor:
        """Return what is left of the evidence, (n,): 1 for the image, 0 for what hides it."""
        return (self.objective(outputs) - self.nothing) / self.span

    def stands(self, outputs: Tensor) -> Tensor:
        """Return whether each row of outputs (n, K) still gives the answer, or has more than half of the number."""
        decided = self.objective.decided(outputs)
        return self.left(outputs) > 1 / 2 if decided is None else decided


def _offsets(x: Tensor, steps: int, seed: int) -> list[list[int]]:
    """Return how far down and to the right the image moves before each step, the same for every image."""
    most = max(1, round(min(x.shape[2:]) * JITTER))
    drawn: list[list[int]] = torch.randint(-most, most + 1, (steps, 2), generator=generator(seed)).tolist()
    return drawn


def region(mask: Tensor, area: float) -> Tensor:
    """Return the share `area` of the places of a mask (H, W) float that are highest: (H, W) bool."""
    count = round(area * mask.numel()) if area == area else 0  # not a number: none
    return (_ranks(mask) < count).view(mask.shape)


def _learned(asked: _Asked, offsets: list[list[int]], penalties: tuple[float, float]) -> Tensor:
    """Return the mask of each image that a gradient descent finds, (n, H, W)."""
    x, cover, size = asked.x, asked.cover, asked.x.shape[2:]
    cell = max(2.0, min(size) / CELLS)
    cells = torch.full((len(x), 1, *(max(1, round(side / cell)) for side in size)), 0.5, device=x.device)
    cells.requires_grad_()
    descent = torch.optim.Adam([cells], lr=LEARNING_RATE)
    for offset in offsets:
        with torch.enable_grad():
            mask = _enlarged(cells, size)
            shown = laid_out_as(_moved(x + (cover - x) * mask.to(x.dtype), offset), x)
            left = asked.left(wide(asked.model(shown)))
            loss = left + penalties[0] * cells.mean((1, 2, 3)) + penalties[1] * _roughness(cells)
            (cells.grad,) = torch.autograd.grad(loss.sum(), cells)
        descent.step()
        with torch.no_grad():
            cells.clamp_(0, 1)
    return _enlarged(cells.detach(), size)[:, 0]


def _enlarged(cells: Tensor, size: torch.Size) -> Tensor:
    return nn.functional.interpolate(cells, size, mode="bicubic", align_corners=False).clamp(0, 1)


def _moved(x: Tensor, offset: list[int]) -> Tensor:
    """Return `x` moved by some pixels, its border repeated: a mask must not rest on single pixels."""
    down, right = (
        max(-limit, min(limit, step)) for step, limit in zip(offset, (s - 1 for s in x.shape[2:]), strict=True)
    )
    padding = (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0))
    wider = nn.functional.pad(x, padding, mode="replicate")
    H, W = x.shape[2:]
    return wider[:, :, max(-down, 0) : max(-down, 0) + H, max(-right, 0) : max(-right, 0) + W]


def _roughness(cells: Tensor) -> Tensor:
    """Return the mean of |difference of neighbours|^3 along both axes: (n,)."""
    along = (cells.diff(dim=axis).abs().pow(POWER).flatten(1) for axis in (2, 3))
    parts = [differences.mean(1) for differences in along if differences.numel()]
    return torch.stack(parts).sum(0) if parts else cells.new_zeros(len(cells))


@torch.no_grad()
def _smallest(asked: _Asked, mask: Tensor, batch: int) -> float:
    """Return the smallest share of the pixels of one image, the highest first, whose hiding changes it; else nan."""
    ranks, chosen = _ranks(mask).view(mask.shape), int((mask > LEAST).sum())

    def first_of(counts: Tensor) -> int | None:
        for some in torch.split(counts, batch):
            deleted = (ranks < some.to(ranks.device)[:, None, None])[:, None]
            shown = laid_out_as(torch.where(deleted, asked.cover, asked.x), asked.x)
            kept = asked.stands(wide(asked.model(shown)))
            if not bool(kept.all()):
                return int(some[int(kept.int().argmin())])
        return None

    found = first_of(_counts(0, chosen))
    if found is None:
        return float("nan")
    return (first_of(_counts(found - chosen // AREAS - 1, found)) or found) / mask.numel()


def _counts(low: int, high: int) -> Tensor:
    """Return numbers of pixels after `low` up to `high`, `AREAS` of them or all there are."""
    counts: Tensor = torch.unique(torch.linspace(max(low, 0), high, AREAS + 1)[1:].round().long())
    return counts


def _ranks(mask: Tensor) -> Tensor:
    """Return the place of each value among all, the highest 0, the first of equals before the others: (H W,)."""
    order = mask.flatten().argsort(descending=True, stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device)
    return ranks

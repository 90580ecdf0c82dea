"""Neocognitron: Fukushima 1980, Biological Cybernetics 36, 193-202, doi:10.1007/BF00344251.

"A self-organizing neural network model for a mechanism of pattern recognition unaffected by shift in position". S-, V-
and C-cells: section 2. Learning by representatives: section 3. Planes, sizes and constants: section 5.

Departures: the layers learn one after the other, each for a quarter of the training, not all at once: features would
be learned of features that still change. The paper names no classes: in the last quarter `head` counts which class
each plane of the last C-cells responds to. What the paper leaves open is marked at its line. `neocognitron` has more
planes, and selects more sharply in learning than in recognition (Fukushima and Tanigawa 1996, Neurocomputing 11, 1-17).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.layers import Classifier
from fovea.registry import register
from fovea.shapes import Window, chained

KERNEL = 5
"""Side of what an S-cell sees, and a C-cell but the last."""
MARGIN = (3, 4, 3, 4)
"""C-cells reach over the edges of the S-plane by so much: 16 x 16 become 10 x 10, 8 x 8 become 6 x 6."""
INITIAL = 1e-4  # the paper: small and positive; enough to answer, too little to win from what has learned
SATURATION = 0.5  # alpha in psi(x) = x / (alpha + x)
GAMMA, DELTA = 0.9, 0.9  # fall of the V- and C-cells' connections with each pixel from the centre; not in the paper
DOUBT = 0.2
"""What a plane counts as having responded to, in all, before it was trained on any image."""


class Module(NamedTuple):
    """A layer of S-cells and the C-cells that read them."""

    planes: int
    r: float  # selectivity, the intensity of the inhibition, in recognition
    r_learning: float
    q: float  # how much a reinforcement adds
    padding: int  # of the S-cells
    column: int  # side of the S-columns that compete


SECTION_5 = (
    #       K    r  r_l     q  p  column
    Module(24, 4.0, 4.0,  1.0, 2, 5),  # S: 16 x 16, C: 10 x 10
    Module(24, 1.5, 1.5, 16.0, 1, 5),  #     8 x  8,     6 x  6
    Module(24, 1.5, 1.5, 16.0, 0, 2),  #     2 x  2,     1 x  1
)  # fmt: skip
HANDWRITING = (
    #        K    r   r_l     q  p  column
    Module( 24, 4.0,  6.0,  1.0, 2, 5),
    Module( 80, 4.0, 10.0, 16.0, 1, 5),
    Module(200, 4.0, 14.0, 16.0, 0, 2),
)  # fmt: skip


def falling(side: int, factor: float) -> Tensor:
    """Return weights (H, W), H = W = `side`, float32: `factor` to the power of the distance from the centre."""
    line = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    return torch.tensor(factor) ** (line[:, None] ** 2 + line**2).sqrt()


class VCells(nn.Module):
    """Inhibition: the root of the mean square of what an S-cell sees, weighed by c: (N, C, H, W) -> (N, 1, H', W')."""

    c: Tensor

    def __init__(self, c_in: int, *, padding: int) -> None:
        super().__init__()
        weights = falling(KERNEL, GAMMA).expand(1, c_in, KERNEL, KERNEL)
        self.register_buffer("c", weights / weights.sum())
        self.padding = padding

    def forward(self, u: Tensor) -> Tensor:
        """Return v, by which all S-cells at each place are inhibited."""
        return F.conv2d(u.square(), self.c, padding=self.padding).clamp(min=0).sqrt()


class SCells(nn.Module):
    """Extract features, with shunting inhibition: (N, C, H, W) -> (N, planes, H', W').

    u_S = r phi[(1 + sum a u_C) / (1 + 2 r / (1 + r) b v) - 1], phi(x) = max(x, 0).
    """

    def __init__(self, c_in: int, module: Module) -> None:
        super().__init__()
        self.module = module
        self.inhibition = VCells(c_in, padding=module.padding)
        self.a = nn.Parameter(torch.empty(module.planes, c_in, KERNEL, KERNEL).uniform_(0, INITIAL))
        self.b = nn.Parameter(torch.zeros(module.planes))

    def forward(self, u: Tensor) -> Tensor:
        """Return the responses to `u`."""
        return self.responses(u, r=self.module.r)

    def responses(self, u: Tensor, *, r: float) -> Tensor:
        """Return the responses to `u` (N, C, H, W), float32 from 0 on, at the selectivity `r`."""
        excited = 1 + F.conv2d(u, self.a, padding=self.module.padding)
        inhibited = 1 + 2 * r / (1 + r) * self.b[:, None, None] * self.inhibition(u)
        return r * F.relu(excited / inhibited - 1)

    def reinforce(self, u: Tensor) -> None:
        """Make the cells of each plane more like its representative for one input `u` (1, C, H, W), float32.

        Delta a = q c u_C and Delta b = q / 2 v, of what the representative sees.
        """
        q, padding = self.module.q, self.module.padding
        response = self.responses(u, r=self.module.r_learning)[0]
        planes, places = representatives(response, column=self.module.column)
        seen = F.unfold(u, KERNEL, padding=padding)[0, :, places].T  # (R, C 25)
        self.a.data[planes] += (q * self.inhibition.c.flatten() * seen).reshape(-1, *self.a.shape[1:])
        self.b.data[planes] += q / 2 * self.inhibition(u).flatten()[places]


def representatives(response: Tensor, *, column: int) -> tuple[Tensor, Tensor]:
    """Return planes (R,) and places (R,), y W + x, int64, of the cells that learn from `response` (K, H, W), float32.

    In every S-column, the cells of all planes in a window of `column` x `column`, the strongest is a candidate. The
    strongest candidate of a plane represents it; a plane without one has no representative.
    """
    strongest, plane = response.max(0)
    side = min(column, *strongest.shape)
    _, found = F.max_pool2d(strongest[None, None], side, stride=1, return_indices=True)
    candidates = torch.unique(found)
    values = strongest.flatten()[candidates]
    chosen: dict[int, int] = {}
    for i in values.argsort(descending=True, stable=True).tolist():
        if values[i] > 0:
            chosen.setdefault(int(plane.flatten()[candidates[i]]), int(candidates[i]))
    return torch.tensor(list(chosen), dtype=torch.int64), torch.tensor(list(chosen.values()), dtype=torch.int64)


class CCells(nn.Module):
    """Tolerate shifts: (N, K, H, W) -> (N, K, H', W').

    u_C = psi[(1 + sum d u_S) / (1 + v) - 1], with v the mean of these sums over all planes, and
    psi(x) = phi(x) / (alpha + phi(x)).
    """

    d: Tensor

    def __init__(self, side: int, *, stride: int) -> None:
        super().__init__()
        weights = falling(side, DELTA)
        self.register_buffer("d", (weights / weights.sum())[None, None])
        self.stride = stride

    def forward(self, u: Tensor) -> Tensor:
        """Return the responses to S-cells `u`."""
        N, K, H, W = u.shape
        sums = F.conv2d(u.reshape(N * K, 1, H, W), self.d, stride=self.stride)
        sums = sums.reshape(N, K, *sums.shape[2:])
        x = F.relu((1 + sums) / (1 + sums.mean(1, keepdim=True)) - 1)
        return x / (SATURATION + x)


class Votes(nn.Module):
    """Name what planes respond to: (N, K, 1, 1) -> (N, classes).

    The logits are log sum_k w_k p(class | k): w the responses' shares, p from which classes plane k has responded to.
    Where none responds, all classes are as probable.
    """

    counts: Tensor

    def __init__(self, planes: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(planes, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits for responses `x`."""
        classes = self.counts.shape[1]
        named = self.counts + DOUBT / classes
        shares = self.shares(x)
        silent = 1 - shares.sum(1, keepdim=True)
        return (shares @ (named / named.sum(1, keepdim=True)) + silent / classes).clamp(min=1e-12).log()

    def shares(self, x: Tensor) -> Tensor:
        """Return the planes' shares (N, K) of responses `x` (N, K, 1, 1), float32 from 0 on; they add up to 1 or 0."""
        responses = x.flatten(1)
        return responses / responses.sum(1, keepdim=True).clamp(min=1e-12)

    def count(self, x: Tensor, labels: Tensor) -> None:
        """Add responses `x` (N, K, 1, 1) to what is known of the classes `labels` (N,) int64."""
        self.counts += self.shares(x).T @ F.one_hot(labels, self.counts.shape[1]).to(x.dtype)


class Neocognitron(Classifier):
    """S- and C-cells in turn, which learn without a teacher; labels only name what the last ones respond to."""

    learning: Tensor

    def __init__(self, *, stages: Sequence[nn.Module], head: Votes) -> None:
        super().__init__(stages=stages, head=head)
        self.register_buffer("learning", torch.tensor(0))  # how many layers have learned

    @torch.no_grad()
    def learn(
        self, images: Tensor, labels: Tensor, *, loss: Callable[[Tensor, Tensor], Tensor], progress: float
    ) -> tuple[Tensor, Tensor]:
        """Learn from `images` (N, C, H, W) in 0..1 and `labels` (N,) int64; return the loss and logits (N, classes).

        One layer learns at a time, image by image: `progress` says which. Votes begin anew with each, and at the end.
        """
        head = cast(Votes, self.head)
        stages = [cast(nn.Sequential, getattr(self, name)) for name in self._body]
        learning = int(progress * (len(stages) + 1))
        if learning != int(self.learning):
            self.learning.fill_(learning)
            head.counts.zero_()
        u = images
        for number, stage in enumerate(stages):
            for one in torch.split(u, 1) if number == learning else ():
                cast(SCells, stage.s).reinforce(one)
            u = stage(u)
        head.count(u, labels)
        logits = head(u)
        return loss(logits, labels), logits


def _stage(c_in: int, module: Module, *, last: int) -> nn.Sequential:
    """S-cells, then C-cells; these see the whole S-plane where it is the `last`, of `last` x `last` cells."""
    layers: dict[str, nn.Module] = {"s": SCells(c_in, module)}
    if last:
        layers["c"] = CCells(last, stride=1)
    else:
        layers |= {"pad": nn.ZeroPad2d(MARGIN), "c": CCells(KERNEL, stride=2)}
    return nn.Sequential(OrderedDict(layers))


def _neocognitron(table: tuple[Module, ...], classes: int, *, c_in: int, size: int) -> Neocognitron:
    windows: list[Window] = []
    for i, module in enumerate(table, start=1):
        windows.append(Window(f"stage{i}.s", KERNEL, padding=module.padding))
        windows.append(Window(f"stage{i}.c", KERNEL, stride=2, padding=3, ceil=True))
    last = chained(size, windows[:-1])
    stages = []
    for module in table:
        stages.append(_stage(c_in, module, last=last if module is table[-1] else 0))
        c_in = module.planes
    return Neocognitron(stages=stages, head=Votes(c_in, classes))


_register = partial(
    register,
    paper="doi:10.1007/BF00344251",
    title="Neocognitron: a self-organizing neural network model for a mechanism of pattern recognition unaffected by "
    "shift in position",
    authors="Fukushima",
    year=1980,
    input=(1, 16, 16),
    training={"standardise": False, "augment": (), "epochs": 8, "batch": 32, "precision": "float32"},
)


@_register(params=448_904, macs=5_013_200, decks=("000",))
def neocognitron(classes: int = 10, *, c_in: int = 1, size: int = 16) -> Neocognitron:
    return _neocognitron(HANDWRITING, classes, c_in=c_in, size=size)


@_register(params=29_472, macs=1_261_936)
def neocognitron_1980(classes: int = 10, *, c_in: int = 1, size: int = 16) -> Neocognitron:
    return _neocognitron(SECTION_5, classes, c_in=c_in, size=size)

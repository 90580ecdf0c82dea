"""Which pixels the answer is sensitive to: derivatives of the evidence Y by the input.

Inputs are x (N, C, H, W) float, normalised; what comes out is (N, H, W) float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fovea.explanation.attribution.registry import (
    COUNT,
    WEIGHT,
    Attribution,
    Progress,
    input_gradient,
    method,
    of_any_axes,
)
from fovea.explanation.objective import Objective


def _kept(values: Tensor, **figures: Tensor) -> Attribution:
    return Attribution(values=values.float().cpu(), figures={name: one.cpu() for name, one in figures.items()})


def _silent(done: int, total: int) -> None:
    pass


@method("saliency", title="Saliency", source="Simonyan et al. 2013, arXiv:1312.6034, section 3.1")
@of_any_axes
def saliency(model: nn.Module, x: Tensor, objective: Objective) -> Attribution:
    """Return max over channels of |dY/dx|: (N, H, W)."""
    return _kept(input_gradient(model, x, objective).abs().amax(1))


@method("gradient_x_input", title="Gradient x input", source="Shrikumar et al. 2016, arXiv:1605.01713", signed=True)
@of_any_axes
def gradient_x_input(model: nn.Module, x: Tensor, objective: Objective) -> Attribution:
    """Return sum over channels of x dY/dx, (N, H, W): all of the evidence where the network has ReLUs but no biases."""
    return _kept((x.detach() * input_gradient(model, x, objective)).sum(1))


@method(
    "smoothgrad",
    title="SmoothGrad",
    source="Smilkov et al. 2017, arXiv:1706.03825, section 3",
    bounds={"n": COUNT, "sigma": WEIGHT},
)
@of_any_axes
def smoothgrad(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    n: int = 50,
    sigma: float = 0.15,
    batch: int = 16,
    seed: int = 0,
    progress: Progress = _silent,
) -> Attribution:
    """Return max over channels of |mean of dY/dx at `n` noisy copies of x|: (N, H, W).

    The noise is Gaussian, its deviation `sigma` times the range of each image; it is the same for every image, whatever
    others stand beside it. `batch` copies pass at a time.
    """
    values = list[Tensor]()
    for image in range(len(x)):
        one = x[image : image + 1].detach()
        total = torch.zeros_like(one[0], dtype=torch.float64)
        scale = sigma * (one.max() - one.min())
        done = image * n
        for noise in _noise(one, n, batch, seed):
            total += input_gradient(model, one + scale * noise, objective.of(image)).double().sum(0)
            progress(done := done + len(noise), len(x) * n)
        values.append((total / n).abs().amax(0))
    return _kept(torch.stack(values))


def _noise(x: Tensor, n: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield `n` standard normal tensors of the shape of one image, `batch` at a time, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, n, batch):
        # one by one: what is drawn for several at once depends on how many they are
        drawn = [torch.randn(x.shape[1:], generator=generator) for _ in range(min(batch, n - first))]
        yield torch.stack(drawn).to(x)


@method(
    "integrated_gradients",
    title="Integrated gradients",
    source="Sundararajan et al. 2017, arXiv:1703.01365, section 3",
    signed=True,
    bounds={"tolerance": WEIGHT, "steps": COUNT, "most_steps": COUNT},
)
@of_any_axes
def integrated_gradients(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    baseline: Tensor | None = None,
    tolerance: float = 1e-2,
    steps: int = 64,
    most_steps: int = 512,
    batch: int = 16,
    progress: Progress = _silent,
) -> Attribution:
    """Return sum over channels of (x - x') times the mean of dY/dx on the line from x' to x: (N, H, W).

    x' is `baseline`, of the shape of x or one that broadcasts to it; by default zeros, the mean colour of normalised
    images. The sum over all places is Y(x) - Y(x'): completeness, proposition 1.

    Figures: `steps`, doubled until the trapezoidal rule misses that sum by at most `tolerance` of it, or there would be
    more than `most_steps`; `completeness error`, what the rule misses, and the `relative completeness error` as a part
    of |Y(x) - Y(x')|. They are of the rule itself, before calibration, which leaves rounding only. The default
    tolerance takes 64 to 256 steps of MobileNetV2 on photographs; 1e-3 takes a thousand and more.

    Departures: the paper takes equal steps. Here point k is at (k / steps)^2, as networks change fastest near x'. And
    they jump from one gradient to another so often that the error falls slower than steps are added. What is left of it
    is taken out by the smallest change of the weights, in the mean square, that makes the sum right, as a survey is
    calibrated to a total that is known (Deville and Särndal 1992, doi:10.1080/01621459.1992.10475217).
    """
    start = torch.zeros_like(x) if baseline is None else baseline.detach().to(x).expand_as(x)
    lines = list[_Line]()
    for image in range(len(x)):
        one = slice(image, image + 1)
        line = _Line(model, objective.of(image), start[one], x[one].detach(), batch)
        line.refine(steps)
        while line.relative_error > tolerance and line.steps * 2 <= most_steps:
            progress(image * most_steps + line.steps, len(x) * most_steps)
            line.refine(line.steps * 2)
        progress((image + 1) * most_steps, len(x) * most_steps)
        lines.append(line)
    values = torch.cat([line.values() for line in lines])
    figures = {
        "completeness error": torch.tensor([line.error for line in lines], dtype=torch.float64),
        "relative completeness error": torch.tensor([line.relative_error for line in lines], dtype=torch.float64),
        "steps": torch.tensor([float(line.steps) for line in lines]),
    }
    return _kept(values.sum(1), **figures)


class _Line:
    """The line from `start` to `end`, both (1, C, H, W), and the slopes of Y along it.

    A slope d is the sum of g, the gradient times the whole way. Kept are sums over the points, with the weights of the
    trapezoidal rule: of g, of d g, of d and of d^2.
    """

    def __init__(self, model: nn.Module, objective: Objective, start: Tensor, end: Tensor, batch: int) -> None:
        self.model, self.objective, self.start, self.end, self.batch = model, objective, start, end, batch
        with torch.no_grad():
            # one by one: `batch` may be 1
            below, above = (float(objective(model(each.clone())).double()) for each in (start, end))
        self.rise: float = above - below
        self.gradients = torch.zeros_like(end, dtype=torch.float64)
        self.weighed = torch.zeros_like(self.gradients)
        self.slopes = self.squares = 0.0
        self.steps = 0

    def refine(self, steps: int) -> None:
        """Take `steps` steps, at first or twice as many as before, whose points are then a half of all."""
        points = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        weights = 2 * points / steps  # the derivative of s^2: 0 at s = 0
        weights[-1] /= 2
        if self.steps:
            points, weights = points[::2], weights[::2]
            self.gradients /= 2
            self.weighed /= 2
            self.slopes, self.squares = self.slopes / 2, self.squares / 2
        for first in range(0, len(points), self.batch):
            part = slice(first, first + self.batch)
            self._add(points[part].square(), weights[part])
        self.steps = steps

    def _add(self, shares: Tensor, weights: Tensor) -> None:
        way = self.end - self.start
        each = (-1, *(1,) * (way.ndim - 1))
        g = input_gradient(self.model, self.start + shares.to(way).view(each) * way, self.objective).double() * way
        d = g.flatten(1).sum(1).cpu()
        self.slopes += (weights * d).sum().item()
        self.squares += (weights * d**2).sum().item()
        self.gradients += (weights.to(g.device).view(each) * g).sum(0)
        self.weighed += ((weights * d).to(g.device).view(each) * g).sum(0)

    @property
    def error(self) -> float:
        """What the trapezoidal rule misses of the rise."""
        return abs(self.slopes - self.rise)

    @property
    def relative_error(self) -> float:
        return self.error / max(abs(self.rise), torch.finfo(torch.float64).tiny)

    def values(self) -> Tensor:
        """Return sum of w (1 + a (d - mean of d)) g, with the a that makes its sum the rise."""
        variance = self.squares - self.slopes**2
        if variance <= 1e-12 * self.squares:  # the slope is the same all the way
            return self.gradients
        a = (self.rise - self.slopes) / variance
        return self.gradients + a * (self.weighed - self.slopes * self.gradients)

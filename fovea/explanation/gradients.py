"""Which pixels the answer is sensitive to: derivatives of the evidence Y by the input.

Inputs are x (N, C, H, W) float, normalised; what comes out is (N, H, W) float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fovea.explanation.attribution import Attribution, Progress, input_gradient, method
from fovea.explanation.objective import Objective


def _kept(values: Tensor, **figures: Tensor) -> Attribution:
    return Attribution(values=values.float().cpu(), figures={name: one.cpu() for name, one in figures.items()})


def _silent(done: int, total: int) -> None:
    pass


@method("saliency", title="Saliency", source="Simonyan et al. 2013, arXiv:1312.6034, section 3.1")
def saliency(model: nn.Module, x: Tensor, objective: Objective) -> Attribution:
    """Return max over channels of |dY/dx|: (N, H, W)."""
    return _kept(input_gradient(model, x, objective).abs().amax(1))


@method("gradient_x_input", title="Gradient x input", source="Shrikumar et al. 2016, arXiv:1605.01713", signed=True)
def gradient_x_input(model: nn.Module, x: Tensor, objective: Objective) -> Attribution:
    """Return sum over channels of x dY/dx, (N, H, W): all of the evidence where the network has ReLUs but no biases."""
    return _kept((x.detach() * input_gradient(model, x, objective)).sum(1))


@method("smoothgrad", title="SmoothGrad", source="Smilkov et al. 2017, arXiv:1706.03825, section 3")
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
        for noise in _noise(one, n, batch, seed):
            total += input_gradient(model, one + scale * noise, objective.of(image)).double().sum(0)
            progress(image * n + len(noise), len(x) * n)
        progress((image + 1) * n, len(x) * n)
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
    source="Sundararajan et al. 2017, arXiv:1703.01365, equations 1 and 3",
    signed=True,
)
def integrated_gradients(
    model: nn.Module,
    x: Tensor,
    objective: Objective,
    *,
    baseline: Tensor | None = None,
    tolerance: float = 1e-3,
    steps: int = 32,
    most_steps: int = 1024,
    batch: int = 16,
    progress: Progress = _silent,
) -> Attribution:
    """Return sum over channels of (x - x') times the mean of dY/dx on the line from x' to x: (N, H, W).

    x' is `baseline`, of the shape of x or one that broadcasts to it; by default zeros, the mean colour of normalised
    images. The sum over all places is Y(x) - Y(x'): completeness, equation 3. `steps` are doubled until it holds to
    `tolerance`, or `most_steps` are reached. Figures: `completeness error`, `relative completeness error` (as a part of
    |Y(x) - Y(x')|) and the `steps` taken.

    Departures: the paper takes equal steps. Here the point at s = k / steps is x' + s^3 (x - x'), by the trapezoidal
    rule in s: near x' networks change fastest, and most of the error of equal steps is made there.
    """
    start = torch.zeros_like(x) if baseline is None else baseline.detach().to(x).expand_as(x)
    paths = list[_Path]()
    for image in range(len(x)):
        one = slice(image, image + 1)
        path = _Path(model, objective.of(image), start[one], x[one].detach(), batch)
        path.refine(steps)
        while path.relative_error > tolerance and path.steps * 2 <= most_steps:
            progress(image * most_steps + path.steps, len(x) * most_steps)
            path.refine(path.steps * 2)
        progress((image + 1) * most_steps, len(x) * most_steps)
        paths.append(path)
    figures = {
        "completeness error": torch.tensor([path.error for path in paths]),
        "relative completeness error": torch.tensor([path.relative_error for path in paths]),
        "steps": torch.tensor([float(path.steps) for path in paths]),
    }
    return _kept(torch.cat([path.values.sum(1) for path in paths]), **figures)


class _Path:
    """The line from `start` to `end`, both (1, C, H, W), and the gradient's mean along it, refined in place."""

    def __init__(self, model: nn.Module, objective: Objective, start: Tensor, end: Tensor, batch: int) -> None:
        self.model, self.objective, self.start, self.end, self.batch = model, objective, start, end, batch
        with torch.no_grad():
            below, above = objective(model(torch.cat([start, end]))).double().tolist()
        self.difference: float = above - below
        self.sum = torch.zeros_like(end, dtype=torch.float64)
        self.steps = 0

    def refine(self, steps: int) -> None:
        """Take `steps` steps, twice as many as before: the gradients of before are part of the sum."""
        points = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        weights = 3 * points**2 / steps  # the derivative of s^3; at s = 0 it is 0
        weights[-1] /= 2
        fresh = slice(0, None, 2) if self.steps else slice(None)
        # the weight of every old point is half of what it was
        self.sum /= 2
        shares, weights = (one[fresh].to(self.sum.device).view(-1, 1, 1, 1) for one in (points**3, weights))
        for first in range(0, len(shares), self.batch):
            part = slice(first, first + self.batch)
            inputs = self.start + shares[part].to(self.end.dtype) * (self.end - self.start)
            self.sum += (weights[part] * input_gradient(self.model, inputs, self.objective)).sum(0)
        self.steps = steps

    @property
    def values(self) -> Tensor:
        # the weights add up to 1 + 1 / (2 steps^2): without it a linear network were not exact
        return (self.end - self.start) * self.sum / (1 + 0.5 / self.steps**2)

    @property
    def error(self) -> float:
        return abs(self.values.sum().item() - self.difference)

    @property
    def relative_error(self) -> float:
        return self.error / max(abs(self.difference), torch.finfo(torch.float64).tiny)

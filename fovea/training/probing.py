"""A linear probe: the last layer that fits the features of trained weights best, in one pass and in closed form.

Classes by linear discriminants (Fisher 1936; Bishop 2006, section 4.2.2), numbers by ridge regression. The covariance
of the features is shrunk towards a multiple of the identity (Chen et al. 2010, arXiv:0907.4698, equation 23). Or each
class is the mean of its features, and the nearest is chosen (Mensink et al. 2013, doi:10.1109/TPAMI.2013.83).

Features are (N, D), targets (N, T), their moments float64.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fovea.errors import UsageError
from fovea.hooks import capture
from fovea.tasks.task import Task
from fovea.training.inference import autocast
from fovea.training.losses import Outputs, main_head


@dataclass
class Moments:
    """What the closed form needs of features (N, D) and targets (N, T): their sums and the sums of their products."""

    count: float
    features: Tensor
    """(D,)"""
    squares: Tensor
    """(D, D): sum of x x^T."""
    targets: Tensor
    """(T,): for classes, of one-hot rows, how many images each has."""
    products: Tensor
    """(T, D): sum of t x^T; for classes, the sum of the features of each."""

    @classmethod
    def of(cls, x: Tensor, t: Tensor) -> "Moments":
        """Return the moments of features `x` (N, D) and targets `t` (N, T), in double precision."""
        x, t = x.double(), t.double()
        return cls(len(x), x.sum(0), x.T @ x, t.sum(0), t.T @ x)

    def add(self, other: "Moments") -> None:
        """Take further images into account."""
        self.count += other.count
        self.features += other.features
        self.squares += other.squares
        self.targets += other.targets
        self.products += other.products


def fit_head(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, target: Task, form: str | None = None
) -> None:
    """Set the last layer of `model` to the closed form for `batches` of images (N, C, H, W) and labels (N,).

    The form is that of the target, or another of `CLOSED_FORMS`.

    Labels are on the network's scale, as int64 class indices or float numbers; `target` says what is fitted to them.
    The model is left in evaluation mode.

    Raises:
        UsageError: the outputs of the network are not those of a dense layer.
    """
    moments: Moments | None = None
    for features, labels in head_features(model, batches):
        found = Moments.of(features, target.probe_targets(labels))
        if moments is None:
            moments = found
        else:
            moments.add(found)
    if moments is not None:
        set_head(model, *CLOSED_FORMS[form or target.closed_form](moments))


def head_features(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    forward: Callable[[Tensor], Outputs] | None = None,
    precision: str = "float32",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what enters the last layer for each batch of images, (n, D) float32 or 64, and labels (n,), on the CPU.

    The model is left in evaluation mode. `forward`, where it is given, computes its outputs, of what else a batch has
    in place of images.

    Raises:
        UsageError: the outputs of the network are not those of a dense layer.
    """
    name, _ = last_dense(model)
    model.eval()
    with torch.no_grad(), capture(model, [name], inputs=True) as entering, capture(model, [name]) as leaving:
        for images, labels in batches:
            with autocast(images.device, precision):
                outputs = main_head((forward or model)(images))
            if outputs is not leaving[name]:
                raise _without_dense_end(name)
            features = entering[name]
            yield features.to(torch.promote_types(features.dtype, torch.float32)).cpu(), labels.cpu()


def set_head(model: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Give the last layer of `model` the weight (K, D) and bias (K,) of a classifier of K classes."""
    _, layer = last_dense(model)
    if layer.out_features < len(weight):  # one sigmoid unit: the odds of the second class
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def discriminants(moments: Moments, *, share: float | None = None) -> tuple[Tensor, Tensor]:
    """Return weight (K, D) and bias (K,) whose outputs are the logarithms of the classes' odds.

    With means m_k, frequencies p_k and the covariance S within classes: w_k = S^-1 m_k, b_k = log p_k - m_k w_k / 2.
    Frequencies are counted from one image each, so that a class without images has some; its mean is that of all. The
    covariance is `shrunk`, by another `share` where one is given.
    """
    count = moments.targets
    everywhere = moments.features / moments.count
    means = torch.where(count[:, None] > 0, moments.products / count.clamp(min=1)[:, None], everywhere)
    within = moments.squares - (means * count[:, None]).T @ means
    weight = torch.linalg.solve(shrunk(within / moments.count, moments.count, share=share), means.T).T
    frequency = (count + 1) / (count + 1).sum()
    return weight, frequency.log() - (weight * means).sum(1) / 2


def logistic(
    x: Tensor, labels: Tensor, *, classes: int, penalty: float, steps: int, offset: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return weight (K, D) and bias (K,) of multinomial logistic regression on features (N, D) and int64 labels (N,).

    They lessen the mean of -log p + `penalty` / 2 |weight|^2 in so many steps of L-BFGS (Liu and Nocedal 1989), from
    zeros on; the penalty means the same of all features where these have one scale. An `offset` (N, K) is added to the
    outputs.
    """
    weight, bias = (torch.zeros(size, dtype=x.dtype, requires_grad=True) for size in ((classes, x.shape[1]), classes))
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        outputs = nn.functional.linear(x, weight, bias)
        outputs = outputs if offset is None else outputs + offset
        loss = nn.functional.cross_entropy(outputs, labels) + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def nearest_means(moments: Moments) -> tuple[Tensor, Tensor]:
    """Return weight (K, D) and bias (K,) whose largest output is that of the class with the nearest mean.

    Discriminants of spheres: with the mean variance s within classes, w_k = m_k / s, b_k = -m_k w_k / 2,
    and nothing is said of frequencies. The mean of a class without images is that of all.
    """
    count = moments.targets
    means = torch.where(
        count[:, None] > 0, moments.products / count.clamp(min=1)[:, None], moments.features / moments.count
    )
    within = moments.squares.trace() - (means.square().sum(1) * count).sum()
    variance = (within / moments.count / means.shape[1]).clamp(min=1e-6)
    weight = means / variance
    return weight, -(weight * means).sum(1) / 2


def regression(moments: Moments) -> tuple[Tensor, Tensor]:
    """Return weight (T, D) and bias (T,) of the linear map from features to numbers with the least squared error.

    The shrunk covariance makes it a ridge regression.
    """
    x, t = moments.features / moments.count, moments.targets / moments.count
    covariance = moments.squares / moments.count - torch.outer(x, x)
    weight = torch.linalg.solve(
        shrunk(covariance, moments.count), (moments.products / moments.count - torch.outer(t, x)).T
    ).T
    return weight, t - weight @ x


def shrunk(covariance: Tensor, count: float, *, share: float | None = None) -> Tensor:
    """Return the oracle approximating shrinkage of a (D, D) covariance of `count` samples.

    (1 - r) S + r tr(S) / D I, with r of Chen et al. 2010, equation 23, or the `share` that is given; at least 1e-6, so
    that it can be inverted.
    """
    D, trace = len(covariance), covariance.trace()
    if share is None:
        trace_of_square = covariance.square().sum()
        numerator = (1 - 2 / D) * trace_of_square + trace**2
        denominator = (count + 1 - 2 / D) * (trace_of_square - trace**2 / D)
        share = float((numerator / denominator.clamp(min=1e-300)).clamp(1e-6, 1))
    scale = trace / D if trace > 0 else torch.ones_like(trace)
    identity = torch.eye(D, dtype=covariance.dtype)
    return (1 - share) * covariance + share * scale * identity


CLOSED_FORMS = {"discriminants": discriminants, "regression": regression, "means": nearest_means}
"""By the names that a task or a recipe gives them."""


def ends_dense(model: nn.Module) -> bool:
    """Return whether the last layer with weights, which a head in closed form needs, is a dense one with a bias."""
    layers = [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))]
    return bool(layers) and isinstance(layers[-1], nn.Linear) and layers[-1].bias is not None


def last_dense(model: nn.Module) -> tuple[str, nn.Linear]:
    """Return the last dense layer with a bias, and its path.

    Raises:
        UsageError: the network has none.
    """
    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear) and m.bias is not None]
    if not layers:
        raise _without_dense_end("none")
    return next(((name, m) for name, m in layers if name == "head.logits"), layers[-1])


def _without_dense_end(name: str) -> UsageError:
    return UsageError(
        f"`probe` needs a network whose outputs are those of a dense layer (here: {name}); "
        "use `head_first` or `freeze=all` instead."
    )

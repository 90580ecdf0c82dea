"""Normalisation: batch, layer, group and instance norm are one formula over different axes; local response norm.

    h = (x - mean) / sqrt(variance + eps),  y = gamma h + beta

Mean and variance (divided by the count) are taken over all but the channels (batch norm), over all of an image (layer
norm), over groups of channels of an image (group norm), or over each channel of an image (instance norm).
With gamma = sqrt(variance + eps) and beta = mean, the norm is the identity.

Arrays are float64; x, g = dL/dy and dL/dx are (N, C, *sizes). gamma and beta are (C,), of layer norm (C, *sizes).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fovea.reference.padding import Array


class Gradients(NamedTuple):
    """Gradients of the input, the scale and the shift of a normalisation, each of the shape of the same."""

    x: Array
    gamma: Array
    beta: Array


def standardise(x: Array, axes: Sequence[int], *, eps: float = 1e-5) -> Array:
    """Return h: x with mean 0 and variance 1 (but for `eps`) over `axes`."""
    axes = tuple(axes)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def standardise_gradient(g: Array, x: Array, axes: Sequence[int], *, eps: float = 1e-5) -> Array:
    """Return dL/dx = (g - mean(g) - h mean(g h)) / sqrt(variance + eps), given g = dL/dh, both of the shape of x."""
    axes = tuple(axes)
    h = standardise(x, axes, eps=eps)
    # x moves h by itself, by the mean and by the variance: the three terms
    centred = g - g.mean(axes, keepdims=True) - h * (g * h).mean(axes, keepdims=True)
    return centred / np.sqrt(x.var(axes, keepdims=True) + eps)


def batch_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Array:
    """Return batch norm in training, by the statistics of the batch: Ioffe and Szegedy 2015, arXiv:1502.03167.

    (N, C) or (N, C, *sizes); gamma, beta (C,).
    """
    return per_channel(gamma, x) * standardise(x, _all_but_channels(x), eps=eps) + per_channel(beta, x)


def batch_norm_gradients(g: Array, x: Array, gamma: Array, *, eps: float = 1e-5) -> Gradients:
    """Return the gradients of `batch_norm`, given g = dL/dy."""
    axes = _all_but_channels(x)
    gx = standardise_gradient(g * per_channel(gamma, x), x, axes, eps=eps)
    return Gradients(gx, (g * standardise(x, axes, eps=eps)).sum(axes), g.sum(axes))


def running_statistics(x: Array, mean: Array, variance: Array, *, momentum: float = 0.1) -> tuple[Array, Array]:
    """Return the running mean and variance (C,) after one more batch: (1 - momentum) old + momentum new.

    The new variance is divided by the count less one, unlike the one that the batch is normalised by.
    """
    axes = _all_but_channels(x)
    # ddof=1: an estimate of the variance of all images, where the batch is normalised by its own
    new_mean, new_variance = x.mean(axes), x.var(axes, ddof=1)
    return (1 - momentum) * mean + momentum * new_mean, (1 - momentum) * variance + momentum * new_variance


class Trained(NamedTuple):
    """What batch norm has after training, each (C,)."""

    gamma: Array
    beta: Array
    mean: Array
    variance: Array


def batch_norm_test(x: Array, trained: Trained, *, eps: float = 1e-5) -> Array:
    """Return batch norm at test time, an affine map of each channel: gamma (x - mean) / sqrt(variance + eps) + beta."""
    # scale and shift as one product and one sum: what can be folded into the convolution before
    scale = trained.gamma / np.sqrt(trained.variance + eps)
    return per_channel(scale, x) * x + per_channel(trained.beta - scale * trained.mean, x)


def batch_norm_test_gradients(g: Array, x: Array, trained: Trained, *, eps: float = 1e-5) -> Gradients:
    """Return the gradients of `batch_norm_test`, given g = dL/dy; mean and variance are constants."""
    axes = _all_but_channels(x)
    deviation = np.sqrt(trained.variance + eps)
    h = (x - per_channel(trained.mean, x)) / per_channel(deviation, x)
    return Gradients(g * per_channel(trained.gamma / deviation, x), (g * h).sum(axes), g.sum(axes))


def layer_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Array:
    """Return layer norm: Ba, Kiros and Hinton 2016, arXiv:1607.06450; gamma and beta (C, *sizes), as an image."""
    return gamma * standardise(x, range(1, x.ndim), eps=eps) + beta


def layer_norm_gradients(g: Array, x: Array, gamma: Array, *, eps: float = 1e-5) -> Gradients:
    """Return the gradients of `layer_norm`, given g = dL/dy."""
    axes = range(1, x.ndim)
    return Gradients(
        standardise_gradient(g * gamma, x, axes, eps=eps), (g * standardise(x, axes, eps=eps)).sum(0), g.sum(0)
    )


def group_norm(x: Array, gamma: Array, beta: Array, *, groups: int, eps: float = 1e-5) -> Array:
    """Return group norm: Wu and He 2018, arXiv:1803.08494; gamma, beta (C,). `groups=C` is instance norm."""
    h = standardise(_by_group(x, groups), [2], eps=eps).reshape(x.shape)
    return per_channel(gamma, x) * h + per_channel(beta, x)


def group_norm_gradients(g: Array, x: Array, gamma: Array, *, groups: int, eps: float = 1e-5) -> Gradients:
    """Return the gradients of `group_norm`, given g = dL/dy."""
    axes, grouped = _all_but_channels(x), _by_group(x, groups)
    # mean and variance belong to groups, gamma and beta to channels: back to the shape of x in between
    h = standardise(grouped, [2], eps=eps).reshape(x.shape)
    gx = standardise_gradient(_by_group(g * per_channel(gamma, x), groups), grouped, [2], eps=eps)
    return Gradients(gx.reshape(x.shape), (g * h).sum(axes), g.sum(axes))


def instance_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Array:
    """Return instance norm: Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022; gamma, beta (C,)."""
    return group_norm(x, gamma, beta, groups=x.shape[1], eps=eps)


def instance_norm_gradients(g: Array, x: Array, gamma: Array, *, eps: float = 1e-5) -> Gradients:
    """Return the gradients of `instance_norm`, given g = dL/dy."""
    return group_norm_gradients(g, x, gamma, groups=x.shape[1], eps=eps)


class Response(NamedTuple):
    """The constants of local response norm, under the names of the paper."""

    k: float
    n: int
    alpha: float
    beta: float


ALEXNET = Response(k=2.0, n=5, alpha=1e-4, beta=0.75)  # section 3.3 of the paper below


def local_response_norm(x: Array, constants: Response = ALEXNET) -> Array:
    """Return y[c] = x[c] / (k + alpha times the sum of x[j]^2 over the n channels j around c)^beta.

    Krizhevsky et al. 2012, section 3.3. PyTorch divides the sum by n; its alpha is n times this one.
    """
    return x * _denominator(x, constants) ** -constants.beta


def local_response_norm_gradient(g: Array, x: Array, constants: Response = ALEXNET) -> Array:
    """Return dL/dx[c] = g[c] D[c]^-beta - 2 alpha beta x[c] times the sum of g[j] x[j] D[j]^(-beta - 1) around c.

    D is the parenthesis in `local_response_norm`.
    """
    D, (_, n, alpha, beta) = _denominator(x, constants), constants
    # x[c] stands in D[j] of all j around it, and those are the j around c: the same sum as forward
    return g * D**-beta - 2 * alpha * beta * x * _sum_around(g * x * D ** (-beta - 1), n)


def _denominator(x: Array, constants: Response) -> Array:
    return constants.k + constants.alpha * _sum_around(x**2, constants.n)


def _sum_around(x: Array, n: int) -> Array:
    """Return at each channel c the sum over the channels from c - n // 2 to c + n // 2."""
    channels = np.arange(x.shape[1])
    # (C, C); at the first and last channels the sum has fewer terms, as in the paper
    near = np.abs(channels[:, None] - channels) <= n // 2
    return np.einsum("cj,nj...->nc...", near.astype(float), x)


def per_channel(values: Array, x: Array) -> Array:
    """Return (C,) values in the shape that multiplies an `x` (N, C, *sizes) channel by channel."""
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _by_group(x: Array, groups: int) -> Array:
    return x.reshape(len(x), groups, -1)  # neighbouring channels form a group


def _all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))

"""Activations and their gradients. Each gradient takes g = dL/dy and the input x, and returns dL/dx.

Arrays are float64 of any shape, `g` and what is returned of the shape of `x`; all but softmax go element by element.
"""

import math

import numpy as np

from fovea.reference.normalisation import per_channel
from fovea.reference.padding import Array

# NumPy has no erf. Without `otypes` an empty array is an error.
_erf = np.vectorize(math.erf, otypes=[np.float64])


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    return np.maximum(x, 0.0)


def relu_gradient(g: Array, x: Array) -> Array:
    """Return g where x > 0, else 0: also at x = 0, where there is no derivative."""
    return g * (x > 0)


def prelu(x: Array, slope: Array) -> Array:
    """Return x where x > 0, else slope x, with one learned slope for each channel; (N, C, ...), (C,).

    He et al. 2015, arXiv:1502.01852, equation 1.
    """
    return np.where(x > 0, x, per_channel(slope, x) * x)


def prelu_gradients(g: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Return dL/dx, and dL/dslope (C,): the sum of g x over all x <= 0 of a channel (equation 3)."""
    gx = g * np.where(x > 0, 1.0, per_channel(slope, x))
    return gx, (g * np.minimum(x, 0.0)).sum((0, *range(2, x.ndim)))


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), from 0 to 1, written with tanh, which does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def sigmoid_gradient(g: Array, x: Array) -> Array:
    """Return g y (1 - y) with y = sigmoid(x)."""
    y = sigmoid(x)
    return g * y * (1.0 - y)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent, from -1 to 1."""
    return np.tanh(x)


def tanh_gradient(g: Array, x: Array) -> Array:
    """Return g (1 - y^2) with y = tanh(x)."""
    return g * (1.0 - np.tanh(x) ** 2)


def gelu(x: Array) -> Array:
    """Return x Phi(x), Phi the normal distribution function. Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    return x * 0.5 * (1.0 + _erf(x / math.sqrt(2.0)))


def gelu_gradient(g: Array, x: Array) -> Array:
    """Return g (Phi(x) + x phi(x)), phi the normal density."""
    # the product rule on x Phi(x), whose Phi' is phi
    density = np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    return g * (0.5 * (1.0 + _erf(x / math.sqrt(2.0))) + x * density)


def softmax(x: Array, *, axis: int = 1) -> Array:
    """Return p[i] = exp(x[i]) / sum over j of exp(x[j]) along `axis`; less the maximum first, which cancels.

    p lies in 0..1 with sum 1 along `axis`, by default the classes of (N, classes) or the channels of (N, C, *sizes).
    """
    exponentials = np.exp(x - x.max(axis, keepdims=True))
    return exponentials / exponentials.sum(axis, keepdims=True)


def softmax_gradient(g: Array, x: Array, *, axis: int = 1) -> Array:
    """Return p (g - sum over j of g[j] p[j]) with p = softmax(x)."""
    p = softmax(x, axis=axis)
    return p * (g - (g * p).sum(axis, keepdims=True))

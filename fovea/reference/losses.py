"""Losses over a batch, and their gradients. A loss is one number; its gradient has the shape of the first argument.

Logits (N, classes) are float64, labels (N,) class indices; for the squared error two float64 arrays of any one shape.
"""

import numpy as np
from numpy.typing import NDArray

from fovea.reference.activation import softmax
from fovea.reference.padding import Array


def softmax_cross_entropy(logits: Array, labels: NDArray[np.integer]) -> float:
    """Return the mean over n of -log p[n, labels[n]] with p = softmax(logits); (N, classes), (N,).

    log p = x - max - log of the sum of exp(x - max): the logarithm of a small p is never taken.
    """
    # a constant added to all logits of an image changes no p; with the maximum at 0 no exp overflows
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(-log_p[np.arange(len(labels)), labels].mean())


def softmax_cross_entropy_gradient(logits: Array, labels: NDArray[np.integer]) -> Array:
    """Return dL/dlogits = (p - 1 at the label) / N."""
    p = softmax(logits)  # a new array: what follows leaves `logits` as they are
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels)


def mean_squared_error(y: Array, target: Array) -> float:
    """Return the mean over all elements of (y - target)^2."""
    return float(((y - target) ** 2).mean())


def mean_squared_error_gradient(y: Array, target: Array) -> Array:
    """Return dL/dy = 2 (y - target) / count."""
    return 2 * (y - target) / y.size

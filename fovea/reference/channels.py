"""What weighs or reorders channels: squeeze-and-excitation, channel shuffle. Arrays are float64."""

from typing import NamedTuple

import numpy as np

from fovea.reference.activation import relu, relu_gradient, sigmoid, sigmoid_gradient
from fovea.reference.dense import dense, dense_gradients
from fovea.reference.padding import Array
from fovea.reference.pooling import global_average_pool, global_average_pool_gradient


class Excitation(NamedTuple):
    """Weights of squeeze-and-excitation, or their gradients: W1 (hidden, C), b1 (hidden,), W2 (C, hidden), b2 (C,)."""

    W1: Array
    b1: Array
    W2: Array
    b2: Array


def squeeze_excitation(x: Array, weights: Excitation) -> Array:
    """Return x[n, c] s[n, c] with s = sigmoid(W2 relu(W1 z + b1) + b2), z the mean of each channel; (N, C, *sizes).

    Hu et al. 2017, arXiv:1709.01507, equations 2 to 4.
    """
    z = global_average_pool(x)
    hidden = relu(dense(z, weights.W1, weights.b1))
    s = sigmoid(dense(hidden, weights.W2, weights.b2))  # (N, C)
    return x * s.reshape(*s.shape, *[1] * (x.ndim - 2))


def squeeze_excitation_gradients(g: Array, x: Array, weights: Excitation) -> tuple[Array, Excitation]:
    """Return the gradients of x and of the weights, given g = dL/dy: along x itself, and back through s.

    g and x (N, C, *sizes); each gradient has the shape of what it is the gradient of.
    """
    z = global_average_pool(x)
    before_relu = dense(z, weights.W1, weights.b1)
    hidden = relu(before_relu)
    before_sigmoid = dense(hidden, weights.W2, weights.b2)
    s = sigmoid(before_sigmoid)
    # one s[n, c] weighs a whole map, so its gradient is a sum over the pixels of that map: (N, C)
    gs = (g * x).sum(tuple(range(2, x.ndim)))
    second = dense_gradients(sigmoid_gradient(gs, before_sigmoid), hidden, weights.W2)
    first = dense_gradients(relu_gradient(second.x, before_relu), z, weights.W1)
    gx = g * s.reshape(*s.shape, *[1] * (x.ndim - 2)) + global_average_pool_gradient(first.x, x)
    return gx, Excitation(first.kernel, first.bias, second.kernel, second.bias)


def channel_shuffle(x: Array, groups: int) -> Array:
    """Return the channels dealt out: y[n, b groups + a] = x[n, a C / groups + b]; (N, C, *sizes).

    Zhang et al. 2017, arXiv:1707.01083, figure 1(c). With C / groups in place of groups it is its own inverse, and so
    its gradient: dL/dx = channel_shuffle(g, C / groups).
    """
    if x.shape[1] % groups:
        raise ValueError(f"`groups` (={groups}) must divide the channels (={x.shape[1]}).")
    # the channels' numbers as rows of one group each, read by columns
    dealt = np.arange(x.shape[1]).reshape(groups, -1).T.ravel()
    return x[:, dealt]

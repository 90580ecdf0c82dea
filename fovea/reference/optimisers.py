"""Optimisers as their update equations: from a weight w, its gradient g and the state to the new weight and state.

States begin at zero. lr is the learning rate. Constants have PyTorch's names and defaults. Weights, gradients and
states are float64 of one shape, whichever; t of Adam counts the steps.
"""

import numpy as np

from fovea.reference.padding import Array


def sgd(w: Array, g: Array, *, lr: float) -> Array:
    """Return w - lr g."""
    return w - lr * g


def momentum(
    w: Array, g: Array, v: Array, *, lr: float, mu: float = 0.9, nesterov: bool = False
) -> tuple[Array, Array]:
    """Return w - lr v and the velocity v <- mu v + g; with `nesterov`, w - lr (g + mu v).

    Polyak 1964; in this form, lr outside of v, Sutskever et al. 2013 differ by a factor while lr is constant.
    """
    v = mu * v + g  # a new array: the caller's is left as it was
    return w - lr * (g + mu * v if nesterov else v), v


def rmsprop(w: Array, g: Array, s: Array, *, lr: float, alpha: float = 0.99, eps: float = 1e-8) -> tuple[Array, Array]:
    """Return w - lr g / (sqrt(s) + eps) and s <- alpha s + (1 - alpha) g^2. Tieleman and Hinton 2012, lecture 6e."""
    s = alpha * s + (1 - alpha) * g**2
    return w - lr * g / (np.sqrt(s) + eps), s  # eps outside of the root, as in PyTorch


def adadelta(
    w: Array, g: Array, state: tuple[Array, Array], *, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6
) -> tuple[Array, tuple[Array, Array]]:
    """Return w - lr d and (s, u): the step d = sqrt(u + eps) / sqrt(s + eps) g has the unit of w.

    s <- rho s + (1 - rho) g^2 first, u <- rho u + (1 - rho) d^2 last. Zeiler 2012, arXiv:1212.5701, algorithm 1.
    """
    s, u = state
    s = rho * s + (1 - rho) * g**2
    # eps inside of the roots, as in the paper: while u is 0, it is what the first steps are made of
    d = np.sqrt(u + eps) / np.sqrt(s + eps) * g
    return w - lr * d, (s, rho * u + (1 - rho) * d**2)


def adam(
    w: Array,
    g: Array,
    state: tuple[Array, Array, int],
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Array, tuple[Array, Array, int]]:
    """Return w - lr m' / (sqrt(v') + eps) and (m, v, t), with m' = m / (1 - b1^t) and v' = v / (1 - b2^t).

    t <- t + 1, m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2. Kingma and Ba 2014, arXiv:1412.6980, algorithm 1.
    """
    (m, v, t), (b1, b2) = state, betas
    # t + 1 first: at t = 0 both corrections would divide by zero
    t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    return w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps), (m, v, t)

"""Temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 4.2.

Logits are divided by one number T before softmax or sigmoid. The order of the classes stays, so accuracy does too.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

RANGE = (0.05, 20.0)
"""Temperatures that are tried."""


def fit_temperature(outputs: Tensor, labels: Tensor) -> float | None:
    """Return the temperature that minimises the negative log-likelihood of logits (N, K) for class indices (N,).

    K = 1 is the logit of the second of two classes. None where every image is classified rightly: the likelihood then
    grows without end as T falls, and says nothing of how sure to be. Take images that the network was not trained on.
    """
    from scipy.optimize import minimize_scalar

    logits = _of_every_class(outputs.double())
    if bool((logits.argmax(1) == labels).all()):
        return None
    bounds = tuple(map(math.log, RANGE))  # convex in 1 / T, so one valley in log T
    found = minimize_scalar(lambda log_t: F.cross_entropy(logits / math.exp(log_t), labels).item(), bounds=bounds)
    return math.exp(found.x)


def _of_every_class(outputs: Tensor) -> Tensor:
    """Return logits (N, classes); those of a single sigmoid unit are 0 and its output."""
    return torch.cat([torch.zeros_like(outputs), outputs], 1) if outputs.shape[1] == 1 else outputs

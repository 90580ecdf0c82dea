"""Temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 4.2.

Outputs are divided by one number T before they become probabilities. Take images that the network was not trained on.
"""

import math
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

RANGE = (1e-4, 10.0)
"""Temperatures that are tried, in units of the largest output: from certain to next to indifferent."""
LIMITS = (1e-6, 1e6)


def fit_temperature(outputs: Tensor, loss: Callable[[Tensor], Tensor]) -> float:
    """Return the temperature T that minimises `loss(outputs / T)`, outputs being (N, K) float64.

    The loss is a negative log-likelihood, convex in 1 / T, so there is one valley in log T. Against targets that are
    never certain (`smoothed`) its floor lies within the range whatever the outputs; T is finite and above 0. Outputs
    that are all 0 say nothing: 1.
    """
    from scipy.optimize import minimize_scalar

    scaled = outputs.double()
    largest = scaled.abs().max().item() if len(scaled) else 0.0
    if not 0 < largest < math.inf:
        return 1.0
    bounds = tuple(math.log(largest * end) for end in RANGE)
    found = minimize_scalar(lambda log_t: loss(scaled / math.exp(log_t)).item(), bounds=bounds, method="bounded")
    low, high = LIMITS
    return min(max(math.exp(found.x), low), high)


def smoothed(labels: Tensor, classes: int) -> Tensor:
    """Return the targets (N, classes) of int64 labels (N,): 1 - e on the label and e / (classes - 1) elsewhere.

    With e = 1 / (N + 2), after Platt 1999, "Probabilistic Outputs for Support Vector Machines", equation 9: even where
    every image is classified rightly, no more is claimed than N images can show.
    """
    e = 1 / (len(labels) + 2)
    certain = F.one_hot(labels, classes).double()
    return certain * (1 - e) + (1 - certain) * e / max(classes - 1, 1)

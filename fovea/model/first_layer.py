"""The weights of a network's first layer, where they are images.

Filters are (F, C, k, k) float32, in the scale of the weights.
"""

import numpy as np
from numpy.typing import NDArray
from torch import nn


def first_filters(model: nn.Module, input_shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return the weights of the first layer as images (F, C, k, k) for an input (C, H, W), or None.

    Those of a convolution over all C channels, or of a dense layer over all pixels.
    """
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)), None)
    if first is None or len(input_shape) != 3:
        return None
    C, H, W = input_shape
    weight: NDArray[np.float32] = first.weight.detach().float().cpu().numpy()
    if isinstance(first, nn.Conv2d):
        return weight if weight.shape[1] == C else None
    return weight.reshape(-1, C, H, W) if weight.shape[1] == C * H * W else None

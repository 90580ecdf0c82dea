"""The filters of a first layer, where it has images."""

import numpy as np
from torch import nn

from fovea.model.first_layer import first_filters


def test_first_filters_of_a_convolution_a_dense_layer_and_neither():
    conv = nn.Sequential(nn.Conv2d(3, 8, 5), nn.Linear(2, 2))
    assert np.array_equal(first_filters(conv, (3, 8, 8)), conv[0].weight.detach().numpy())
    assert first_filters(conv, (1, 8, 8)) is None
    dense = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7))
    assert first_filters(dense, (3, 4, 5)).shape == (7, 3, 4, 5)
    assert first_filters(dense, (3, 4, 4)) is None and first_filters(nn.Flatten(), (3, 4, 4)) is None
    assert first_filters(conv, (3, 8)) is None  # of other inputs than images

import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError


def test_widths_are_the_hidden_layers():
    model = registry.build("mlp", classes=4, c_in=3, size=5, widths=[6, 7])
    assert [tuple(p.shape) for p in model.parameters()] == [(6, 75), (6,), (7, 6), (7,), (4, 7), (4,)]
    assert model.features(torch.zeros(2, 3, 5, 5)).shape == (2, 7)


def test_without_hidden_layers_it_is_linear():
    model = registry.build("mlp", size=2, widths=[])
    x, y = torch.randn(2, 1, 1, 2, 2)
    torch.testing.assert_close(model(x) + model(y), model(x + y) + model(torch.zeros_like(x)))


@pytest.mark.parametrize("widths", [[0], [16, -1], [1.5], ["8"], [True]])
def test_widths_must_be_positive_integers(widths):
    with pytest.raises(UsageError, match=r"Network `mlp`: `widths` \(=.*\) must be integers of at least 1\."):
        registry.build("mlp", widths=widths)

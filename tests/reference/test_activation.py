import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.reference import activation

CURVES = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "softmax": lambda x: F.softmax(x, dim=1),
}


def test_values_that_can_be_checked_by_eye():
    x = np.array([[-1.0, 0.0, 1.0]])
    assert activation.relu(x).tolist() == [[0, 0, 1]]
    assert activation.prelu(x.T, np.array([0.25])).tolist() == [[-0.25], [0], [1]]
    assert activation.sigmoid(np.log([[3.0]])).item() == pytest.approx(0.75)
    assert activation.gelu(x)[0, 2] == pytest.approx(0.8413447460685429)  # Phi(1)
    assert activation.softmax(np.log([[1.0, 2.0, 5.0]])).tolist() == [pytest.approx([0.125, 0.25, 0.625])]


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("sizes", [(4, 5), (2, 3, 4, 5)])
def test_activation_and_its_gradient_are_pytorchs(same_as_torch, draw, name, sizes):
    ours, gradient = getattr(activation, name), getattr(activation, f"{name}_gradient")
    same_as_torch(ours, CURVES[name], gradient, 3 * draw(*sizes))


def test_softmax_along_another_axis(same_as_torch, draw):
    same_as_torch(
        lambda x: activation.softmax(x, axis=2),
        lambda x: F.softmax(x, dim=2),
        lambda g, x: activation.softmax_gradient(g, x, axis=2),
        draw(2, 3, 4),
    )


@pytest.mark.parametrize("sizes", [(4, 3), (2, 3, 4, 5)])
def test_prelu_and_its_gradients_are_pytorchs(same_as_torch, draw, sizes):
    same_as_torch(activation.prelu, F.prelu, activation.prelu_gradients, draw(*sizes), draw(3))


def test_nothing_overflows():
    x = np.array([[-1e4, 1e4]])
    assert activation.sigmoid(x).tolist() == [[0, 1]]
    assert activation.softmax(x).tolist() == [[0, 1]]


def test_a_constant_added_to_all_leaves_softmax_as_it_is(draw):
    x = draw(3, 4)
    np.testing.assert_allclose(activation.softmax(x + 100), activation.softmax(x), atol=1e-12)

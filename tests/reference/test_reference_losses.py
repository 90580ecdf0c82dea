import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.reference import losses

LABELS = np.array([2, 0, 1, 1])


def test_worked_losses():
    logits = np.log([[0.5, 0.25, 0.25]])
    assert losses.softmax_cross_entropy(logits, np.array([1])) == pytest.approx(np.log(4))
    assert losses.softmax_cross_entropy_gradient(logits, np.array([1])).tolist() == [[0.5, -0.75, 0.25]]
    assert losses.mean_squared_error(np.array([1.0, 3.0]), np.array([0.0, 5.0])) == 2.5


def test_softmax_cross_entropy_and_its_gradient_are_pytorchs(draw):
    logits = 5 * draw(4, 3)
    tensor = torch.tensor(logits, requires_grad=True)
    expected = F.cross_entropy(tensor, torch.tensor(LABELS))
    expected.backward()
    assert losses.softmax_cross_entropy(logits, LABELS) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(losses.softmax_cross_entropy_gradient(logits, LABELS), tensor.grad, atol=1e-12)


def test_a_confident_mistake_has_a_large_but_finite_loss():
    assert losses.softmax_cross_entropy(np.array([[0.0, 2000.0]]), np.array([0])) == 2000


def test_mean_squared_error_and_its_gradient_are_pytorchs(draw):
    y, target = draw(4, 3), draw(4, 3)
    tensor = torch.tensor(y, requires_grad=True)
    expected = F.mse_loss(tensor, torch.tensor(target))
    expected.backward()
    assert losses.mean_squared_error(y, target) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(losses.mean_squared_error_gradient(y, target), tensor.grad, atol=1e-12)

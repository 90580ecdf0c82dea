"""Random arrays, and the comparison with PyTorch: forward and gradient, float64."""

import numpy as np
import pytest
import torch

TIGHT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture
def draw():
    """Return a function from sizes to a standard normal array; the same sequence in every test."""
    generator = np.random.default_rng(7)
    return lambda *sizes: generator.normal(size=sizes)


@pytest.fixture
def same_as_torch(draw):
    """Check `ours(*arrays)` against `theirs(*tensors)`, and `gradients(g, *arrays)` against back-propagation."""

    def check(ours, theirs, gradients, *arrays):
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        expected = theirs(*tensors)
        np.testing.assert_allclose(ours(*arrays), expected.detach().numpy(), **TIGHT)
        g = draw(*expected.shape)
        expected.backward(torch.tensor(g))
        found = gradients(g, *arrays)
        for mine, tensor in zip(found if isinstance(found, tuple) else (found,), tensors, strict=True):
            np.testing.assert_allclose(mine, tensor.grad.numpy(), **TIGHT)

    return check

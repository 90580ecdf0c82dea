import numpy as np
import pytest
import torch

from fovea.reference import optimisers

STEPS = 12


def gradient(w):
    """Of the sum of cosines and a bowl: changes sign and size on the way."""
    return 0.5 * w - np.sin(3 * w)


def path(update, w, state):
    """Return the weights after each of a dozen updates."""
    visited = []
    for _ in range(STEPS):
        w, state = update(w, gradient(w), state)
        visited.append(w)
    return np.array(visited)


def torch_path(optimiser, w):
    parameter = torch.nn.Parameter(torch.tensor(w))
    optimiser = optimiser([parameter])
    visited = []
    for _ in range(STEPS):
        parameter.grad = torch.tensor(gradient(parameter.detach().numpy()))
        optimiser.step()
        visited.append(parameter.detach().numpy().copy())
    return np.array(visited)


ZERO = np.zeros(5)
OPTIMISERS = {
    "sgd": (lambda w, g, _: (optimisers.sgd(w, g, lr=0.1), None), None, lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (
        lambda w, g, v: optimisers.momentum(w, g, v, lr=0.1, mu=0.8),
        ZERO,
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8),
    ),
    "nesterov": (
        lambda w, g, v: optimisers.momentum(w, g, v, lr=0.1, nesterov=True),
        ZERO,
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    ),
    "rmsprop": (
        lambda w, g, s: optimisers.rmsprop(w, g, s, lr=0.1),
        ZERO,
        lambda p: torch.optim.RMSprop(p, lr=0.1),
    ),
    "adadelta": (optimisers.adadelta, (ZERO, ZERO), torch.optim.Adadelta),
    "adam": (
        lambda w, g, state: optimisers.adam(w, g, state, lr=0.1, betas=(0.8, 0.99)),
        (ZERO, ZERO, 0),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.99)),
    ),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_path_of_an_optimiser_is_pytorchs(draw, name):
    update, state, theirs = OPTIMISERS[name]
    w = draw(5)
    np.testing.assert_allclose(path(update, w, state), torch_path(theirs, w), rtol=1e-11, atol=1e-12)


def test_first_steps_by_hand():
    w, g, zero = np.array([1.0]), np.array([4.0]), np.zeros(1)
    assert optimisers.sgd(w, g, lr=0.5).tolist() == [-1.0]
    assert optimisers.momentum(w, g, np.array([2.0]), lr=0.5, mu=0.5)[0].tolist() == [1 - 0.5 * 5]
    assert optimisers.rmsprop(w, g, zero, lr=0.1, alpha=0.75, eps=0)[0].tolist() == [1 - 0.1 * 4 / 2]
    assert optimisers.adam(w, g, (zero, zero, 0), lr=0.1, eps=0)[0] == pytest.approx([0.9])  # lr, whatever g

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea import registry
from fovea.reference import lenet5


@pytest.fixture(scope="module")
def digits():
    """The digits data set: images of 16x16 with values 0..1, each pixel of the 8x8 originals four times; labels."""
    data = load_digits()
    return np.kron(data.images / 16, np.ones((2, 2)))[:, None], data.target


def test_the_layers_have_the_sizes_of_figure_2():
    net = lenet5.initial(np.random.default_rng(0))
    maps = lenet5.forward(net, np.zeros((1, 1, 32, 32)))
    assert [m.shape[1:] for m in maps] == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]
    assert sum(array.size for layer in net for array in layer) == 61_706


@pytest.mark.parametrize(("size", "c_in"), [(16, 1), (32, 3)])
def test_ten_steps_are_those_of_the_zoos_network(size, c_in):
    generator = np.random.default_rng(1)
    net = lenet5.initial(generator, size=size, c_in=c_in)
    model = registry.build("lenet5", size=size, c_in=c_in).double()
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), (array for layer in net for array in layer), strict=True):
            parameter.copy_(torch.tensor(array))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    first = None
    for _ in range(10):
        images, labels = generator.normal(size=(8, c_in, size, size)), generator.integers(10, size=8)
        net, loss = lenet5.step(net, images, labels, lr=0.1)
        optimiser.zero_grad()
        expected = F.cross_entropy(model(torch.tensor(images)), torch.tensor(labels))
        expected.backward()
        optimiser.step()
        assert abs(loss - expected.item()) < 1e-9
        first = first or net
    ours = [array for layer in net for array in layer]
    for array, parameter in zip(ours, model.parameters(), strict=True):
        np.testing.assert_allclose(array, parameter.detach(), rtol=0, atol=1e-9)
    assert all(abs(a - b).max() > 1e-3 for a, b in zip(ours, (a for layer in first for a in layer), strict=True))


@pytest.mark.slow
def test_it_learns_digits(digits):
    images, labels = digits
    held_out = np.arange(len(images)) % 5 == 0
    generator = np.random.default_rng(0)
    net = lenet5.initial(generator, size=16)
    for _ in range(3):
        net = lenet5.train(net, images[~held_out], labels[~held_out], generator, batch=16, lr=0.1)
    chosen = lenet5.forward(net, images[held_out]).logits.argmax(1)
    assert (chosen == labels[held_out]).mean() > 0.9

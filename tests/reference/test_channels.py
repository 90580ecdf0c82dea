import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea import layers
from fovea.reference.channels import Excitation, channel_shuffle, squeeze_excitation, squeeze_excitation_gradients


def test_channels_that_are_excited_by_nothing_are_halved(draw):
    x = draw(2, 4, 3, 3)
    silent = Excitation(np.zeros((2, 4)), np.zeros(2), np.zeros((4, 2)), np.zeros(4))
    np.testing.assert_allclose(squeeze_excitation(x, silent), x / 2, atol=1e-12)


def test_squeeze_and_excitation_and_its_gradients_are_those_of_the_layer(draw):
    x, weights = draw(2, 6, 4, 3), Excitation(draw(3, 6), draw(3), draw(6, 3), draw(6))
    layer = layers.SqueezeExcitation(6, 2).double()
    with torch.no_grad():
        for parameter, array in zip(layer.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(array).reshape(parameter.shape))
    image = torch.tensor(x, requires_grad=True)
    y, g = layer(image), draw(2, 6, 4, 3)
    y.backward(torch.tensor(g))
    np.testing.assert_allclose(squeeze_excitation(x, weights), y.detach(), atol=1e-12)
    gx, gradients = squeeze_excitation_gradients(g, x, weights)
    np.testing.assert_allclose(gx, image.grad, atol=1e-12)
    for ours, parameter in zip(gradients, layer.parameters(), strict=True):
        np.testing.assert_allclose(ours, parameter.grad.reshape(ours.shape), atol=1e-12)


@pytest.mark.parametrize("theirs", [F.channel_shuffle, layers.channel_shuffle])
def test_channel_shuffle_and_its_gradient_are_pytorchs(same_as_torch, draw, theirs):
    same_as_torch(
        lambda x: channel_shuffle(x, 3),
        lambda x: theirs(x, 3),
        lambda g, x: channel_shuffle(g, 2),
        draw(2, 6, 4, 3),
    )


def test_channels_are_dealt_out_group_by_group():
    x = np.arange(6.0).reshape(1, 6, 1, 1)
    assert channel_shuffle(x, 2).ravel().tolist() == [0, 3, 1, 4, 2, 5]
    with pytest.raises(ValueError, match=r"`groups` \(=4\) must divide the channels \(=6\)"):
        channel_shuffle(x, 4)

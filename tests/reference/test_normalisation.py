import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.reference import normalisation as norms

DENSE_AND_MAPS = pytest.mark.parametrize("sizes", [(8, 4), (3, 4, 5, 6)])


def test_two_values_become_minus_one_and_one():
    x = np.array([[3.0], [7.0]])
    assert norms.batch_norm(x, np.array([1.0]), np.array([0.0]), eps=0).tolist() == [[-1], [1]]
    assert norms.layer_norm(x.T, np.ones(2), np.zeros(2), eps=0).tolist() == [[-1, 1]]


@DENSE_AND_MAPS
def test_batch_norm_in_training_and_its_gradients_are_pytorchs(same_as_torch, draw, sizes):
    same_as_torch(
        norms.batch_norm,
        lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True),
        lambda g, x, gamma, beta: norms.batch_norm_gradients(g, x, gamma),
        draw(*sizes),
        draw(4),
        draw(4),
    )


@DENSE_AND_MAPS
def test_batch_norm_at_test_time_and_its_gradients_are_pytorchs(same_as_torch, draw, sizes):
    mean, variance = draw(4), np.exp(draw(4))
    same_as_torch(
        lambda x, gamma, beta: norms.batch_norm_test(x, norms.Trained(gamma, beta, mean, variance)),
        lambda x, gamma, beta: F.batch_norm(x, torch.tensor(mean), torch.tensor(variance), gamma, beta),
        lambda g, x, gamma, beta: norms.batch_norm_test_gradients(g, x, norms.Trained(gamma, beta, mean, variance)),
        draw(*sizes),
        draw(4),
        draw(4),
    )


@DENSE_AND_MAPS
def test_running_statistics_over_three_batches_are_pytorchs(draw, sizes):
    layer = (nn.BatchNorm1d if len(sizes) == 2 else nn.BatchNorm2d)(4).double()
    mean, variance = np.zeros(4), np.ones(4)
    for _ in range(3):
        x = draw(*sizes)
        layer(torch.tensor(x))
        mean, variance = norms.running_statistics(x, mean, variance)
    np.testing.assert_allclose(mean, layer.running_mean, atol=1e-12)
    np.testing.assert_allclose(variance, layer.running_var, atol=1e-12)


def test_layer_norm_and_its_gradients_are_pytorchs(same_as_torch, draw):
    same_as_torch(
        norms.layer_norm,
        lambda x, gamma, beta: F.layer_norm(x, (4, 5, 6), gamma, beta),
        lambda g, x, gamma, beta: norms.layer_norm_gradients(g, x, gamma),
        draw(3, 4, 5, 6),
        draw(4, 5, 6),
        draw(4, 5, 6),
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_and_its_gradients_are_pytorchs(same_as_torch, draw, groups):
    same_as_torch(
        lambda x, gamma, beta: norms.group_norm(x, gamma, beta, groups=groups),
        lambda x, gamma, beta: F.group_norm(x, groups, gamma, beta),
        lambda g, x, gamma, beta: norms.group_norm_gradients(g, x, gamma, groups=groups),
        draw(3, 4, 5, 6),
        draw(4),
        draw(4),
    )


def test_instance_norm_and_its_gradients_are_pytorchs(same_as_torch, draw):
    same_as_torch(
        norms.instance_norm,
        lambda x, gamma, beta: F.instance_norm(x, weight=gamma, bias=beta),
        lambda g, x, gamma, beta: norms.instance_norm_gradients(g, x, gamma),
        draw(3, 4, 5, 6),
        draw(4),
        draw(4),
    )


def test_a_layer_norm_with_the_same_scale_everywhere_is_group_norm_with_one_group(draw):
    x, ones, zeros = draw(3, 4, 5, 6), np.ones(4), np.zeros(4)
    by_layer = norms.layer_norm(x, np.ones((4, 5, 6)), np.zeros((4, 5, 6)))
    np.testing.assert_allclose(by_layer, norms.group_norm(x, ones, zeros, groups=1), atol=1e-12)


@pytest.mark.parametrize("constants", [norms.ALEXNET, norms.Response(k=1.0, n=3, alpha=0.5, beta=0.6)])
def test_local_response_norm_and_its_gradient_are_pytorchs(same_as_torch, draw, constants):
    k, n, alpha, beta = constants
    same_as_torch(
        lambda x: norms.local_response_norm(x, constants),
        lambda x: F.local_response_norm(x, n, alpha=n * alpha, beta=beta, k=k),
        lambda g, x: norms.local_response_norm_gradient(g, x, constants),
        3 * draw(2, 7, 4, 3),
    )


def test_local_response_norm_of_one_channel_among_silent_ones():
    x = np.array([[0.0, 0.0, 2.0, 0.0]])
    constants = norms.Response(k=1.0, n=3, alpha=2.0, beta=0.5)
    assert norms.local_response_norm(x, constants).tolist() == [[0, 0, pytest.approx(2 / 3), 0]]

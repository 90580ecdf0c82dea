import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.reference.convolution import correlate
from fovea.reference.dense import (
    dense,
    dense_gradients,
    dropout_mask,
    locally_connected,
    locally_connected_gradients,
)
from fovea.reference.matrix import convolution_matrix


def test_dense_layer_and_its_gradients_are_pytorchs(same_as_torch, draw):
    same_as_torch(dense, F.linear, lambda g, x, W, bias: dense_gradients(g, x, W), draw(5, 4), draw(3, 4), draw(3))


def unshared(x, kernel, bias, *, stride, padding):
    """The oracle: the columns of PyTorch's unfold, each with the weights of its position."""
    columns = F.unfold(x, kernel.shape[2:4], stride=stride, padding=padding)
    weights = kernel.flatten(4).flatten(1, 3)
    y = torch.einsum("nks,oks->nos", columns, weights)
    return y.unflatten(2, kernel.shape[4:]) + bias


@pytest.mark.parametrize(("stride", "padding", "out"), [(1, 0, (4, 3)), (2, 1, (3, 3))])
def test_locally_connected_layer_and_its_gradients(same_as_torch, draw, stride, padding, out):
    options = {"stride": stride, "padding": padding}
    same_as_torch(
        lambda x, kernel, bias: locally_connected(x, kernel, bias=bias, **options),
        lambda x, kernel, bias: unshared(x, kernel, bias, **options),
        lambda g, x, kernel, bias: locally_connected_gradients(g, x, kernel, **options),
        draw(2, 3, 6, 5),
        draw(4, 3, 3, 3, *out),
        draw(4, *out),
    )


def test_a_locally_connected_layer_with_one_kernel_everywhere_is_a_convolution(draw):
    x, kernel = draw(2, 3, 6, 5), draw(4, 3, 3, 3)
    tied = np.broadcast_to(kernel[..., None, None], (*kernel.shape, 4, 3))
    np.testing.assert_allclose(locally_connected(x, tied), correlate(x, kernel), atol=1e-12)


def test_a_dense_layer_with_zeros_outside_the_windows_is_locally_connected(draw):
    kernel = draw(4, 3, 3, 3, 4, 3)
    unit_images = np.eye(3 * 6 * 5).reshape(-1, 3, 6, 5)
    W = locally_connected(unit_images, kernel).reshape(len(unit_images), -1).T
    windows = convolution_matrix(np.ones((4, 3, 3, 3)), (3, 6, 5)).toarray()
    assert ((W != 0) == (windows != 0)).all()
    assert np.unique(W[W != 0]).size == kernel.size == windows.sum()
    x = draw(2, 3, 6, 5)
    expected = locally_connected(x, kernel).reshape(2, -1)
    np.testing.assert_allclose(dense(x.reshape(2, -1), W), expected, atol=1e-12)


def test_a_dense_layer_at_each_pixel_is_a_1x1_convolution(draw):
    x, W, bias = draw(2, 3, 4, 5), draw(6, 3), draw(6)
    pixels = x.transpose(0, 2, 3, 1).reshape(-1, 3)
    expected = dense(pixels, W, bias).reshape(2, 4, 5, 6).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(correlate(x, W[:, :, None, None], bias=bias), expected, atol=1e-12)


def test_a_dense_layer_on_a_map_is_a_convolution_as_large_as_the_map(draw):
    x, W = draw(2, 3, 4, 5), draw(6, 60)
    expected = dense(x.reshape(2, -1), W)
    np.testing.assert_allclose(correlate(x, W.reshape(6, 3, 4, 5))[:, :, 0, 0], expected, atol=1e-12)


def test_a_kernel_for_other_positions_is_refused():
    with pytest.raises(ValueError, match=r"for \(4, 4\) output positions does not fit a padded input of \(5, 5\)"):
        locally_connected(np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 3, 3, 4, 4)))


def test_dropout_drops_a_part_p_and_keeps_the_mean():
    mask = dropout_mask((100, 1000), 0.3, np.random.default_rng(0))
    assert set(np.unique(mask)) == {0.0, 1 / 0.7}
    assert abs((mask == 0).mean() - 0.3) < 0.01
    assert abs(mask.mean() - 1) < 0.01
    assert (dropout_mask((10,), 0.0, np.random.default_rng(0)) == 1).all()


def test_dropout_with_its_mask_is_pytorchs(same_as_torch, draw):
    torch.manual_seed(0)
    mask = F.dropout(torch.ones(4, 6, dtype=torch.float64), 0.25).numpy()
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}

    def theirs(x):
        torch.manual_seed(0)
        return F.dropout(x, 0.25)

    same_as_torch(lambda x: mask * x, theirs, lambda g, x: mask * g, draw(4, 6))


def test_dropping_everything_is_refused():
    with pytest.raises(ValueError, match=r"`p` \(=1\) must be in \[0, 1\)"):
        dropout_mask((3,), 1, np.random.default_rng(0))

import numpy as np
import pytest
from torch.nn import functional as F

from fovea.reference.convolution import correlate, correlate_gradients
from fovea.reference.transposed import input_gradient, kernel_gradient, transposed, transposed_gradients

TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
SIZES, KERNEL = (5, 4, 3), (3, 2, 4)

OPTIONS = {
    "plain": {},
    "stride": {"stride": 2},
    "padding": {"padding": 1, "stride": 2},
    "dilation": {"dilation": 2},
    "groups": {"groups": 2},
    "all": {"stride": 3, "padding": 1, "dilation": 2, "groups": 2},
}


def test_each_pixel_lays_its_multiple_of_the_kernel_down():
    x, kernel = np.array([[[1.0, 10.0]]]), np.array([[[1.0, 2.0, 3.0]]])
    assert transposed(x, kernel).ravel().tolist() == [1, 12, 23, 30]
    assert transposed(x, kernel, stride=2).ravel().tolist() == [1, 2, 13, 20, 30]
    assert transposed(x, kernel, stride=2, padding=1, output_padding=1).ravel().tolist() == [2, 13, 20, 30]


@pytest.mark.parametrize("axes", TRANSPOSED)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_transposed_convolution_and_its_gradients_are_pytorchs(same_as_torch, draw, axes, options):
    same_as_torch(
        lambda x, kernel, bias: transposed(x, kernel, bias=bias, **options),
        lambda x, kernel, bias: TRANSPOSED[axes](x, kernel, bias, **options),
        lambda g, x, kernel, bias: transposed_gradients(g, x, kernel, **options),
        draw(2, 4, *SIZES[:axes]),
        draw(4, 6 // options.get("groups", 1), *KERNEL[:axes]),
        draw(6),
    )


def test_output_padding_is_pytorchs(same_as_torch, draw):
    same_as_torch(
        lambda x, kernel, bias: transposed(x, kernel, bias=bias, stride=3, padding=1, output_padding=(2, 1)),
        lambda x, kernel, bias: F.conv_transpose2d(x, kernel, bias, stride=3, padding=1, output_padding=(2, 1)),
        lambda g, x, kernel, bias: transposed_gradients(g, x, kernel, stride=3, padding=1),
        draw(2, 3, 4, 3),
        draw(3, 2, 3, 3),
        draw(2),
    )


def test_output_padding_is_less_than_the_stride():
    with pytest.raises(ValueError, match=r"`output_padding` \(=\(2, 2\)\) must be >= 0 and less than `stride`"):
        transposed(np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 3, 3)), stride=2, output_padding=2)


@pytest.mark.parametrize(("channels", "groups"), [(3, 1), (4, 3)])
def test_channels_and_groups_fit_the_kernel(channels, groups):
    with pytest.raises(
        ValueError, match=rf"channels \(={channels}\) must equal .* kernel \(=4\), and `groups` \(={groups}\)"
    ):
        transposed(np.zeros((1, channels, 3)), np.zeros((4, 2, 3)), groups=groups)


def test_it_is_the_gradient_of_the_convolution_with_the_same_kernel(draw):
    g, x, kernel = draw(2, 6, 4, 4), draw(2, 4, 9, 9), draw(6, 4, 3, 3)
    expected = correlate_gradients(g, x, kernel, stride=2).x
    np.testing.assert_allclose(transposed(g, kernel, stride=2), expected, atol=1e-12)


@pytest.mark.parametrize("axes", TRANSPOSED)
@pytest.mark.parametrize(
    "options", [{}, {"padding": "same"}, {"stride": 3, "padding": 1}, {"dilation": 2, "padding": 3}]
)
def test_both_gradients_of_a_convolution_are_convolutions(draw, axes, options):
    x, kernel = draw(2, 3, *(9, 8, 7)[:axes]), draw(4, 3, *KERNEL[:axes])
    y = correlate(x, kernel, **options)
    g = draw(*y.shape)
    expected = correlate_gradients(g, x, kernel, **options)
    np.testing.assert_allclose(input_gradient(g, kernel, x.shape[2:], **options), expected.x, atol=1e-12)
    np.testing.assert_allclose(kernel_gradient(g, x, kernel.shape[2:], **options), expected.kernel, atol=1e-12)

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fovea.reference.convolution import convolve, correlate, correlate_gradients, reflected

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SIZES = (8, 7, 6)
KERNEL = (3, 2, 4)

OPTIONS = {
    "plain": {},
    "stride": {"stride": 2},
    "padding": {"padding": 2},
    "dilation": {"dilation": 2, "padding": 3},
    "groups": {"groups": 2},
    "stride that leaves a rest, dilation, padding, groups": {"stride": 3, "dilation": 2, "padding": 4, "groups": 2},
}


def row(*values):
    return np.array(values, dtype=float).reshape(1, 1, -1)


@pytest.mark.parametrize("axes", CONV)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_correlation_and_its_gradients_are_pytorchs_convolution(same_as_torch, draw, axes, options):
    same_as_torch(
        lambda x, kernel, bias: correlate(x, kernel, bias=bias, **options),
        lambda x, kernel, bias: CONV[axes](x, kernel, bias, **options),
        lambda g, x, kernel, bias: correlate_gradients(g, x, kernel, **options),
        draw(2, 4, *SIZES[:axes]),
        draw(6, 4 // options.get("groups", 1), *KERNEL[:axes]),
        draw(6),
    )


def test_correlation_slides_and_convolution_flips_first():
    x, kernel = row(0, 1, 0, 0, 2), row(1, 2, 3)
    assert correlate(x, kernel).ravel().tolist() == [2, 1, 6]
    assert convolve(x, kernel).ravel().tolist() == [2, 3, 2]


def test_every_axis_has_its_own_stride_padding_and_dilation(draw):
    x, kernel = draw(1, 2, 9, 10), draw(3, 2, 3, 3)
    options = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
    expected = F.conv2d(torch.tensor(x), torch.tensor(kernel), **options)
    np.testing.assert_allclose(correlate(x, kernel, **options), expected, atol=1e-12)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_and_their_gradients_are_pytorchs(same_as_torch, draw, mode):
    same_as_torch(
        lambda x, kernel: correlate(x, kernel, padding=[(1, 2), 2], mode=mode),
        lambda x, kernel: F.conv2d(F.pad(x, (2, 2, 1, 2), mode=mode), kernel),
        lambda g, x, kernel: correlate_gradients(g, x, kernel, padding=[(1, 2), 2], mode=mode)[:2],
        draw(2, 3, 5, 4),
        draw(2, 3, 3, 2),
    )


def test_a_constant_around_the_input_counts_in_the_kernels_gradient(same_as_torch, draw):
    options = {"padding": 1, "mode": "constant", "value": 1.5}
    same_as_torch(
        lambda x, kernel: correlate(x, kernel, **options),
        lambda x, kernel: F.conv2d(F.pad(x, (1, 1, 1, 1), value=1.5), kernel),
        lambda g, x, kernel: correlate_gradients(g, x, kernel, **options)[:2],
        draw(2, 2, 4, 4),
        draw(3, 2, 3, 3),
    )


def test_depthwise_filters_each_channel_and_pointwise_mixes_each_pixel(draw):
    x, depthwise, pointwise = draw(2, 3, 5, 5), draw(3, 1, 3, 3), draw(4, 3, 1, 1)
    each = correlate(x, depthwise, groups=3)
    for c in range(3):
        np.testing.assert_allclose(each[:, c : c + 1], correlate(x[:, c : c + 1], depthwise[c : c + 1]), atol=1e-12)
    mixed = np.einsum("oc,nchw->nohw", pointwise[:, :, 0, 0], x)
    np.testing.assert_allclose(correlate(x, pointwise), mixed, atol=1e-12)


@pytest.mark.parametrize("mode", ["full", "valid"])
@pytest.mark.parametrize("axes", CONV)
def test_convolution_and_correlation_are_scipys(draw, mode, axes):
    x, kernel = draw(1, 1, *SIZES[:axes]), draw(1, 1, *KERNEL[:axes])
    for ours, theirs in ((convolve, scipy.signal.convolve), (correlate, scipy.signal.correlate)):
        expected = theirs(x[0, 0], kernel[0, 0], mode=mode, method="direct")
        np.testing.assert_allclose(ours(x, kernel, padding=mode)[0, 0], expected, atol=1e-12)


signals = st.lists(st.integers(-9, 9), min_size=1, max_size=8)


@given(x=signals, kernel=signals)
def test_convolution_commutes_and_correlation_reflects(x, kernel):
    x, kernel = row(*x), row(*kernel)
    assert convolve(x, kernel, padding="full").tolist() == convolve(kernel, x, padding="full").tolist()
    there, back = correlate(x, kernel, padding="full"), correlate(kernel, x, padding="full")
    assert there.tolist() == back[..., ::-1].tolist()


@given(a=signals, b=signals, c=signals)
def test_convolution_is_associative(a, b, c):
    a, b, c = row(*a), row(*b), row(*c)
    left = convolve(convolve(a, b, padding="full"), c, padding="full")
    assert left.tolist() == convolve(a, convolve(b, c, padding="full"), padding="full").tolist()


@given(x=signals, shift=st.integers(0, 5))
def test_a_dirac_impulse_shifts_the_signal_to_where_it_stands(x, shift):
    dirac = row(*(i == shift for i in range(6)))
    expected = [0] * shift + x + [0] * (5 - shift)
    assert convolve(row(*x), dirac, padding="full").ravel().tolist() == expected


def test_shifting_the_input_shifts_the_output(draw):
    x, kernel = draw(1, 2, 8, 8), draw(3, 2, 3, 3)
    moved = correlate(np.roll(x, (2, 3), axis=(2, 3)), kernel, padding=1, mode="circular")
    expected = np.roll(correlate(x, kernel, padding=1, mode="circular"), (2, 3), axis=(2, 3))
    np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_reflecting_twice_changes_nothing(draw):
    kernel = draw(2, 3, 4, 3)
    assert reflected(kernel)[0, 0, 0, 0] == kernel[0, 0, -1, -1]
    assert (reflected(reflected(kernel)) == kernel).all()


@pytest.mark.parametrize(
    ("x", "kernel", "groups", "message"),
    [
        ((1, 4, 5), (2, 3, 3), 1, "A kernel for 3 channels in each of 1 groups does not fit an input of 4 channels"),
        (
            (1, 4, 5),
            (2, 4, 3),
            3,
            (
                r"`groups` \(=3\) must divide the input channels \(=4\) and the output channels "
                r"\(=2\)"
            ),
        ),
        ((1, 4, 5), (2, 4, 3, 3), 1, r"Input \(1, 4, 5\) and kernel \(2, 4, 3, 3\) must both be"),
        (
            (1, 4, 5),
            (2, 4, 6),
            1,
            r"A kernel of \(6,\) with dilation \(1,\) does not fit into a padded input of \(5,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(x, kernel, groups, message):
    with pytest.raises(ValueError, match=message):
        correlate(np.zeros(x), np.zeros(kernel), groups=groups)

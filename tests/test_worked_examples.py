"""Every worked example of the lectures on operators and shapes: by the reference and by PyTorch."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.errors import ShapeError
from fovea.reference.convolution import correlate, correlate_gradients
from fovea.reference.matrix import convolution_matrix
from fovea.reference.normalisation import batch_norm
from fovea.reference.padding import amounts
from fovea.reference.pooling import average_pool, average_pool_gradient, max_pool, max_pool_gradient
from fovea.reference.transposed import input_gradient
from fovea.shapes import convolved

LAPLACIAN_INPUT = """
 60 113  56 139  85
 73 121  54  84 128
131  99  70 129 127
 80  57 115  69 134
104 126 123  95 130
"""
DUMOULIN_INPUT = "3 3 2 1 0; 0 0 1 3 1; 3 1 2 2 3; 2 0 0 2 2; 2 0 0 0 1"
STROKES = "1 0 0 0 0 1; 0 1 0 0 1 0; 0 0 1 1 0 0; 1 0 0 0 1 0; 0 1 0 0 1 0; 0 0 1 0 1 0"
POOLED_INPUT = "0 3 1 6; 2 1 0 2; -1 1 1 1; -1 0 -1 3"


def grid(text):
    """Return rows of numbers, as on a slide, as an image (1, 1, H, W)."""
    rows = text.strip().replace("\n", ";").split(";")
    return np.array([row.split() for row in rows], dtype=float)[None, None]


def correlated(image, kernel, **options):
    """Return the map (H, W) by the reference, after checking it against PyTorch and the matrix."""
    y = correlate(image, kernel, **options)
    torch.testing.assert_close(F.conv2d(torch.tensor(image), torch.tensor(kernel), **options), torch.tensor(y))
    C = convolution_matrix(kernel, image.shape[1:], **options)
    np.testing.assert_allclose(C @ image.ravel(), y.ravel(), atol=1e-12)
    return y[0, 0]


def pooled(kind, image, kernel, **options):
    """Return the map (H, W) by the reference, after checking it against PyTorch."""
    ours, theirs = {"max": (max_pool, F.max_pool2d), "average": (average_pool, F.avg_pool2d)}[kind]
    y = ours(image, kernel, **options)
    torch.testing.assert_close(theirs(torch.tensor(image), kernel, **options), torch.tensor(y))
    return y[0, 0]


def output_size(size, kernel, **options):
    """Return the side of a map of ones, by the reference, after checking it against PyTorch and `convolved`."""
    side = len(correlated(np.ones((1, 1, size, size)), np.ones((1, 1, kernel, kernel)), **options))
    assert side == convolved(size, kernel, **options)
    return side


# Sizes


@pytest.mark.parametrize(("stride", "padding", "side"), [(1, 0, 5), (2, 0, 3), (3, 0, 2), (3, 1, 3), (1, 1, 7)])
def test_a_3x3_kernel_on_7x7(stride, padding, side):
    # 000, 001, 003, 004. Stride 3 without padding "does not fit": (7 - 3) / 3 + 1 = 2.33, of which the floor is taken
    assert output_size(7, 3, stride=stride, padding=padding) == side


def test_a_stride_that_does_not_fit_leaves_the_last_row_and_column_out():
    # 001, 003, 004: of the 7 rows, 0..2 and 3..5 are seen; row 6 gets no gradient
    g = np.ones((1, 1, 2, 2))
    gx = correlate_gradients(g, np.zeros((1, 1, 7, 7)), np.ones((1, 1, 3, 3)), stride=3).x[0, 0]
    assert (gx[:6, :6] == 1).all() and (gx[6] == 0).all() and (gx[:, 6] == 0).all()


@pytest.mark.parametrize(
    ("figure", "size", "options", "side"),
    [
        ("2.1", 4, {}, 2),
        ("2.3", 5, {"padding": 1}, 5),
        ("2.4", 5, {"padding": 2}, 7),
        ("2.7", 6, {"padding": 1, "stride": 2}, 3),
        ("5.1", 7, {"dilation": 2}, 3),
    ],
)
def test_the_figures_of_convolution_arithmetic(figure, size, options, side):
    # 002, from Dumoulin and Visin 2016, arXiv:1603.07285; all with a 3x3 kernel
    assert output_size(size, 3, **options) == side


def test_figure_2_7_does_not_cover_the_bottom_row_and_right_column_of_the_padding():
    # 002: of the 8 padded rows, stride 2 sees 0..6; row 7 is padding, so that every pixel of the input is seen
    gx = correlate_gradients(np.ones((1, 1, 3, 3)), np.zeros((1, 1, 6, 6)), np.ones((1, 1, 3, 3)), stride=2, padding=1)
    assert gx.x[0, 0, :, 0].tolist() == [1, 2, 1, 2, 1, 1]


@pytest.mark.parametrize("k", range(1, 8))
@pytest.mark.parametrize("m", [7, 12])
def test_the_table_of_full_same_and_valid_padding(m, k):
    # 003: m + (k - 1), m, m - (k - 1); zeros on either side k - 1, floor((k - 1) / 2) and, for even k, one more, 0
    row, kernel = np.ones((1, 1, m)), np.ones((1, 1, k))
    sides = {padding: correlate(row, kernel, padding=padding).shape[2] for padding in ("full", "same", "valid")}
    assert sides == {"full": m + (k - 1), "same": m, "valid": m - (k - 1)}
    assert amounts("full", (k,), (1,)) == ((k - 1, k - 1),)
    assert amounts("same", (k,), (1,)) == (((k - 1) // 2, (k - 1) // 2 + (k + 1) % 2),)
    assert amounts("valid", (k,), (1,)) == ((0, 0),)
    for padding, side in sides.items():
        (pair,) = amounts(padding, (k,), (1,))
        assert F.conv1d(F.pad(torch.tensor(row), pair), torch.tensor(kernel)).shape[2] == side


@pytest.mark.parametrize("pair", [(1, 2), (2, 1)])
def test_same_padding_of_an_even_kernel_has_one_zero_more_on_one_side(pair):
    # 003: m = 5, k = 4, s = 1 -> 5, with the extra zero on either side; two zeros on both sides would give 6
    row, kernel = np.ones((1, 1, 5)), np.ones((1, 1, 4))
    assert correlate(row, kernel, padding=[pair]).shape == (1, 1, 5)
    assert F.conv1d(F.pad(torch.tensor(row), pair), torch.tensor(kernel)).shape == (1, 1, 5)
    assert correlate(row, kernel, padding=2).shape == (1, 1, 6)


def test_floor_half_on_both_sides_keeps_the_size_for_odd_kernels_only():
    # 003 says "in general, to preserve spatial size zero-pad with floor((k - 1) / 2)"
    kept = [k for k in range(1, 8) if convolved(12, k, padding=(k - 1) // 2) == 12]
    assert kept == [1, 3, 5, 7]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_chain_of_3x3_convolutions_sees_1_plus_2_layers(layers):
    # 000, 001: 1 + L (K - 1) = 3, 5, 7; what the middle pixel of a map of 9x9 sees, from the gradient
    gx = np.zeros((1, 1, 9, 9))
    gx[0, 0, 4, 4] = 1
    for _ in range(layers):
        gx = input_gradient(gx, np.ones((1, 1, 3, 3)), (9, 9), padding=1)
    assert (gx[0, 0, 4] != 0).sum() == (gx[0, 0, :, 4] != 0).sum() == 1 + layers * (3 - 1)


def test_what_a_unit_behind_a_7x7_convolution_of_stride_2_sees():
    # 002: unit (1, 1) of layer 2 sees rows and columns 0..5; the slide's (0, 6.0) is half-open, unclipped it is -1..5
    g = np.zeros((1, 1, 128, 128))
    g[0, 0, 1, 1] = 1
    image, kernel = np.zeros((1, 1, 256, 256)), np.ones((1, 1, 7, 7))
    seen = correlate_gradients(g, image, kernel, stride=2, padding=3).x[0, 0] != 0
    assert np.flatnonzero(seen.any(1)).tolist() == np.flatnonzero(seen.any(0)).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_receptive_field_table_of_a_resnet_stem():
    # 002: 7x7/2 padded by 3, BN, ReLU, 3x3/2 max pooling padded by 1, on 256x256 -> maps 128 and 64, fields 7 and 11
    conv = convolved(256, 7, stride=2, padding=3)
    assert (conv, convolved(conv, 3, stride=2, padding=1)) == (128, 64)
    g = np.zeros((1, 1, 64, 64))
    g[0, 0, 32, 32] = 1
    g = average_pool_gradient(g, np.zeros((1, 1, 128, 128)), 3, stride=2, padding=1)  # sees what max pooling sees
    g = correlate_gradients(g, np.zeros((1, 1, 256, 256)), np.ones((1, 1, 7, 7)), stride=2, padding=3).x[0, 0]
    assert np.flatnonzero(g.any(1)).tolist() == list(range(4 * 32 - 5, 4 * 32 + 6))


def test_5x5_filters_shrink_32_to_28_to_24():
    # 001, 003
    assert output_size(32, 5) == 28 and output_size(28, 5) == 24


def test_a_window_wider_than_its_input_is_refused_by_both():
    with pytest.raises(ValueError, match="does not fit into a padded input of"):
        correlate(np.zeros((1, 1, 2, 2)), np.ones((1, 1, 3, 3)))
    with pytest.raises(ShapeError, match="does not fit into an input of 2"):
        convolved(2, 3)


# Values


def test_one_patch_under_one_kernel():
    # 000: h_231 = 4 + 4 + 2 + 2 * 3
    assert correlated(grid("4 0 4; 2 3 4; 5 0 3"), grid("1 0 1; 1 0 0; 0 0 2")).tolist() == [[16]]


def test_a_5x5_input_under_a_3x3_kernel():
    # 002, figure 1.1 of Dumoulin and Visin
    y = correlated(grid(DUMOULIN_INPUT), grid("0 1 2; 2 2 0; 0 1 2"))
    assert y.tolist() == [[12, 12, 17], [10, 17, 19], [9, 6, 14]]


def test_sharpening_begins_with_114():
    # 002: 5 * 60 - 113 - 73, zeros around
    y = correlated(grid(LAPLACIAN_INPUT), grid("0 -1 0; -1 5 -1; 0 -1 0"), padding=1)
    assert y.shape == (5, 5) and y[0, 0] == 114


def test_the_diagonal_filter():
    # 004, filter 1; the slide ends with 1 where the result is -1
    y = correlated(grid(STROKES), grid("1 -1 -1; -1 1 -1; -1 -1 1"))
    assert y.tolist() == [[3, -1, -3, -1], [-3, 1, 0, -3], [-3, -3, 0, 1], [3, -2, -2, -1]]


def test_the_vertical_filter():
    # 004, filter 2; the slide has 4 where the result is -4
    y = correlated(grid(STROKES), grid("-1 1 -1; -1 1 -1; -1 1 -1"))
    assert y.tolist() == [[-1, -1, -1, -1], [-1, -1, -2, 1], [-1, -1, -2, 1], [-1, 0, -4, 3]]


def test_the_edge_detector_of_two_taps():
    # 004: 1 from white to black, -1 from black to white; six rows in and six out (the slide shows seven)
    y = correlated(grid("; ".join(["1 1 0 0 0 0 1 1"] * 6)), grid("1 -1"))
    assert y.tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6


def test_the_padding_example():
    # 000 prints -10, -13, 1 and -9, 3, 0; with the 6x6 input that it prints:
    image = grid("3 3 4 4 7 0; 9 7 6 5 8 2; 6 5 5 6 9 2; 7 1 3 2 7 8; 0 3 7 1 8 3; 4 0 4 3 2 2")
    y = correlated(image, grid("1 0 -1; 1 0 -1; 1 0 -1"), padding=1)
    assert y.shape == (6, 6)
    assert y[0].tolist() == [-10, 2, 1, -5, 7, 15]
    assert y[1, :3].tolist() == [-15, 3, 0]


def test_the_matrix_of_a_2x2_kernel_on_a_3x3_input_and_its_transpose():
    # 000: C is (2 * 2) x 9; C f is the output, C^T g the gradient
    a, b, c, d = 1.0, 2.0, 3.0, 4.0
    kernel = np.array([a, b, c, d]).reshape(1, 1, 2, 2)
    C = convolution_matrix(kernel, (1, 3, 3))
    assert C.toarray().tolist() == [
        [a, b, 0, c, d, 0, 0, 0, 0],
        [0, a, b, 0, c, d, 0, 0, 0],
        [0, 0, 0, a, b, 0, c, d, 0],
        [0, 0, 0, 0, a, b, 0, c, d],
    ]
    f = torch.arange(9.0, dtype=torch.float64).reshape(1, 1, 3, 3).requires_grad_()
    g = torch.tensor([[[[1.0, -1], [2, 3]]]], dtype=torch.float64)
    y = F.conv2d(f, torch.tensor(kernel))
    y.backward(g)
    assert (C @ f.detach().numpy().ravel()).tolist() == y.detach().ravel().tolist() == [27, 37, 57, 67]
    assert (C.T @ g.numpy().ravel()).tolist() == f.grad.ravel().tolist()


def test_the_gradient_by_several_filters_is_the_sum_over_them():
    # 000: the sum over k of C_k^T g_k
    generator = np.random.default_rng(0)
    kernels, g, f = (generator.normal(size=s) for s in ((3, 1, 2, 2), (1, 3, 3, 3), (1, 1, 4, 4)))
    each = [
        convolution_matrix(kernel[None], (1, 4, 4)).T @ gk.ravel() for kernel, gk in zip(kernels, g[0], strict=True)
    ]
    np.testing.assert_allclose(sum(each), correlate_gradients(g, f, kernels).x.ravel(), atol=1e-12)


def test_back_propagation_convolves_with_the_reflected_kernel():
    # 002: delta_x[i] = sum of h[-m] delta_y[i + m]; the slide's sum over i' has x[i'] in place of delta_y[i']
    generator = np.random.default_rng(0)
    x, h, g = (generator.normal(size=(1, 1, n, n)) for n in (5, 3, 3))
    image = torch.tensor(x, requires_grad=True)
    F.conv2d(image, torch.tensor(h)).backward(torch.tensor(g))
    by_reflection = correlate(g, h[:, :, ::-1, ::-1], padding="full")
    np.testing.assert_allclose(by_reflection, image.grad, atol=1e-12)
    by_sum = np.zeros((5, 5))
    for i, j in np.ndindex(5, 5):
        for p, q in np.ndindex(3, 3):
            if 0 <= i - p < 3 and 0 <= j - q < 3:
                by_sum[i, j] += h[0, 0, i - p, j - q] * g[0, 0, p, q]
    np.testing.assert_allclose(by_sum, image.grad[0, 0], atol=1e-12)


def test_the_first_correlation_formula_of_a_slide_is_the_flip_of_the_second():
    # 002: y[i] = sum of x[m] h[i + m], then y[i] = sum of h[m] x[i + m]
    x, h = np.array([[[1.0, 2, 3, 4]]]), np.array([[[1.0, 0, 2]]])
    first, second = correlate(h, x, padding="full"), correlate(x, h, padding="full")
    assert first[0, 0].tolist() == second[0, 0, ::-1].tolist() != second[0, 0].tolist()


# Pooling


def test_pooling_figures_1_5_and_1_6():
    # 002: 3x3, stride 1; the averages are printed with two decimals
    assert pooled("max", grid(DUMOULIN_INPUT), 3, stride=1).tolist() == [[3, 3, 3], [3, 3, 3], [3, 2, 3]]
    average = pooled("average", grid(DUMOULIN_INPUT), 3, stride=1)
    printed = [[1.67, 1.67, 1.67], [1, 1.22, 1.78], [1.11, 0.78, 1.33]]
    np.testing.assert_allclose(average, printed, atol=0.005)


def test_max_pooling_of_the_first_hundred_numbers():
    # 002, nn.MaxPool2d(2)
    y = pooled("max", np.arange(100.0).reshape(1, 1, 10, 10), 2)
    assert y.tolist() == [[10 * row + column for column in range(1, 10, 2)] for row in range(1, 10, 2)]


def test_2x2_pooling_of_a_4x4_input():
    # 004
    assert pooled("max", grid(POOLED_INPUT), 2).tolist() == [[3, 6], [1, 3]]
    assert pooled("average", grid(POOLED_INPUT), 2).tolist() == [[1.5, 2.25], [-0.25, 1]]


def test_2x2_pooling_of_stride_2_discards_three_quarters():
    # 003
    assert pooled("max", np.ones((1, 1, 8, 8)), 2).size == 0.25 * 64


def test_the_gradient_of_pooling():
    # 002: 1/Q back to each of the Q pixels; all of it to the arg max. 000: all other entries get zero
    x, g = grid(POOLED_INPUT), grid("1 2; 3 4")
    assert average_pool_gradient(g, x, 2)[0, 0].tolist() == np.kron(g[0, 0], np.full((2, 2), 0.25)).tolist()
    expected = grid("0 1 0 2; 0 0 0 0; 0 3 0 0; 0 0 0 4")[0, 0]
    assert max_pool_gradient(g, x, 2)[0, 0].tolist() == expected.tolist()


# Normalisation


def test_batch_norm_with_gamma_sigma_and_beta_mu_is_the_identity():
    # 001; gamma^2 holds the eps as well
    x = np.random.default_rng(0).normal(3, 2, size=(4, 3, 5, 5))
    gamma, beta = np.sqrt(x.var((0, 2, 3)) + 1e-5), x.mean((0, 2, 3))
    np.testing.assert_allclose(batch_norm(x, gamma, beta), x, atol=1e-12)
    tensors = [torch.tensor(a) for a in (x, gamma, beta)]
    theirs = F.batch_norm(tensors[0], None, None, *tensors[1:], training=True)
    torch.testing.assert_close(theirs, tensors[0])


def test_eps_stands_under_the_root_for_maps_as_for_dense_layers():
    # 000, pure_batch_norm adds it outside in its convolutional branch: a channel of almost no variance tells
    x = 1e-3 * np.random.default_rng(0).normal(size=(8, 2))
    one, zero = np.ones(2), np.zeros(2)
    maps = batch_norm(x[:, :, None, None], one, zero)
    np.testing.assert_allclose(maps[:, :, 0, 0], batch_norm(x, one, zero), atol=1e-12)
    outside = (x - x.mean(0)) / np.sqrt(x.var(0)) + 1e-5
    assert abs(maps[:, :, 0, 0] - outside).max() > 0.5

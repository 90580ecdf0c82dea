import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fovea.reference.convolution import correlate, correlate_gradients
from fovea.reference.matrix import col2im, convolution_matrix, im2col
from fovea.reference.transposed import input_gradient, transposed

OPTIONS = [
    {},
    {"padding": "same"},
    {"padding": "full", "groups": 2},
    {"stride": 2, "padding": [(1, 2), 0, 1]},
    {"dilation": 2, "padding": 3, "groups": 2},
    {"padding": 2, "mode": "reflect"},
    {"padding": 3, "mode": "replicate", "stride": 3},
    {"padding": [(0, 2), 1, 3], "mode": "circular", "groups": 2},
]


def test_the_matrix_of_a_row_is_toeplitz():
    C = convolution_matrix(np.array([[[1.0, 2.0, 3.0]]]), (1, 5))
    assert C.toarray().tolist() == [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]]


def test_copies_of_one_pixel_add_up():
    C = convolution_matrix(np.array([[[1.0, 2.0, 3.0]]]), (1, 3), padding=1, mode="replicate")
    assert C.toarray().tolist() == [[3, 3, 0], [1, 2, 3], [0, 1, 5]]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_matrix_gives_the_output_and_its_transpose_the_gradient(draw, axes, options):
    if isinstance(options.get("padding"), list):
        options = options | {"padding": options["padding"][:axes]}
    f, kernel = draw(1, 4, *(7, 6, 5)[:axes]), draw(6, 4 // options.get("groups", 1), *(3, 2, 2)[:axes])
    C = convolution_matrix(kernel, f.shape[1:], **options)
    y = correlate(f, kernel, **options)
    np.testing.assert_allclose(C @ f.ravel(), y.ravel(), atol=1e-12)
    g = draw(*y.shape)
    np.testing.assert_allclose(C.T @ g.ravel(), correlate_gradients(g, f, kernel, **options).x.ravel(), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": "same"}], ids=str)
def test_all_ways_agree(draw, options):
    f, kernel = draw(1, 3, 7, 8), draw(5, 3, 3, 2)
    by_definition = correlate(f, kernel, **options)
    g = draw(*by_definition.shape)
    C = convolution_matrix(kernel, f.shape[1:], **options)
    outputs = {
        "matrix": C @ f.ravel(),
        "im2col": kernel.reshape(5, -1) @ im2col(f, (3, 2), **options),
        "pytorch": F.conv2d(torch.tensor(f), torch.tensor(kernel), **options).numpy(),
    }
    for name, y in outputs.items():
        np.testing.assert_allclose(y.ravel(), by_definition.ravel(), rtol=0, atol=1e-12, err_msg=name)
    by_definition = correlate_gradients(g, f, kernel, **options)
    columns = kernel.reshape(5, -1).T @ g.reshape(1, 5, -1)
    gradients = {
        "transposed matrix": C.T @ g.ravel(),
        "col2im": col2im(columns, f.shape[2:], (3, 2), **options),
        "reflected kernel": input_gradient(g, kernel, f.shape[2:], **options),
    }
    if "stride" not in options:
        gradients["transposed convolution"] = transposed(g, kernel, **options)
    for name, gx in gradients.items():
        np.testing.assert_allclose(gx.ravel(), by_definition.x.ravel(), rtol=0, atol=1e-12, err_msg=name)
    by_columns = g.reshape(5, -1) @ im2col(f, (3, 2), **options)[0].T
    np.testing.assert_allclose(by_columns.ravel(), by_definition.kernel.ravel(), rtol=0, atol=1e-12)


def test_im2col_and_col2im_are_pytorchs_unfold_and_fold(same_as_torch, draw):
    options = {"stride": 2, "padding": 1, "dilation": 2}
    same_as_torch(
        lambda x: im2col(x, (3, 2), **options),
        lambda x: F.unfold(x, (3, 2), **options),
        lambda g, x: col2im(g, (7, 8), (3, 2), **options),
        draw(2, 3, 7, 8),
    )
    columns = draw(2, 3 * 6, im2col(np.zeros((1, 3, 7, 8)), (3, 2), **options).shape[2])
    expected = F.fold(torch.tensor(columns), (7, 8), (3, 2), **options)
    np.testing.assert_allclose(col2im(columns, (7, 8), (3, 2), **options), expected, atol=1e-12)


def test_col2im_counts_how_many_windows_see_a_pixel():
    columns = im2col(np.ones((1, 1, 4)), (3,))
    assert col2im(columns, (4,), (3,)).ravel().tolist() == [1, 2, 2, 1]


def test_a_constant_border_is_no_matrix():
    with pytest.raises(ValueError, match="an offset, which a matrix cannot express; use `mode` `zero`"):
        convolution_matrix(np.ones((1, 1, 3)), (1, 5), padding=1, mode="constant")

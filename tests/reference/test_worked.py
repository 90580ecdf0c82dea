"""An operation written out cell by cell is the operation."""

import numpy as np
import pytest

from fovea.reference.convolution import convolve, correlate, correlate_gradients
from fovea.reference.pooling import average_pool, max_pool, max_pool_gradient
from fovea.reference.transposed import transposed
from fovea.reference.worked import Operation, worked

GRID = np.random.default_rng(0).integers(-4, 5, (2, 6, 5)).astype(float)
KERNEL = np.random.default_rng(1).integers(-2, 3, (4, 1, 3, 2)).astype(float)
OPTIONS = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}


def check(found, grid):
    """Assert that products, matrix and text say what the output is."""
    flat = found.output.ravel()
    assert np.allclose([sum(read.product for read in reads) for reads in found.reads], flat)
    assert np.allclose(found.matrix @ grid.ravel(), flat)
    assert all(found.text(i).endswith(f"= {value:.4g}") for i, value in enumerate(flat))


@pytest.mark.parametrize(("kind", "whole"), [("correlation", correlate), ("convolution", convolve)])
@pytest.mark.parametrize("mode", ["zero", "reflect", "circular", "replicate"])
def test_convolution_both_ways_with_every_padding(kind, whole, mode):
    found = worked(GRID, KERNEL, Operation(kind=kind, mode=mode, **OPTIONS))
    assert np.array_equal(found.output, whole(GRID[None], KERNEL, mode=mode, **OPTIONS)[0])
    check(found, GRID)


def test_the_gradient_is_that_of_the_sum():
    found = worked(GRID, KERNEL, Operation(**OPTIONS))
    ones = np.ones((1, *found.output.shape))
    assert np.allclose(found.gradient, correlate_gradients(ones, GRID[None], KERNEL, **OPTIONS).x[0])


def test_transposed_lays_the_kernel_down():
    kernel = np.arange(12.0).reshape(2, 1, 3, 2)
    found = worked(GRID, kernel, Operation(kind="transposed", stride=2))
    assert np.array_equal(found.output, transposed(GRID[None], kernel, stride=2)[0])
    check(found, GRID)


@pytest.mark.parametrize("padding", [0, 1])
def test_pooling(padding):
    kernel = np.zeros((1, 1, 3, 3))
    options = {"stride": (2, 2), "padding": (padding, padding)}
    largest = worked(GRID, kernel, Operation(kind="max", stride=2, padding=padding))
    assert np.array_equal(largest.output, max_pool(GRID[None], (3, 3), **options)[0])
    ones = np.ones((1, *largest.output.shape))
    assert np.array_equal(largest.gradient, max_pool_gradient(ones, GRID[None], (3, 3), **options)[0])
    mean = worked(GRID, kernel, Operation(kind="average", stride=2, padding=padding))
    assert np.allclose(mean.output, average_pool(GRID[None], (3, 3), **options)[0])
    check(largest, GRID)
    check(mean, GRID)


def test_a_stride_that_does_not_fit_is_told():
    found = worked(np.zeros((1, 7, 7)), np.ones((1, 1, 3, 3)), Operation(stride=3))
    assert found.fit.startswith("rows: (7 - 3) / 3 + 1 = 2.333, so 2: the last 1 are not covered")


@pytest.mark.parametrize(
    ("kernel", "operation", "told"),
    [
        (np.ones((1, 1, 3, 3)), Operation(), "With 2 channels in 1 groups"),
        (np.ones((1, 2, 9, 3)), Operation(), "does not fit"),
        (KERNEL, Operation(kind="median"), "must be one of"),
        (np.ones((30, 2, 1, 1)), Operation(), "too large"),
    ],
)
def test_what_does_not_fit_is_refused(kernel, operation, told):
    with pytest.raises(ValueError, match=told):
        worked(GRID, kernel, operation)


def test_signals_of_one_axis():
    found = worked(np.array([[1.0, 1, 0, 0, 0, 0, 1, 1]]), np.array([[[1.0, -1]]]), Operation())
    assert found.output.tolist() == [[0, 1, 0, 0, 0, -1, 0]]
    assert found.fit == "columns: (8 - 2) / 1 + 1 = 7"

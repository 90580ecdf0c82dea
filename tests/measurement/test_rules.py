"""Multiply-adds, windows and broken rules, from shapes alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fovea.measurement.rules import MACS, Sliding, broken, windows
from fovea.shapes import convolved


def convolution(c_in, c_out, kernel, size, *, groups=1, stride=1, padding=0, transposed=False):
    weight = (c_in, c_out // groups) if transposed else (c_out, c_in // groups)
    shared = {"stride": [stride], "padding": [padding], "dilation": [1], "groups": groups, "transposed": transposed}
    return {"input": (1, c_in, size, size), "weight": (*weight, kernel, kernel), **shared}


@pytest.mark.parametrize(
    ("c_in", "c_out", "kernel", "groups", "out", "macs"),
    [
        (16, 32, 3, 1, 64, 18_874_368),  # lecture 002
        (16, 16, 3, 16, 64, 16 * 64 * 64 * 9),  # depthwise, lecture 002
        (256, 128, 1, 1, 28, 28 * 28 * 128 * 256),  # lecture 001, Inception
        (3, 10, 5, 1, 32, 32 * 32 * 10 * 75),  # lecture 001
    ],
)
def test_macs_of_convolutions(c_in, c_out, kernel, groups, out, macs):
    arguments = convolution(c_in, c_out, kernel, out, groups=groups, padding=kernel // 2)
    assert MACS["convolution"](arguments, (1, c_out, out, out)) == macs


def test_macs_of_a_transposed_convolution_are_those_of_the_one_it_transposes():
    up = convolution(8, 4, 3, 5, stride=2, transposed=True)
    down = convolution(4, 8, 3, 11, stride=2)
    assert MACS["convolution"](up, (1, 4, 11, 11)) == MACS["convolution"](down, (1, 8, 5, 5)) == 5 * 5 * 8 * 4 * 9


def test_macs_of_products():
    assert MACS["addmm"]({"self": (10,), "mat1": (1, 84), "mat2": (84, 10)}, (1, 10)) == 840
    assert MACS["bmm"]({"self": (2, 3, 4), "mat2": (2, 4, 5)}, (2, 3, 5)) == 120
    query, key, value = (2, 4, 7, 8), (2, 4, 9, 8), (2, 4, 9, 6)
    arguments = {"query": query, "key": key, "value": value}
    assert MACS["_scaled_dot_product_flash_attention"](arguments, (2, 4, 7, 6)) == 2 * 4 * (7 * 9 * 8 + 7 * 9 * 6)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "rest", "quotient"),
    [
        (7, 3, 1, 0, 0, "(7 - 3) / 1 + 1 = 5"),
        (7, 3, 2, 0, 0, "(7 - 3) / 2 + 1 = 3"),
        (7, 3, 3, 0, 1, "(7 - 3) / 3 + 1 = 2.33"),  # lectures 000, 001, 003, 004: "does not fit"
        (6, 3, 2, 1, 1, "(6 + 2 - 3) / 2 + 1 = 3.5"),  # lecture 002
        (224, 7, 2, 3, 1, "(224 + 6 - 7) / 2 + 1 = 112.5"),
    ],
)
def test_what_a_stride_leaves_over(size, kernel, stride, padding, rest, quotient):
    sliding = Sliding(kernel, stride, padding, dilation=1, partial=False)
    assert (sliding.rest(size), sliding.quotient(size)) == (rest, quotient)


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_windows_are_counted_as_shapes_has_it(size, kernel, stride, padding, dilation):
    sliding = Sliding(kernel, stride, padding, dilation, partial=False)
    if sliding.extent <= size + 2 * padding:
        count = convolved(size, kernel, stride=stride, padding=padding, dilation=dilation)
        assert (size + sliding.add) // stride == count
        assert (count - 1) * stride + sliding.extent + sliding.rest(size) == size + 2 * padding


def test_windows_of_pooling_have_the_defaults_of_pytorch():
    assert windows("avg_pool2d", {"self": (1, 1, 8, 8), "kernel_size": [3]}) == [Sliding(3, 3, 0, 1, False)] * 2
    given = {"self": (1, 1, 8, 8), "kernel_size": [3, 2], "stride": [2], "padding": [1, 0], "ceil_mode": True}
    assert windows("max_pool2d_with_indices", given) == [Sliding(3, 2, 1, 1, True), Sliding(2, 2, 0, 1, True)]
    assert windows("relu", {}) is None and windows("convolution", convolution(4, 4, 3, 8, transposed=True)) is None


def test_rules_that_hold_are_not_reported():
    assert broken("convolution", convolution(4, 8, 3, 8, groups=2)) is None
    assert broken("addmm", {"self": (3,), "mat1": (1, 4), "mat2": (4, 3)}) is None
    assert broken("mv", {"self": (3, 4), "vec": (4,)}) is None
    assert broken("avg_pool2d", {"self": (1, 1, 1, 1), "kernel_size": [2], "ceil_mode": True}) is None
    assert broken("relu", {"self": (3,)}) is None


def test_broken_rules_name_what_the_layer_was_built_for_and_what_it_got():
    wrong = {**convolution(4, 8, 3, 8, groups=2), "input": (1, 6, 8, 8)}
    assert broken("convolution", wrong) == "`in_channels` (=4) must equal the channels of its input (=6)."
    assert "`in_features` (=4)" in broken("addmm", {"self": (3,), "mat1": (1, 5), "mat2": (4, 3)})
    assert broken("convolution", convolution(1, 1, 9, 8)).startswith("A window of 9 pixels does not fit")

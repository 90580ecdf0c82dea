import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fovea.errors import ShapeError
from fovea.shapes import Window, chained, convolved


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "out"),
    [
        (7, 3, 1, 0, 1, 5),  # lectures 000, 001, 003, 004
        (7, 3, 2, 0, 1, 3),
        (7, 3, 3, 0, 1, 2),  # 2.33 on the slide; the last column is not covered
        (4, 3, 1, 0, 1, 2),  # lecture 002, figures 2.1 to 2.7 and 5.1
        (5, 3, 1, 1, 1, 5),
        (5, 3, 1, 2, 1, 7),
        (6, 3, 2, 1, 1, 3),
        (7, 3, 1, 0, 2, 3),
        (227, 11, 4, 0, 1, 55),  # lecture 001, first layer of AlexNet
        (256, 7, 2, 3, 1, 128),  # lecture 002, first layer of ResNet
        (1, 1, 1, 0, 1, 1),
    ],
)
def test_output_sizes_printed_in_the_lectures(size, kernel, stride, padding, dilation, out):
    assert convolved(size, kernel, stride=stride, padding=padding, dilation=dilation) == out


@given(st.integers(1, 20), st.integers(1, 7), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
def test_agrees_with_torch_or_both_refuse(size, kernel, stride, padding, dilation):
    x, weight = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel)
    try:
        expected = F.conv1d(x, weight, stride=stride, padding=padding, dilation=dilation).shape[-1]
    except RuntimeError:
        with pytest.raises(ShapeError):
            convolved(size, kernel, stride=stride, padding=padding, dilation=dilation)
    else:
        assert convolved(size, kernel, stride=stride, padding=padding, dilation=dilation) == expected


def test_a_window_too_large_is_named_with_its_input():
    with pytest.raises(ShapeError, match="A window of 5 pixels does not fit into an input of 2 with 1 padded"):
        convolved(2, 3, padding=1, dilation=2)


def windows(ceil):
    window = st.builds(Window, st.just("w"), st.integers(1, 5), st.integers(1, 3), st.just(0), ceil)
    return st.lists(window, min_size=1, max_size=5)


def test_pooling_that_rounds_up_keeps_the_column_that_hangs_over():
    assert chained(6, [Window("pool", 3, stride=2, ceil=True)]) == 3
    assert chained(2, [Window("pool", 3, stride=2, ceil=True)]) == 1


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2))
def test_pooling_that_rounds_up_agrees_with_torch_or_both_refuse(size, kernel, stride, padding):
    padding = min(padding, kernel // 2)
    window = Window("pool", kernel, stride=stride, padding=padding, ceil=True)
    try:
        expected = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding, ceil_mode=True).shape[-1]
    except RuntimeError:
        with pytest.raises(ShapeError):
            chained(size, [window])
    else:
        assert chained(size, [window]) == expected


@given(st.integers(1, 200), windows(st.just(False)))
def test_a_chain_is_its_windows_one_after_the_other(size, windows):
    out = size
    try:
        for window in windows:
            out = convolved(out, window.kernel, stride=window.stride)
    except ShapeError:
        with pytest.raises(ShapeError):
            chained(size, windows)
    else:
        assert chained(size, windows) == out


@given(windows(st.booleans()))
def test_the_size_an_error_proposes_is_the_smallest_that_works(windows):
    windows = [*windows, Window("last", 9)]
    with pytest.raises(ShapeError, match=r"`size` \(=1\) must be at least (\d+)\.$") as caught:
        chained(1, windows)
    smallest = int(str(caught.value).rstrip(".").split()[-1])
    assert chained(smallest, windows) >= 1
    with pytest.raises(ShapeError):
        chained(smallest - 1, windows)


def test_a_chain_that_does_not_fit_names_the_layer():
    with pytest.raises(ShapeError, match=r"Layer `stage2.conv` \(5x5\) does not fit its input of 3x3"):
        chained(10, [Window("stage1.conv", 5), Window("stage1.pool", 2, stride=2), Window("stage2.conv", 5)])

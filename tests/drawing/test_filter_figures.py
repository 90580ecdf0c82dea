"""The picture of input, kernel and output: what it shows where."""

import numpy as np
import pytest

from fovea.data.signals import Signal
from fovea.drawing.filtering import image_figure, signal_figure
from fovea.drawing.saving import save_figure
from fovea.reference.filters import kernel

NOTHING = np.zeros((4, 6, 1), np.uint8)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def titles(figure):
    return [(axes.get_title("left"), axes.get_title("right")) for axes in figure.axes[:3]]


def image(y, name="laplacian", *, x=NOTHING, weights=None):
    return image_figure(x, kernel(name, axes=2) if weights is None else weights, y, name=name)


def test_titles_are_names_sizes_and_ranges():
    figure = image(np.linspace(-3, 2, 24).reshape(4, 6, 1))
    assert titles(figure) == [
        ("input", "4 × 6"),
        ("laplacian", "3 × 3, sum 0"),
        ("output", "4 × 6, from -3 to 2"),
    ]
    own = image_figure(NOTHING, np.ones((2, 2)), np.zeros((4, 6, 1)), name="1 1; 1 1")
    assert titles(own)[1] == ("kernel", "2 × 2, sum 4")


def test_kernels_show_whole_numbers_and_their_denominator():
    figure = image(np.zeros((4, 6, 1)), "gaussian")
    assert texts(figure.axes[1]) == ["1", "2", "1", "2", "4", "2", "1", "2", "1"]
    assert titles(figure)[1] == ("gaussian", "1/16 ×, 3 × 3, sum 1")
    assert texts(image(np.zeros((4, 6, 1)), "box-11").axes[1]) == []
    assert texts(image(np.zeros((4, 6, 1)), weights=np.array([[0.33333, np.pi]])).axes[1]) == ["0.3333", "3.142"]


def test_small_images_show_their_numbers_and_large_or_coloured_ones_do_not():
    y = np.arange(24.0).reshape(4, 6, 1) - 1
    assert texts(image(y).axes[2]) == [str(number) for number in range(-1, 23)]
    assert texts(image(np.zeros((11, 2, 1))).axes[2]) == []
    assert texts(image(np.zeros((4, 6, 3)), "sharpen").axes[2]) == []


def test_signed_values_have_a_colour_bar_with_white_in_the_middle():
    figure = image(np.linspace(-3, 2, 24).reshape(4, 6, 1))
    drawn = figure.axes[2].images[0]
    assert len(figure.axes) == 4 and drawn.cmap.name == "RdBu_r"
    low, high = drawn.get_clim()
    assert low == -high and 2 < high <= 3


def test_values_that_are_never_negative_are_grey():
    drawn = image(np.arange(24.0).reshape(4, 6, 1)).axes[2].images[0]
    assert drawn.cmap.name == "gray" and drawn.get_clim()[0] == 0
    assert image(np.zeros((4, 6, 1))).axes[2].images[0].get_clim() == (0, 1)


def test_what_keeps_the_brightness_is_an_image_cut_to_0_and_255():
    y = np.array([[[-50.0], [0.0], [255.0], [400.0]]])
    figure = image(y, "sharpen")
    assert len(figure.axes) == 3
    assert figure.axes[2].images[0].get_array().tolist() == [[0, 0, 1, 1]]


def test_large_images_are_drawn_from_means_of_squares():
    y = np.arange(2400.0 * 3).reshape(2400, 3, 1)
    drawn = np.asarray(image(y).axes[2].images[0].get_array())
    assert drawn.shape == (1200, 1)
    assert drawn[0, 0] == y[:2, :2].mean()
    assert image(np.zeros((3000, 1, 1))).axes[2].images[0].get_array().shape == (3000, 1)


@pytest.mark.parametrize("sizes", [(300, 100), (100, 300), (100, 100)])
def test_input_and_output_are_drawn_equally_large(sizes):
    x = np.zeros((*sizes, 1))
    figure = image(x - np.eye(*sizes)[:, :, None], x=x.astype(np.uint8))
    figure.draw_without_rendering()
    left, _, right = (axes.get_window_extent() for axes in figure.axes[:3])
    np.testing.assert_allclose((left.width, left.height), (right.width, right.height), rtol=0.02)


def test_a_signal_and_its_output_stand_on_one_axis():
    x = Signal(np.array([1.0, 3.0, 2.0]), start=10, step=0.5, time_name="s", value_name="$m$")
    y = Signal(np.array([2.0, 2.5]), start=10.25, step=0.5, time_name="s", value_name="$m$")
    top, middle, bottom = signal_figure(x, np.array([0.5, 0.5]), y, name="0.5 0.5").axes
    assert [line.get_xydata().tolist() for line in bottom.lines] == [
        [[10, 1], [10.5, 3], [11, 2]],
        [[10.25, 2], [10.75, 2.5]],
    ]
    assert top.lines[0].get_xydata().tolist() == bottom.lines[0].get_xydata().tolist()
    assert top.get_shared_x_axes().joined(top, bottom) and not top.get_shared_x_axes().joined(top, middle)
    assert middle.lines[1].get_xydata().tolist() == [[-0.5, 0.5], [0.5, 0.5]]
    assert (bottom.get_xlabel(), bottom.get_ylabel()) == ("s", "$m$")
    assert titles(top.figure) == [
        ("input", "3 samples"),
        ("kernel", "2 samples, sum 1"),
        ("output", "2 samples, from 2 to 2.5"),
    ]


def test_column_names_are_shown_as_they_are_in_any_script(tmp_path):
    x = Signal(np.array([1.0, 3.0]), time_name="$\\t$ $", value_name="\N{CJK UNIFIED IDEOGRAPH-4FE1}")
    path = save_figure(signal_figure(x, np.array([1.0]), x, name="box"), tmp_path / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")

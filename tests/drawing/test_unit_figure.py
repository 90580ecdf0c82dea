import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle as Frame

from fovea.drawing.unit import unit_figure
from fovea.measurement.effective import Effective, Rectangle, Unit

UNIT = Unit("stage3", 5, 7)


def drawn(rectangle, size=(20, 30), pixels=None):
    mass = torch.zeros(size, dtype=torch.float64)
    mass[2, 3] = 1
    effective = Effective(mass=mass, size=4.2, rectangle=Rectangle((2, 3), (3, 4)))
    return unit_figure(UNIT, rectangle, effective, pixels=pixels, size=size).axes[:2]


def frames(axes):
    """Return (rows, columns) of each frame by its line."""
    patches = [patch for patch in axes.patches if isinstance(patch, Frame) and not patch.get_fill()]
    return {
        p.get_linestyle(): ((p.get_y(), p.get_y() + p.get_height()), (p.get_x(), p.get_x() + p.get_width()))
        for p in patches
    }


def test_both_panels_have_the_rectangle_dotted_and_its_part_in_the_image_solid():
    left, right = drawn(Rectangle((-4, 9), (5, 40)))
    assert frames(left) == {":": ((-4, 9), (5, 40)), "-": ((0, 9), (5, 30))}
    assert frames(right) == {**frames(left), "--": ((2, 3), (3, 4))}


def test_a_rectangle_in_the_padding_alone_has_no_solid_part():
    left, _ = drawn(Rectangle((-4, -1), (5, 9)))
    assert frames(left).keys() == {":"}


def test_the_left_panel_shows_all_of_the_image_and_the_rectangle():
    left, _ = drawn(Rectangle((-4, 9), (5, 40)))
    (bottom, top), (first, last) = left.get_ylim(), left.get_xlim()
    assert top < -4 and bottom > 20 and first < 0 and last > 40


def test_a_rectangle_that_reaches_far_out_leaves_the_image_visible():
    left, _ = drawn(Rectangle((-4000, 4000), (-4000, 4000)))
    bottom, top = left.get_ylim()
    assert bottom - top < 100


@pytest.mark.parametrize("rectangle", [Rectangle((4, 8), (6, 10)), Rectangle((4, 6), (6, 8))])
def test_both_panels_show_the_same_window(rectangle):
    left, right = drawn(rectangle)
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()


def test_a_small_rectangle_is_shown_with_its_surroundings():
    left, _ = drawn(Rectangle((4, 6), (6, 8)))
    (bottom, top), (first, last) = left.get_ylim(), left.get_xlim()
    assert (top, bottom, first, last) == (1, 9, 3, 11)


def test_the_lines_are_explained_and_the_colours_have_a_scale():
    figure = drawn(Rectangle((4, 8), (6, 10)))[0].get_figure()
    assert [text.get_text()[:15] for text in figure.legends[0].texts] == [
        "receptive field",
        "receptive field",
        "95 % of the gra",
    ]
    assert "% of the largest" in figure.axes[2].get_ylabel()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_is_shown_as_it_is(channels):
    pixels = np.arange(20 * 30 * channels, dtype=np.uint8).reshape(20, 30, channels)
    left, _ = drawn(Rectangle((4, 8), (6, 10)), pixels=pixels)
    assert np.array_equal(np.asarray(left.images[0].get_array()).reshape(pixels.shape), pixels)


def test_titles_say_what_is_seen():
    left, right = drawn(Rectangle((-4, 9), (5, 40)))
    assert left.get_title(loc="left") == "stage3: 5,7"
    assert left.texts[0].get_text() == "sees rows -4 to 8, columns 5 to 39"
    assert right.get_title(loc="left") == "gradient, 4 pixels across"

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
    return unit_figure(UNIT, rectangle, effective, pixels=pixels, size=size).axes


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


def test_the_right_panel_shows_the_rectangle_only():
    _, right = drawn(Rectangle((4, 8), (6, 10)))
    (bottom, top), (first, last) = right.get_ylim(), right.get_xlim()
    assert 3 < top < 4 and 8 < bottom < 9 and 5 < first < 6 and 10 < last < 11


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_is_shown_as_it_is(channels):
    pixels = np.arange(20 * 30 * channels, dtype=np.uint8).reshape(20, 30, channels)
    left, _ = drawn(Rectangle((4, 8), (6, 10)), pixels=pixels)
    assert np.array_equal(np.asarray(left.images[0].get_array()).reshape(pixels.shape), pixels)


def test_titles_say_what_is_seen():
    left, right = drawn(Rectangle((-4, 9), (5, 40)))
    assert left.get_title(loc="left") == "stage3: 5,7"
    assert left.texts[0].get_text() == "sees rows -4 to 8, columns 5 to 39"
    assert right.get_title(loc="left") == "gradient, 4 across"

"""Maps side by side: every unit has its pixel, and every pixel its unit."""

import io

import numpy as np
import pytest
from PIL import Image

from fovea.drawing.mosaic import Mosaic, as_maps, png


@pytest.mark.parametrize("shape", [(6, 28, 28), (10,), (3, 100), (1, 1, 1), (70, 5, 3)])
def test_pixels_and_units_go_both_ways(shape):
    mosaic = Mosaic.of(shape)
    C, H, W = as_maps(shape)
    width, height = mosaic.size
    units = {mosaic.unit(x, y) for x in range(width) for y in range(height)} - {None}
    assert len(units) == C * H * W == mosaic.count * H * W
    for channel in (0, C - 1):
        x, y = mosaic.corner(channel)
        assert mosaic.unit(x + W - 1, y + H - 1) == (channel, H - 1, W - 1)
    assert mosaic.unit(-1, 0) is None and mosaic.unit(0, height + 1) is None


def test_a_pixel_has_the_colour_of_its_unit():
    maps = np.zeros((3, 4, 4))
    maps[1, 2, 3], maps[2, 0, 0] = 1.0, -1.0
    mosaic = Mosaic.of(maps.shape)
    image = np.asarray(Image.open(io.BytesIO(png(mosaic.picture(maps)))).convert("RGB")).astype(int)

    def colour(channel, row, column):
        x, y = mosaic.corner(channel)
        return image[y + row, x + column]

    red, blue, nothing = colour(1, 2, 3), colour(2, 0, 0), colour(0, 0, 0)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50
    assert nothing.min() > 230


def test_more_maps_than_fit_go_to_the_next_picture():
    first = Mosaic.of((600, 64, 64))
    second = Mosaic.of((600, 64, 64), first=first.count)
    assert 0 < first.count < 600
    assert second.unit(0, 0) == (first.count, 0, 0)
    assert first.size[0] * first.size[1] <= 1.2 * (1 << 20)

"""Where boxes lie in the input: against the edges of real rectangles that went through the preprocessing."""

import io

import numpy as np
import pytest
from PIL import Image

from fovea.preprocess import Preprocess

SIZES = [(300, 200), (201, 340), (97, 97), (64, 48)]


def plan(fit, *, size=(48, 64), crop=1.0):
    return Preprocess(size=size, channels=1, fit=fit, crop=crop, mean=(0.5,), std=(0.5,))


def edges(profile):
    """Return where a profile of pixels, 0 outside and 1 within, begins and ends, by the share of its border pixels."""
    inside = np.flatnonzero(profile > 0.5)
    middle = inside[len(inside) // 2]
    return middle - profile[:middle].sum(), middle + profile[middle:].sum()


def drawn(w, h, box, *, ground=0):
    pixels = np.full((h, w), ground, np.uint8)
    x0, y0, x1, y1 = box
    pixels[y0:y1, x0:x1] = 255
    return pixels


def found(pixels):
    """Return the box of what is white in (H, W, 1) uint8, to a fraction of a pixel."""
    shares = pixels[..., 0] / 255
    row, column = (int(np.average(np.arange(n), weights=shares.sum(1 - k))) for k, n in enumerate(shares.shape))
    (x0, x1), (y0, y1) = edges(shares[row]), edges(shares[:, column])
    return x0, y0, x1, y1


@pytest.mark.parametrize(("w", "h"), SIZES)
@pytest.mark.parametrize(("fit", "crop"), [("crop", 1.0), ("crop", 0.875), ("letterbox", 1.0), ("squash", 1.0)])
def test_a_white_rectangle_is_where_its_box_says(fit, crop, w, h):
    preprocess = plan(fit, crop=crop)
    box = (w * 3 // 8, h * 2 // 8, w * 5 // 8, h * 6 // 8)
    pixels = preprocess.fit_stored(drawn(w, h, box)[..., None])
    if fit == "letterbox":  # what it fills with is no part of the profile
        pixels = np.where(pixels == 128, 0, pixels)
    moved = preprocess.boxes_in_input(np.array([box], float), (h, w))[0]
    seen = np.clip(moved, 0, [64, 48, 64, 48])  # a crop cuts the tall ones
    assert seen == pytest.approx(found(pixels), abs=0.15)


def test_by_hand():
    box = np.array([[100.0, 50, 200, 150]])
    # the shorter side, 200, is kept to 7 / 8: 175 pixels around the centre become 48 or 64
    assert plan("crop", size=(50, 50), crop=0.875).boxes_in_input(box, (200, 400)).tolist() == [
        pytest.approx([(100 - 112.5) * 50 / 175, (50 - 12.5) * 50 / 175, 25, (150 - 12.5) * 50 / 175])
    ]
    assert plan("letterbox", size=(50, 50)).boxes_in_input(box, (200, 400)).tolist() == [[12.5, 18.25, 25, 30.75]]
    assert plan("squash", size=(50, 50)).boxes_in_input(box, (200, 400)).tolist() == [[12.5, 12.5, 25, 37.5]]


@pytest.mark.parametrize("fit", ["crop", "letterbox", "squash"])
def test_an_image_that_has_the_size_is_taken_as_it_is(fit):
    preprocess = plan(fit, crop=0.5 if fit == "crop" else 1.0)
    pixels = drawn(64, 48, (10, 20, 30, 40))[..., None]
    assert np.array_equal(preprocess.fit_stored(pixels), pixels)
    assert preprocess.boxes_in_input(np.array([[10.0, 20, 30, 40]]), (48, 64)).tolist() == [[10, 20, 30, 40]]


def test_a_photograph_that_lies_on_its_side_and_is_decoded_at_a_fraction():
    upright = drawn(802, 1203, (200, 400, 500, 900))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    with io.BytesIO() as stream:
        Image.fromarray(np.rot90(upright).copy()).save(stream, "JPEG", exif=exif, quality=95)
        pixels = plan("crop").read(stream.getvalue())
    box = plan("crop").boxes_in_input(np.array([[200.0, 400, 500, 900]]), (1203, 802))[0]
    assert box == pytest.approx(found(pixels), abs=0.5)

"""Masks, points and boxes move by exactly the window that the image takes."""

import io

import numpy as np
import pytest
from PIL import Image

from fovea.preprocess import VOID, Preprocess

FITS = [("crop", 1.0), ("crop", 0.875), ("letterbox", 1.0), ("squash", 1.0)]
SIZES = [(300, 200), (201, 340), (97, 97), (64, 48), (7, 90)]


def plan(fit, *, size=(48, 64), crop=1.0):
    return Preprocess(size=size, channels=1, fit=fit, crop=crop, mean=(0.5,), std=(0.5,))


def test_by_hand():
    mask = np.arange(8, dtype=np.uint8).reshape(2, 4)
    assert plan("squash", size=(4, 4)).mask_in_input(mask).tolist() == [[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2
    assert plan("crop", size=(2, 2)).mask_in_input(mask).tolist() == [[1, 2], [5, 6]]
    v = VOID
    assert plan("letterbox", size=(4, 4)).mask_in_input(mask).tolist() == [[v] * 4, [0, 1, 2, 3], [4, 5, 6, 7], [v] * 4]
    assert plan("crop", size=(2, 2)).mask_in_image(np.uint8([[1, 2], [5, 6]]), (2, 4)).tolist() == [
        [v, 1, 2, v],
        [v, 5, 6, v],
    ]
    points = np.array([[2.0, 1.0, 2.0]])
    assert plan("letterbox", size=(8, 8)).points_in_input(points, (2, 4)).tolist() == [[4, 4, 2]]


@pytest.mark.parametrize(("w", "h"), SIZES)
@pytest.mark.parametrize(("fit", "crop"), FITS)
def test_a_mask_is_where_its_image_is(fit, crop, w, h):
    preprocess = plan(fit, crop=crop)
    mask = np.zeros((h, w), np.uint8)
    mask[h // 5 : h * 4 // 5, w // 5 : w * 3 // 5] = 1
    seen = preprocess.fit_stored(mask[..., None] * 255)[..., 0] / 255
    moved = preprocess.mask_in_input(mask)
    if fit == "letterbox":
        assert ((moved == VOID) == (preprocess.fit_stored(np.full((h, w, 1), 7, np.uint8))[..., 0] == 128)).all()
    known = moved != VOID
    # bilinear pixels that are surely of one class have that class
    assert (moved[known & (seen > 0.99)] == 1).all()
    assert (moved[known & (seen < 0.01)] == 0).all()


@pytest.mark.parametrize(("w", "h"), SIZES)
@pytest.mark.parametrize(("fit", "crop"), FITS)
def test_each_pixel_has_the_class_of_the_pixel_that_its_centre_lies_in(fit, crop, w, h):
    preprocess = plan(fit, crop=crop)
    rows, columns = np.mgrid[:h, :w]
    moved = preprocess.mask_in_input((rows * 31 + columns * 7).astype(np.uint8) % 251)
    Y, X = np.mgrid[:48, :64]
    origin = preprocess.points_in_image(np.stack((X + 0.5, Y + 0.5), axis=-1), (h, w))
    x, y = np.floor(origin).astype(int).transpose(2, 0, 1)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    assert (moved[~inside] == VOID).all()
    assert (moved[inside] == (y[inside] * 31 + x[inside] * 7).astype(np.uint8) % 251).all()


@pytest.mark.parametrize(("fit", "crop"), FITS)
def test_the_ways_back_undo_the_ways_there(fit, crop):
    preprocess, size = plan(fit, crop=crop), (90, 201)
    generator = np.random.default_rng(0)
    points = generator.uniform(0, 90, (5, 3))
    there = preprocess.points_in_input(points, size)
    assert preprocess.points_in_image(there, size) == pytest.approx(points)
    assert (there[:, 2] == points[:, 2]).all()
    boxes = generator.uniform(0, 90, (5, 4))
    assert preprocess.boxes_in_image(preprocess.boxes_in_input(boxes, size), size) == pytest.approx(boxes)
    assert preprocess.boxes_in_input(points[:, [0, 1, 0, 1]], size)[:, :2] == pytest.approx(there[:, :2])


@pytest.mark.parametrize(("fit", "crop"), FITS)
def test_a_mask_that_is_enlarged_comes_back_as_it_was(fit, crop):
    preprocess = plan(fit, size=(301, 401), crop=crop)
    mask = np.random.default_rng(0).integers(0, 9, (40, 70), np.uint8)
    back = preprocess.mask_in_image(preprocess.mask_in_input(mask), mask.shape)
    assert (back[back != VOID] == mask[back != VOID]).all()
    assert (back == VOID).any() == (fit == "crop")


def test_a_mask_that_has_the_size_is_taken_as_it_is():
    mask = np.random.default_rng(0).integers(0, 9, (48, 64), np.uint8)
    for fit, crop in FITS:
        assert (plan(fit, crop=crop).mask_in_input(mask) == mask).all()


def test_a_turned_photograph_and_a_mask_that_is_upright_agree():
    upright = np.zeros((90, 60), np.uint8)
    upright[10:40, 20:50] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    with io.BytesIO() as stream:
        Image.fromarray(np.rot90(upright).copy()).save(stream, "PNG", exif=exif)
        pixels = plan("letterbox").read(stream.getvalue())
    mask = plan("letterbox").mask_in_input(upright // 255)
    assert (pixels[..., 0][mask == 1] > 50).all()
    assert (pixels[..., 0][mask == 0] < 205).all()


def test_a_pixel_of_a_smaller_input_has_the_class_that_covers_most_of_it():
    mask = np.uint8([[1, 1, 0, 0], [1, 0, 0, 2], [3, 3, 5, 4], [VOID, VOID, 4, 4]])
    assert plan("squash", size=(2, 2)).mask_in_input(mask).tolist() == [[1, 0], [VOID, 4]]  # a tie: that of the centre
    numbers = mask.astype(np.uint16)
    assert plan("squash", size=(2, 2)).mask_in_input(numbers).tolist() == [[0, 2], [255, 4]]


def test_probabilities_decide_between_the_pixels_of_the_input():
    mask, probability = np.uint8([[0, 1]]), np.float32([[0.9, 0.6]])
    found, sure = plan("squash", size=(1, 2)).classes_in_image(mask, probability, (1, 8), classes=2)
    # of class 1: 0.1 at the centre of the first pixel, 1.5, and 0.6 at that of the second, 5.5
    of_one = np.interp(np.arange(8), [1.5, 5.5], [0.1, 0.6])
    assert found.tolist() == [(of_one > 0.5).astype(int).tolist()] == [[0, 0, 0, 0, 0, 1, 1, 1]]
    np.testing.assert_allclose(sure[0], np.maximum(of_one, 1 - of_one), atol=1e-6)


@pytest.mark.parametrize(("fit", "crop"), FITS)
def test_classes_at_the_scale_of_the_input_stay(fit, crop):
    generator = np.random.default_rng(0)
    mask = generator.integers(0, 4, (48, 64)).astype(np.uint8)
    mask[mask == 3] = VOID
    probability = generator.uniform(1 / 3, 1, mask.shape).astype(np.float32)
    found, sure = plan(fit).classes_in_image(mask, probability, (48, 64), classes=3)
    assert (found == mask).all()
    np.testing.assert_allclose(sure, np.where(mask == VOID, 0, probability), atol=1e-5)


def test_an_outline_survives_a_smaller_input():
    rows, columns = np.mgrid[:192, :256]
    disc = ((rows - 90) ** 2 + (columns - 120) ** 2 < 60**2).astype(np.uint8)
    frame = plan("squash")
    share = frame.fit_stored(disc[..., None] * 255)[..., 0].astype(np.float32) / 255
    seen = frame.mask_in_input(disc)
    found, _ = frame.classes_in_image(seen, np.maximum(share, 1 - share), disc.shape, classes=2)
    stepped = frame.mask_in_image(seen, disc.shape)
    assert (found != disc).sum() < (stepped != disc).sum() / 4

"""The way to fit `tile`: of an image as many windows as it has, of a single one that in the middle."""

import numpy as np
import pytest
from PIL import Image

from fovea.errors import UsageError
from fovea.preprocess import VOID, Preprocess

HALF = (0.5,) * 3


def tile(size=(64, 64), **given):
    return Preprocess(size=size, channels=3, fit="tile", mean=HALF, std=HALF, **given)


def picture(H, W):
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)


def test_a_file_becomes_its_middle_at_its_own_scale(tmp_path):
    pixels = picture(101, 150)
    Image.fromarray(pixels).save(tmp_path / "image.png")

    np.testing.assert_array_equal(tile().read(tmp_path / "image.png"), pixels[18:82, 43:107])


def test_a_jpeg_is_not_decoded_at_a_fraction_of_its_size(tmp_path):
    Image.fromarray(picture(1024, 1024)).save(tmp_path / "image.jpg")
    whole = np.asarray(Image.open(tmp_path / "image.jpg"))

    np.testing.assert_array_equal(tile((32, 32)).read(tmp_path / "image.jpg"), whole[496:528, 496:528])


def test_an_image_smaller_than_a_tile_is_mirrored_around():
    pixels = picture(40, 64)

    np.testing.assert_array_equal(tile().read(pixels), np.pad(pixels, ((12, 12), (0, 0), (0, 0)), mode="symmetric"))


def test_masks_boxes_and_points_lie_on_the_middle():
    frame, mask = tile(), np.arange(100 * 100, dtype=np.uint32).reshape(100, 100).astype(np.uint8)

    np.testing.assert_array_equal(frame.mask_in_input(mask), mask[18:82, 18:82])
    np.testing.assert_array_equal(
        frame.mask_in_image(frame.mask_in_input(mask), (100, 100))[18:82, 18:82], mask[18:82, 18:82]
    )
    assert (frame.mask_in_image(frame.mask_in_input(mask), (100, 100))[:18] == VOID).all()
    boxes = np.array([[18.0, 18, 30, 40]])
    np.testing.assert_array_equal(frame.boxes_in_input(boxes, (100, 100)), boxes - 18)
    np.testing.assert_array_equal(frame.boxes_in_image(boxes - 18, (100, 100)), boxes)


def test_a_mask_of_a_small_image_is_its_part_of_the_tile():
    mask = np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8)

    np.testing.assert_array_equal(tile().mask_in_image(mask, (40, 50)), mask[12:52, 7:57])


def test_it_is_stored_and_read_back():
    frame = tile(overlap=8, margin=4)

    assert Preprocess.from_dict(frame.to_dict()) == frame
    assert "overlap" not in Preprocess(size=(8, 8), channels=3, fit="squash", mean=HALF, std=HALF).to_dict()


@pytest.mark.parametrize("changed", [{"overlap": "8"}, {"margin": 1.5}, {"overlap": True}, {"margin": 40}])
def test_a_wrong_field_of_a_file_is_an_error(changed):
    with pytest.raises(UsageError, match=r"overlap|margin"):
        Preprocess.from_dict({**tile(overlap=8).to_dict(), **changed})


def test_overlap_and_margin_are_of_tiles():
    with pytest.raises(UsageError, match=r"work only with `fit` tile"):
        Preprocess(size=(8, 8), channels=3, fit="squash", mean=HALF, std=HALF, overlap=2)
    with pytest.raises(UsageError, match=r"below 56 pixels"):
        tile(overlap=56, margin=4)

"""A network that sees tiles answers once for one tile only, and says so of a larger image."""

import io

import numpy as np
import pytest
from PIL import Image

from fovea.errors import ImageError
from fovea.inputs.reading import check_one_tile
from fovea.preprocess import Preprocess


def frame(fit):
    return Preprocess(size=(32, 48), channels=1, fit=fit, mean=(0.5,), std=(0.5,))


def forms(size, folder):
    """Return an image as people give it."""
    image = Image.new("L", size)
    image.save(folder / "image.png")
    with io.BytesIO() as stream:
        image.save(stream, "PNG")
        content = stream.getvalue()
    return [image, np.asarray(image), folder / "image.png", str(folder / "image.png"), content]


def test_an_image_of_several_tiles_is_refused_in_every_form(tmp_path):
    for source in forms((49, 32), tmp_path):
        with pytest.raises(ImageError, match="49 x 32 pixels, and this model takes tiles of 48 x 32"):
            check_one_tile(source, frame("tile"))
        check_one_tile(source, frame("letterbox"))


def test_an_image_within_a_tile_is_taken_and_what_cannot_be_read_is_left_to_the_decoder(tmp_path):
    for source in (*forms((48, 32), tmp_path), *forms((9, 9), tmp_path), b"no image"):
        check_one_tile(source, frame("tile"))

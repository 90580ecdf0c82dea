import io

import numpy as np
import pytest
from bombs import encoded
from PIL import Image

from fovea.errors import UsageError
from fovea.inputs.clips import ClipPreprocess
from fovea.inputs.reading import listed, read_sample
from fovea.preprocess import Preprocess

GREY = Preprocess(size=(2, 2), channels=1, fit="squash", mean=(0.0,), std=(1.0,))


def test_a_path_bytes_an_array_and_an_image_are_the_same_sample(tmp_path):
    pixels = np.array([[0, 50], [100, 250]], np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "x.png")
    given = (tmp_path / "x.png", str(tmp_path / "x.png"), (tmp_path / "x.png").read_bytes(), pixels, image)
    assert all(np.array_equal(read_sample(source, GREY), pixels[..., None]) for source in given)


def test_an_image_is_laid_upright_and_over_white():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image = Image.fromarray(np.array([[0, 0], [200, 200]], np.uint8))
    turned = Image.open(io.BytesIO(encoded(image, "PNG", exif=exif)))
    assert read_sample(turned, GREY)[:, :, 0].tolist() == [[200, 200], [0, 0]]
    clear = Image.fromarray(np.array([[[9, 0], [9, 255]], [[9, 0], [9, 255]]], np.uint8), "LA")
    assert read_sample(clear, GREY)[:, :, 0].tolist() == [[255, 9], [255, 9]]


@pytest.mark.parametrize("image", [None, 3, {"a": 1}, [np.zeros((2, 2), np.uint8)]])
def test_another_object_is_named_by_its_type(image):
    with pytest.raises(UsageError, match=f"this is of type `{type(image).__name__}`"):
        read_sample(image, GREY)


def test_an_array_of_more_axes_than_a_sample_holds_several():
    image = np.zeros((4, 4, 3), np.uint8)
    assert len(list(listed(image, 3))) == 1 and len(list(listed(image[None].repeat(5, 0), 3))) == 5
    assert list(listed("a.png", 3)) == ["a.png"] and list(listed(b"x", 3)) == [b"x"]
    assert list(listed(["a", "b"], 3)) == ["a", "b"]
    clips = ClipPreprocess(frames=2, size=(4, 4), channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    clip = np.zeros((6, 4, 4, 3), np.uint8)
    (one,) = listed(clip, len(clips.stored_shape))
    assert read_sample(one, clips).shape == (2, 4, 4, 3)

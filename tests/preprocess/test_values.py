"""What masks are stored as."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from fovea.errors import ImageError
from fovea.preprocess import decode
from fovea.preprocess.decoding import upright_size
from fovea.preprocess.values import decode_values

INDICES = np.arange(12, dtype=np.uint8).reshape(3, 4)


def encoded(image, kind="PNG", **more):
    with io.BytesIO() as stream:
        image.save(stream, kind, **more)
        return stream.getvalue()


def with_palette(indices):
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.flatten().tolist())
    image.putpalette([value for k in range(256) for value in (k, 255 - k, 7)])
    return image


def test_a_palette_gives_its_indices_or_its_colours():
    for more in ({}, {"transparency": 3}):
        file = encoded(with_palette(INDICES), **more)
        assert decode_values(file, colours=False).tolist() == INDICES.tolist()
        assert decode_values(file, colours=True)[1, 2].tolist() == [6, 249, 7]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_grey_is_its_levels_in_whichever_mode(mode):
    file = encoded(Image.fromarray(INDICES).convert(mode))
    assert decode_values(file, colours=False).tolist() == INDICES.tolist()
    assert decode_values(file, colours=True).tolist() == np.repeat(INDICES[..., None], 3, 2).tolist()


def test_two_levels_are_0_and_1():
    bits = Image.fromarray((INDICES % 2 * 255).astype(np.uint8)).convert("1")
    assert decode_values(encoded(bits), colours=False).tolist() == (INDICES % 2).tolist()


def test_levels_of_16_bits_are_not_scaled():
    levels = INDICES.astype(np.uint16) * 1000
    assert decode_values(encoded(Image.fromarray(levels)), colours=False).tolist() == levels.tolist()
    with pytest.raises(ImageError, match="levels of 16 bits or more, not colours"):
        decode_values(encoded(Image.fromarray(levels)), colours=True)


def test_colours_need_a_table():
    with pytest.raises(ImageError, match="its pixels are colours, and there is no table with the class of each"):
        decode_values(encoded(Image.new("RGB", (3, 2), (1, 2, 3))), colours=False)


def test_transparency_does_not_change_a_colour():
    assert decode_values(encoded(Image.new("RGBA", (1, 1), (9, 8, 7, 0))), colours=True).tolist() == [[[9, 8, 7]]]


def test_what_is_no_image_is_refused():
    with pytest.raises(ImageError, match="not a JPEG"):
        decode_values(b"no image", colours=False)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_size_and_turn_are_those_of_the_decoded_image(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(INDICES)
    path = tmp_path / f"a.{kind.lower()}"
    image.save(path, kind, exif=exif)
    assert upright_size(path) == decode(path, channels=1).shape[:2]
    if kind != "JPEG":
        assert decode_values(path, colours=False).tolist() == decode(path, channels=1)[..., 0].tolist()


def test_an_orientation_that_follows_the_pixels_counts(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, content = encoded(Image.fromarray(INDICES)), exif.tobytes()[6:]
    chunk = b"eXIf" + content
    chunk = len(content).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    path = tmp_path / "a.png"
    path.write_bytes(plain[:-12] + chunk + plain[-12:])
    assert path.read_bytes().index(b"IDAT") < path.read_bytes().index(b"eXIf")
    assert upright_size(path) == decode(path, channels=1).shape[:2] == (4, 3)
    path.write_bytes(plain)
    assert upright_size(path) == (3, 4)


def test_the_size_of_what_is_no_image_is_unknown(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert upright_size(tmp_path / "a.png") is None
    assert upright_size(tmp_path / "b.png") is None

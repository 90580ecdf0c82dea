"""Photographs and other files that are not read are named as what they are."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from fovea.errors import ImageError
from fovea.preprocess import decode
from fovea.preprocess.foreign import by_content, by_suffix, photograph

BOX = b"\0\0\0\x18ftyp"
CONTENTS = {
    BOX + b"heic\0\0\0\0mif1heic": "a HEIC photograph",
    BOX + b"mif1\0\0\0\0mif1heic": "a HEIC photograph",
    BOX + b"mif1\0\0\0\0mif1avif": "an AVIF image",
    BOX + b"mif1\0\0\0\0mif1mif1": "a HEIF photograph",
    BOX + b"heic": "a HEIC photograph",
    BOX + b"avif\0\0\0\0avifmif1": "an AVIF image",
    BOX + b"crx \0\0\0\1crx isom": "a raw photograph",
    BOX + b"isom\0\0\2\0isomiso2": "a video",
    b"\xff\x0a\x10\x20": "a JPEG XL image",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL image",
    b"II*\0\x10\0\0\0CR\2\0": "a raw photograph",
    b"8BPS\0\1": "a Photoshop file",
    b"%PDF-1.7": "a PDF",
    b'<?xml version="1.0"?>\n<svg xmlns="x">': "an SVG drawing",
    b"\n  <SVG>": "an SVG drawing",
    b"RIFF\x10\0\0\0AVI LIST": "a video",
    b"\x1aE\xdf\xa3\1\0": "a video",
    b"<!DOCTYPE html><html>": "a web page",
    b"version https://git-lfs.github.com/spec/v1": "a pointer of Git LFS",
    b"\0" * 128 + b"DICM": "a DICOM file",
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_is_named_by_its_content_whatever_its_suffix(tmp_path, content):
    assert by_content(content).name == CONTENTS[content]
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=f"x.jpg`: this is {CONTENTS[content]}, which is not supported; "):
        decode(tmp_path / "x.jpg", channels=3)


def test_where_the_content_says_nothing_the_suffix_does(tmp_path):
    (tmp_path / "x.NEF").write_bytes(b"MM??")
    with pytest.raises(
        ImageError, match="this is a raw photograph, which is not supported; develop it to JPEG, PNG or TIFF"
    ):
        decode(tmp_path / "x.NEF", channels=3)
    assert photograph("a.HEIC") and by_suffix("a.mp4") and not photograph("a.mp4") and not by_suffix("a.jpg")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_what_is_read_is_no_foreign_file(tmp_path, format):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "x", format)
    assert by_content((tmp_path / "x").read_bytes()[:132]) is None


def test_a_digital_negative_is_not_taken_for_its_preview(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.tif", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(ImageError, match="this is a raw photograph"):
        decode(tmp_path / "x.tif", channels=3)


@pytest.mark.parametrize("side", [8, 700])
def test_lab_is_read_as_colour_and_as_grey(tmp_path, side):
    image = Image.new("RGB", (side, side), (200, 30, 40))
    ways = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
    ImageCms.applyTransform(image, ImageCms.buildTransform(*ways, "RGB", "LAB")).save(tmp_path / "x.tif")
    assert np.abs(decode(tmp_path / "x.tif", channels=3)[0, 0].astype(int) - (200, 30, 40)).max() <= 4
    assert abs(int(decode(tmp_path / "x.tif", channels=1)[0, 0, 0]) - int(np.array(image.convert("L"))[0, 0])) <= 4

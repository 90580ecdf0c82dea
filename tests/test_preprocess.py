import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from fovea.errors import ImageError, UsageError
from fovea.preprocess import FILL, FORMATS, Preprocess, as_pixels, decode
from fovea.preprocess.decoding import _quietly

FITS = ("crop", "letterbox", "squash")


def plan(size=(4, 4), channels=3, fit="crop"):
    return Preprocess(size=size, channels=channels, fit=fit, mean=(0.5,) * channels, std=(0.25,) * channels)


def noise(*shape, top=256, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, top, shape).astype(dtype)


def encoded(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(values):
    """Write uint16 (H, W, C) as a PNG of 16 bits; Pillow writes none in colour."""
    H, W, C = values.shape
    header = struct.pack(">IIBBBBB", W, H, 16, {1: 0, 3: 2, 4: 6}[C], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff16(values, order):
    """Write uint16 (H, W, 3) as an uncompressed TIFF of 16 bits in the byte order `<` or `>`."""
    H, W, C = values.shape
    pixels = values.astype(f"{order}u2").tobytes()
    bits = struct.pack(f"{order}HHH", 16, 16, 16)
    fields = [
        (256, 4, 1, W), (257, 4, 1, H), (258, 3, 3, 8), (259, 4, 1, 1), (262, 4, 1, 2),
        (273, 4, 1, 14), (277, 4, 1, C), (278, 4, 1, H), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 14 + len(pixels)) + bits
    entries = b"".join(struct.pack(f"{order}HHII", *entry) for entry in fields)
    return start + pixels + struct.pack(f"{order}H", len(fields)) + entries + bytes(4)


# decoding


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_lossless_formats_give_the_pixels_that_were_stored(form):
    grey = noise(5, 7)
    pixels = grey[:, :, None] if form == "GIF" else noise(5, 7, 3)
    data = encoded(
        Image.fromarray(grey if form == "GIF" else pixels), form, **{"lossless": True} if form == "WEBP" else {}
    )
    assert np.array_equal(decode(data, channels=pixels.shape[2]), pixels)


def test_a_jpeg_equals_what_pillow_decodes(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(noise(40, 30, 3)), "JPEG"))
    with Image.open(path) as image:
        assert np.array_equal(decode(path, channels=3), np.asarray(image))
        assert np.array_equal(decode(path, channels=1)[:, :, 0], np.asarray(image.convert("L")))


def test_another_format_is_refused_even_if_pillow_knows_it():
    with pytest.raises(ImageError, match="^not a JPEG, PNG, WebP, BMP, GIF or TIFF image, or its header is damaged.$"):
        decode(encoded(Image.new("RGB", (2, 2)), "PPM"), channels=3)


def test_sixteen_bits_become_eight_by_257_rounded():
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    expected = [0, 0, 1, 1, 128, 254, 255, 255]  # 128 / 257 = 0.498, 129 / 257 = 0.502, 65406 / 257 = 254.498
    assert decode(encoded(Image.fromarray(values)), channels=1)[0, :, 0].tolist() == expected
    assert decode(encoded(Image.fromarray(values), "TIFF"), channels=1)[0, :, 0].tolist() == expected
    assert decode(png16(values[:, :, None].repeat(3, axis=2)), channels=3)[0, :, 2].tolist() == expected


@pytest.mark.parametrize("write", [png16, lambda values: tiff16(values, "<"), lambda values: tiff16(values, ">")])
def test_sixteen_bit_colour_keeps_its_channels_and_rounds(write):
    values = noise(6, 5, 3, top=65536, dtype=np.uint16)
    assert np.array_equal(decode(write(values), channels=3), np.rint(values / 257).astype(np.uint8))


def test_sixteen_bit_colour_with_alpha_is_laid_over_white():
    values = noise(6, 5, 4, top=65536, dtype=np.uint16)
    values[..., 3] = 65535
    values[0, 0, 3] = 0
    pixels = decode(png16(values), channels=3)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(pixels[1:], np.rint(values[1:, :, :3] / 257).astype(np.uint8))


def test_one_bit_becomes_black_and_white():
    bits = np.array([[True, False, True]])
    assert decode(encoded(Image.fromarray(bits)), channels=1)[0, :, 0].tolist() == [255, 0, 255]


def test_a_palette_becomes_its_colours():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    assert decode(encoded(image), channels=3).tolist() == [[[200, 100, 50], [10, 20, 30]]]


def test_transparency_shows_white():
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    pixels = decode(encoded(Image.fromarray(rgba)), channels=3)
    assert pixels[0, :2].tolist() == [[255, 0, 0], [255, 255, 255]]
    assert pixels[0, 2, 0] == 127  # 255 x (1 - 128 / 255)


@pytest.mark.parametrize("transparent", [0, b"\x00\xff"])
def test_a_transparent_palette_entry_shows_white(transparent):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    data = encoded(image, transparency=transparent)
    assert decode(data, channels=3).tolist() == [[[200, 100, 50], [255, 255, 255]]]


def test_grey_with_alpha_shows_white_in_one_channel():
    image = Image.fromarray(np.array([[[90, 255], [90, 0]]], np.uint8), "LA")
    assert decode(encoded(image), channels=1).tolist() == [[[90], [255]]]


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for form in ("TIFF", "JPEG"):
        pixels = decode(encoded(image, form), channels=3)
        assert pixels.shape == (8, 8, 3) and abs(pixels[0, 0].astype(int) - [255, 0, 0]).max() <= 2


def test_grey_gives_three_equal_channels():
    grey = noise(3, 4)
    assert np.array_equal(decode(encoded(Image.fromarray(grey)), channels=3), np.stack([grey] * 3, axis=2))


def test_only_the_first_frame_is_read():
    frames = [Image.new("L", (3, 3), level) for level in (10, 200)]
    for form in ("GIF", "TIFF", "PNG"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert decode(data, channels=1)[:, :, 0].tolist() == [[10] * 3] * 3


ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_turns_the_pixels(orientation, form):
    pixels = noise(2, 3, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(pixels), form, exif=exif, **{"lossless": True} if form == "WEBP" else {})
    expected = ORIENTATIONS[orientation](pixels)
    assert np.array_equal(decode(data, channels=3), expected)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(image)), expected)


def test_orientation_applies_to_sixteen_bits_too():
    values = noise(2, 3, top=65536, dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode(encoded(Image.fromarray(values), exif=exif), channels=1)
    assert np.array_equal(pixels[:, :, 0], np.rint(values / 257)[::-1].T)


def test_damaged_exif_does_not_spoil_the_pixels():
    pixels = noise(8, 8, 3)
    data = encoded(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decode(data, channels=3).shape == (8, 8, 3)


# reduced decoding


def photo(H, W):
    y, x = np.mgrid[0:H, 0:W]
    waves = [127 + 120 * np.sin(x / a + y / b) for a, b in ((31, 57), (43, 29), (71, 37))]
    return encoded(Image.fromarray(np.stack(waves, axis=2).astype(np.uint8)), "JPEG", quality=95)


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [
        ((100, 100), (200, 300)),
        ((50, 50), (100, 150)),
        ((101, 20), (400, 600)),
        ((20, 101), (400, 600)),
        (None, (800, 1200)),
    ],
)
def test_a_jpeg_is_decoded_at_least_twice_as_large_as_asked(at_least, expected):
    assert decode(photo(800, 1200), channels=3, at_least=at_least).shape == (*expected, 3)


def test_other_formats_ignore_the_size_asked():
    assert decode(encoded(Image.new("L", (90, 80))), channels=1, at_least=(2, 2)).shape == (80, 90, 1)


def test_reduced_decoding_hardly_changes_the_result():
    data = photo(800, 1200)
    full = plan((64, 64)).fit_stored(decode(data, channels=3))
    assert np.abs(plan((64, 64)).read(data).astype(int) - full).max() <= 3


# what cannot be decoded


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"^`.*gone\.png`: No such file or directory\.$"):
        decode(tmp_path / "gone.png", channels=3)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"^`.*empty\.jpg`: the file is empty\.$"):
        decode(tmp_path / "empty.jpg", channels=3)


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_file_is_refused(form):
    data = encoded(Image.fromarray(noise(64, 64, 3)), form)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) // 2], channels=3)
    assert "\n" not in str(caught.value)


def bomb(width, height):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_001, 30_000, 2_000_000])
def test_too_many_pixels_are_refused_from_the_header(side, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("pixels were decompressed"))
    with pytest.raises(ImageError, match=r"^the image has more than 100,000,000 pixels, the limit\.$"):
        decode(bomb(side, side), channels=3)


def test_pillows_own_bomb_warning_does_not_surface(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode(encoded(Image.new("L", (4, 4))), channels=1).shape == (4, 4, 1)


def test_too_large_a_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.png"
    path.touch()
    os.truncate(path, 100_000_001)
    with pytest.raises(ImageError, match=r"`: the file has 100,000,001 bytes, more than the limit of 100,000,000\.$"):
        decode(path, channels=3)


def test_float_pixels_are_refused_with_the_way_out():
    with pytest.raises(ImageError, match="32-bit pixels have no fixed range; save the image with 8 or 16 bits"):
        decode(encoded(Image.new("F", (2, 2)), "TIFF"), channels=1)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), form=st.sampled_from(["", *FORMATS]))
def test_random_bytes_raise_nothing_but_image_errors(data, form):
    signature = encoded(Image.new("RGB", (4, 4)), form)[:30] if form else b""
    try:
        decode(signature + data, channels=3)
    except ImageError as error:
        assert "\n" not in str(error) and "0x" not in str(error)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_flipped_bytes_raise_nothing_but_image_errors(data):
    mode = data.draw(st.sampled_from(["RGB", "L", "P", "RGBA"]))
    form = data.draw(st.sampled_from([form for form in FORMATS if not (form == "JPEG" and mode in ("P", "RGBA"))]))
    damaged = bytearray(encoded(Image.new(mode, (16, 12), 3), form))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(damaged), channels=3).shape[2] == 3
    except ImageError:
        pass


def test_pillow_is_silent_until_the_last_thread_has_decoded():
    with warnings.catch_warnings():
        before = list(warnings.filters)
        first, second = _quietly(), _quietly()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        warnings.warn_explicit("damaged", UserWarning, "Image.py", 1, module="PIL.Image")  # an error if not ignored
        second.__exit__(None, None, None)
        assert warnings.filters == before


def test_warning_filters_are_as_before_after_many_threads_decoded():
    data = encoded(Image.new("L", (64, 64)))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda _: decode(data, channels=1), range(400)))) == 400
    assert warnings.filters == before


# geometry


def test_crop_takes_the_centre_of_the_longer_side():
    wide = np.zeros((4, 10, 1), np.uint8)
    wide[:, 3:7] = 200
    assert (plan((4, 4), 1, "crop").fit_stored(wide) == 200).all()


def test_letterbox_keeps_all_and_fills_with_grey():
    pixels = np.full((2, 8, 3), 200, np.uint8)
    boxed = plan((8, 8), 3, "letterbox").fit_stored(pixels)
    assert (boxed[3:5] == 200).all() and (boxed[:3] == FILL).all() and (boxed[5:] == FILL).all()


def test_squash_averages_both_sides():
    pixels = np.array([[0, 100], [100, 200]], np.uint8)[:, :, None]
    assert plan((1, 1), 1, "squash").fit_stored(pixels).tolist() == [[[100]]]


def test_crop_equals_resizing_the_shorter_side_and_cutting():
    pixels = noise(60, 100, 3)
    small = Image.fromarray(pixels).resize((50, 30), Image.Resampling.BILINEAR).crop((10, 0, 40, 30))
    assert np.abs(plan((30, 30)).fit_stored(pixels).astype(int) - np.asarray(small)).max() <= 1


def test_a_share_of_the_shorter_side_equals_resizing_to_more_and_cutting():
    pixels = noise(64, 100, 3)
    small = Image.fromarray(pixels).resize((50, 32), Image.Resampling.BILINEAR).crop((11, 2, 39, 30))
    chosen = replace(plan((28, 28)), crop=28 / 32)
    assert np.abs(chosen.fit_stored(pixels).astype(int) - np.asarray(small)).max() <= 1


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_the_right_size_are_unchanged(fit, channels):
    pixels = noise(9, 7, channels)
    chosen = plan((9, 7), channels, fit)
    assert chosen.fit_stored(pixels) is pixels
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    assert np.array_equal(chosen.read(encoded(image)), pixels)


sides = st.integers(1, 60)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sides, sides, sides, sides, st.sampled_from(FITS), st.sampled_from([1, 3]), st.sampled_from(["PNG", "JPEG"]))
def test_every_fit_gives_exactly_the_size(h, w, H, W, fit, channels, form):
    grey = Image.fromarray(np.full((h, w), 77, np.uint8))
    pixels = plan((H, W), channels, fit).read(encoded(grey, form))
    assert pixels.shape == (H, W, channels) and pixels.dtype == np.uint8 and pixels.flags.writeable
    inside = np.abs(pixels.astype(int) - 77) <= 1
    assert (inside | (pixels == FILL)).all() if fit == "letterbox" else inside.all()


def test_a_mirrored_image_gives_mirrored_pixels():
    pixels = noise(31, 44, 3)
    for fit in FITS:
        fitted, mirrored = (
            plan((16, 16), 3, fit).fit_stored(a) for a in (pixels, np.ascontiguousarray(pixels[:, ::-1]))
        )
        assert np.abs(fitted[:, ::-1].astype(int) - mirrored).max() <= 1


# arrays


def test_arrays_get_the_channels_asked():
    grey, colour = noise(4, 5), noise(4, 5, 3)
    assert as_pixels(grey, channels=1).shape == (4, 5, 1)
    assert np.array_equal(as_pixels(grey[:, :, None], channels=3), np.stack([grey] * 3, axis=2))
    weights = (colour.astype(int) * [299, 587, 114]).sum(axis=2) / 1000  # ITU-R 601
    assert np.abs(as_pixels(colour, channels=1)[:, :, 0] - weights).max() <= 0.51
    assert np.array_equal(as_pixels(colour, channels=3), colour)
    see_through = np.dstack([colour, np.zeros((4, 5), np.uint8)])
    assert (as_pixels(see_through, channels=3) == 255).all()


def test_a_file_and_its_array_are_read_alike():
    pixels = noise(40, 50, 3)
    assert np.array_equal(plan().read(pixels), plan().read(encoded(Image.fromarray(pixels))))


def test_other_arrays_are_refused():
    with pytest.raises(UsageError, match=r"must be uint8 with values 0..255; this one is `float32`"):
        as_pixels(np.zeros((4, 4), np.float32), channels=1)
    for shape in [(4,), (4, 4, 2), (1, 4, 4, 3), (0, 4, 3)]:
        with pytest.raises(UsageError, match=r"must be \(H, W\), \(H, W, 1\), \(H, W, 3\) or \(H, W, 4\); this one is"):
            as_pixels(np.zeros(shape, np.uint8), channels=3)


# normalisation and description


def test_normalise_subtracts_and_divides_per_channel():
    chosen = replace(plan(), mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    batch = chosen.normalise(np.array([[[[0, 255, 51]]]], np.uint8))
    assert batch.shape == (1, 3, 1, 1) and batch.dtype == np.float32 and batch.flags.c_contiguous
    assert batch[0, :, 0, 0].tolist() == pytest.approx([0, 1, (0.2 - 1) / 0.25])


def test_normalise_puts_channels_first():
    pixels = noise(2, 3, 4, 3)
    expected = (pixels.astype(np.float64).transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25
    assert np.allclose(plan().normalise(pixels), expected, atol=1e-6)


def test_the_description_survives_json():
    chosen = plan((48, 64), 1, "letterbox")
    described = json.loads(json.dumps(chosen.to_dict()))
    assert Preprocess.from_dict(described) == chosen
    assert "crop" not in described  # as in files from before there was one
    part = replace(plan(), crop=0.875)
    assert Preprocess.from_dict(json.loads(json.dumps(part.to_dict()))) == part
    assert described["decoder"] == "pillow" and described["resample"] == "bilinear" and described["fill"] == 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": "other"}, "field `decoder` \\(=other\\) must be pillow"),
        ({"extra": 1}, "missing or unknown fields: `extra`"),
        ({"size": 4}, "a field of the wrong type"),
        ({"size": ["4", 4]}, "`size` .* must be two whole numbers"),
        ({"size": [4, True]}, "`size` .* must be two whole numbers"),
        ({"size": [20_000, 20_000]}, "`size` .* must have at most 100,000,000 pixels"),
        ({"mean": ["a", "b", "c"]}, "a field of the wrong type"),
        ({"std": [None] * 3}, "a field of the wrong type"),
        ({"channels": [3]}, "`channels` .* must be 1 \\(grey\\) or 3 \\(RGB\\)"),
        ({"fit": {}}, "`fit` .* must be one of crop, letterbox, squash"),
        ({"crop": 1e-300}, "`crop` .* must be from 0.1 to 1"),
        ({"crop": "1"}, "a field of the wrong type"),
    ],
)
def test_a_foreign_description_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Preprocess.from_dict({**plan().to_dict(), **change})


def test_a_description_with_a_missing_field_is_refused():
    described = plan().to_dict()
    del described["mean"]
    with pytest.raises(UsageError, match="missing or unknown fields: `mean`"):
        Preprocess.from_dict(described)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 4)}, "`size` (=(0, 4)) must be two whole numbers (height, width), each at least 1."),
        ({"channels": 4}, "`channels` (=4) must be 1 (grey) or 3 (RGB)."),
        ({"fit": "stretch"}, "`fit` (=stretch) must be one of crop, letterbox, squash, tile."),
        ({"crop": 0.0}, "`crop` (=0.0) must be from 0.1 to 1, and at 1 where `fit` is not `crop`."),
        ({"crop": 0.9, "fit": "squash"}, "`crop` (=0.9) must be from 0.1 to 1, and at 1 where `fit` is not `crop`."),
        ({"mean": (0.5,)}, "`mean` (=(0.5,)) must have one finite number for each of `channels` (=3)."),
        ({"std": (1.0, 0.0, 1.0)}, "`std` (=(1.0, 0.0, 1.0)) must be from 1e-06 to 1e+06."),
        ({"std": (1.0, 1e-320, 1.0)}, "`std` (=(1.0, 1e-320, 1.0)) must be from 1e-06 to 1e+06."),
        ({"mean": (0.0, 1e308, 0.0)}, "`mean` (=(0.0, 1e+308, 0.0)) must be from -1e+06 to 1e+06."),
    ],
)
def test_a_field_out_of_range_is_named(change, message):
    with pytest.raises(UsageError) as caught:
        replace(plan(), **change)
    assert str(caught.value) == message


def test_with_size_changes_only_the_size():
    assert plan((4, 4), 1, "squash").with_size((8, 9)) == plan((8, 9), 1, "squash")


def test_photographs_give_the_shape_and_stay_the_same():
    folder = Path(os.environ.get("FOVEA_DATA", "")) / "imagenet-subset" / "images"
    if "FOVEA_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("set FOVEA_DATA to a folder that holds imagenet-subset/images")
    paths = sorted(folder.iterdir())[:20]
    assert len(paths) == 20
    for path in paths:
        pixels = plan((64, 64)).read(path)
        assert pixels.shape == (64, 64, 3) and pixels.std() > 5
        assert np.array_equal(pixels, plan((64, 64)).read(path.read_bytes()))


DAMAGED_TIFF = """
import io, sys
from PIL import Image
from fovea.errors import ImageError
from fovea.preprocess import decode
stream = io.BytesIO()
Image.new("L", (64, 64), 9).save(stream, "TIFF", compression="tiff_lzw")
content = bytearray(stream.getvalue())
directory = int.from_bytes(content[4:8], "little")
for at in range(directory + 2, len(content) - 8, 12):
    for change in {2: 65535, 4: 0, 8: 63488}.items():
        damaged = bytearray(content)
        damaged[at + change[0] : at + change[0] + 2] = change[1].to_bytes(2, "little")
        try:
            decode(bytes(damaged), channels=1)
        except ImageError:
            print("refused")
"""


def test_no_library_writes_of_a_damaged_image_on_the_terminal():
    done = subprocess.run([sys.executable, "-c", DAMAGED_TIFF], capture_output=True, text=True, check=True)
    assert "refused" in done.stdout and done.stderr == ""


def test_libtiff_speaks_again_after_decoding():
    from fovea.preprocess.decoding import _libtiff_function

    set_handler = _libtiff_function("TIFFSetErrorHandler")
    if set_handler is None:
        pytest.skip("Pillow does not show its libtiff here")
    before = set_handler(None)
    set_handler(before)
    decode(encoded(Image.new("L", (4, 4)), "TIFF", compression="tiff_lzw"), channels=1)
    assert before and set_handler(before) == before

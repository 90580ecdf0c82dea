"""What decoding takes at the most, measured in processes of their own; that strips change nothing."""

import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bombs import chunk, encoded, noise, peak_of, png, scans, webp_canvas
from PIL import Image

from fovea.budget import DECODING, Shared
from fovea.errors import ImageError, UsageError
from fovea.preprocess import Preprocess, costs, decode, decoding

measured = pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is asked of Linux")
PALETTE = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", b"\0\x80")
TOO_MUCH = "decoding it would need"
MEGABYTE = 1_000_000


def turned(orientation=6):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


BOMBS = {
    "16-bit RGB": lambda: png(10_000, 10_000, depth=16),
    "16-bit RGBA": lambda: png(10_000, 10_000, depth=16, kind=6),
    "WebP canvas": lambda: webp_canvas(10_000, 10_000),
    "one row": lambda: png(60_000_000, 1, depth=16),
    "one column": lambda: png(1, 60_000_000, kind=0),
    "palette with alpha": lambda: png(10_000, 10_000, kind=3, extra=PALETTE),
}


@measured
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path, name):
    (tmp_path / "x").write_bytes(BOMBS[name]())
    taken, said = peak_of(tmp_path / "x")
    assert TOO_MUCH in said and "MB allowed; set `FOVEA_IMAGE_MB=" in said
    assert taken < 30 * MEGABYTE


LARGE = {
    "16-bit RGB, 24 megapixels": lambda: png(6000, 4000, depth=16),
    "16-bit RGBA, 24 megapixels": lambda: png(6000, 4000, depth=16, kind=6),
    "16-bit RGB, 46 megapixels": lambda: png(9500, 4850, depth=16),
    "RGBA, 42 megapixels": lambda: png(7000, 6000, kind=6),
    "RGB, 80 megapixels": lambda: png(10_000, 8000),
    "WebP canvas, 24 megapixels": lambda: webp_canvas(6000, 4000),
    "progressive JPEG, 60 megapixels": lambda: encoded(Image.new("RGB", (10_000, 6000)), "JPEG", progressive=True),
    "JPEG, 60 megapixels, turned": lambda: encoded(Image.new("RGB", (10_000, 6000)), "JPEG", exif=turned()),
    "one wide row": lambda: png(3_000_000, 1, depth=16),
}


@measured
@pytest.mark.parametrize("name", LARGE)
def test_a_large_photograph_is_decoded_within_400_megabytes(tmp_path, name):
    (tmp_path / "x").write_bytes(LARGE[name]())
    taken, said = peak_of(tmp_path / "x")
    assert said == "read" and taken <= 400 * MEGABYTE


@measured
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda: png(3000, 2000, depth=16, kind=6), "decode(path, channels=3)"),
        (lambda: png(3000, 2000, depth=16, kind=4), "decode(path, channels=1)"),
        (lambda: png(3000, 2000, kind=6), "plan(3000, fit='squash').read(path)"),
        (lambda: png(3000, 2000, kind=3, extra=PALETTE), "decode(path, channels=3)"),
        (lambda: encoded(Image.fromarray(noise(2000, 3000, 3)), "BMP"), "decode(path, channels=1)"),
        (lambda: encoded(Image.fromarray(noise(2000, 3000)), "GIF"), "decode(path, channels=3)"),
        (lambda: webp_canvas(3000, 2000), "decode(path, channels=3)"),
        (lambda: encoded(Image.new("RGBA", (3000, 2000)), "WEBP", lossless=True), "decode(path, channels=1)"),
        (lambda: encoded(Image.new("RGB", (3000, 2000)), "TIFF", compression="jpeg"), "decode(path, channels=3)"),
        (
            lambda: encoded(Image.new("RGB", (3000, 2000)), "TIFF", compression="tiff_lzw", strip_size=1 << 30),
            "decode(path, channels=3)",
        ),
        (
            lambda: encoded(Image.new("RGB", (3000, 2000)), "TIFF", compression="tiff_lzw", exif=turned()),
            "decode(path, channels=3)",
        ),
        (lambda: encoded(Image.new("I;16", (3000, 2000)), "TIFF"), "decode(path, channels=3)"),
        (lambda: encoded(Image.new("CMYK", (3000, 2000)), "JPEG", progressive=True), "decode(path, channels=3)"),
        (lambda: encoded(Image.new("RGB", (3000, 2000)), "JPEG", exif=turned()), "decode(path, channels=3)"),
    ],
)
def test_no_format_takes_more_than_was_reserved_for_it(tmp_path, monkeypatch, data, code):
    (tmp_path / "x").write_bytes(data())
    reserved = []
    monkeypatch.setattr(decoding, "DECODING", Recorded(reserved))
    reads = {"path": tmp_path / "x", "decode": decode, "plan": plan}
    eval(code, reads)
    taken, said = peak_of(tmp_path / "x", code)
    assert said == "read" and taken <= reserved[0] + 2 * MEGABYTE  # of the allocator's own


def plan(size, channels=3, fit="crop"):
    return Preprocess(size=(size, size), channels=channels, fit=fit, mean=(0.5,) * channels, std=(1.0,) * channels)


class Recorded(Shared):
    """Keeps what is asked for."""

    def __init__(self, asked):
        super().__init__(lambda: sys.maxsize)
        self.asked = asked

    def share(self):
        self.asked.append(0)
        return _Share(self.asked)


class _Share:
    def __init__(self, asked):
        self.asked = asked

    def __enter__(self):
        return lambda needed: self.asked.__setitem__(-1, needed)

    def __exit__(self, *_):
        return None


def test_a_setting_allows_more_and_a_wrong_one_is_no_fault_of_the_image(tmp_path, monkeypatch):
    data = png(300, 300, depth=16)
    monkeypatch.setenv("FOVEA_IMAGE_MB", "5")
    with pytest.raises(
        ImageError,
        match=(
            r"^decoding it would need \d+ MB, more than the 5 MB allowed; set "
            r"`FOVEA_IMAGE"
        ),
    ):
        decode(data, channels=3)
    monkeypatch.setenv("FOVEA_IMAGE_MB", "20")
    assert decode(data, channels=3).shape == (300, 300, 3)
    monkeypatch.setenv("FOVEA_IMAGE_MB", "much")
    with pytest.raises(UsageError, match="FOVEA_IMAGE_MB"):
        decode(data, channels=3)


def test_the_scans_of_a_jpeg_are_bounded():
    assert decode(scans(64, 64, 100), channels=3).shape == (64, 64, 3)
    with pytest.raises(ImageError, match=r"^it has 3,\d+ scans, too many for its size; save it with"):
        decode(scans(1000, 1000, 3000), channels=3, at_least=(224, 224))


def test_threads_that_decode_share_one_budget(monkeypatch):
    data, most, lock = png(500, 500, kind=6), [], threading.Lock()
    shared = Shared(lambda: 30 * MEGABYTE)
    monkeypatch.setattr(decoding, "DECODING", shared)
    load = decoding._load

    def watched(*args):
        loaded = load(*args)
        with lock:
            most.append(shared.taken)
        return loaded

    monkeypatch.setattr(decoding, "_load", watched)
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda _: decode(data, channels=3), range(40)))) == 40
    assert 0 < max(most) <= 30 * MEGABYTE and shared.taken == 0 and DECODING.taken == 0


MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16")


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG", "GIF"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_converting_in_strips_changes_no_pixel(monkeypatch, form, mode, channels):
    pixels = noise(23, 31, 4)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256 + pixels[..., 1])
    else:
        image = Image.fromarray(pixels).convert(mode)
    try:
        data = encoded(image, form, exif=turned(), **({"transparency": 3} if mode == "P" and form == "PNG" else {}))
    except (OSError, KeyError, ValueError):
        pytest.skip(f"Pillow writes no {form} of {mode}")
    whole = decode(data, channels=channels)
    monkeypatch.setattr(costs, "STRIP_PIXELS", 70)
    assert np.array_equal(decode(data, channels=channels), whole)


# what is no file


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_a_socket_and_a_device_are_named_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png`: this is a named pipe, and only files are supported\.$"):
        decode(tmp_path / "pipe.png", channels=3)
    (tmp_path / "device.png").symlink_to("/dev/zero")
    with pytest.raises(ImageError, match=r"device\.png`: this is a device, and only files are supported\.$"):
        decode(tmp_path / "device.png", channels=3)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.png"))
        with pytest.raises(ImageError, match=r"s\.png`: this is a socket, and only files are supported\.$"):
            decode(tmp_path / "s.png", channels=3)
    with pytest.raises(ImageError, match="this is a folder, and only files are supported"):
        decode(tmp_path, channels=3)


@pytest.mark.parametrize(
    ("mode", "form", "to_grey", "to_colour"),
    [
        ("L", "PNG", "", "from grey to colour"),
        ("1", "PNG", "", "from grey to colour"),
        ("I;16", "PNG", "", "from grey to colour"),
        ("RGB", "PNG", "from colour to grey", ""),
        ("CMYK", "JPEG", "from CMYK to grey", "from CMYK to colour"),
        ("P", "PNG", "from a palette to grey", "from a palette to colour"),
        ("LA", "PNG", "from grey with transparency to grey", "from grey with transparency to colour"),
        ("RGBA", "PNG", "from colour with transparency to grey", "from colour with transparency to colour"),
    ],
)
def test_how_the_colours_of_a_file_are_converted(tmp_path, mode, form, to_grey, to_colour):
    Image.new(mode, (3, 2)).save(tmp_path / "image", form)
    found = [decoding.conversion(tmp_path / "image", channels=channels) for channels in (1, 3)]
    assert found == [to_grey, to_colour]


def test_nothing_is_said_of_what_cannot_be_used(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    assert decoding.conversion(tmp_path / "text.png", channels=1) == ""
    assert decoding.conversion(tmp_path / "nowhere.png", channels=1) == ""

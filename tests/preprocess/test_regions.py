"""Windows of images: mirrored beyond the borders, and of TIFFs read by their parts."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fovea.errors import ImageError
from fovea.preprocess import decode, regions
from fovea.preprocess import decoding as decoding_module
from fovea.preprocess.regions import LargeTiff, Windows, image_size
from fovea.preprocess.windows import reflected

tifffile = pytest.importorskip("tifffile")


def picture(H=90, W=130, channels=3, seed=0):
    smooth = np.random.default_rng(seed).integers(0, 256, (H // 10 + 1, W // 10 + 1, channels), np.uint8)
    return smooth.repeat(10, 0).repeat(10, 1)[:H, :W]


def test_a_window_beyond_the_borders_is_the_image_mirrored():
    pixels = picture()
    with Windows(3) as windows:
        found = windows.read(pixels, left=-20, top=60, size=(50, 60))

    padded = np.pad(pixels, ((40, 40), (40, 40), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(found, padded[100:150, 20:80])


def test_an_image_is_mirrored_as_often_as_a_window_needs():
    np.testing.assert_array_equal(reflected(-4, 10, 2), np.pad(np.arange(2), 4, mode="symmetric"))


@pytest.mark.parametrize("form", ["tiles", "strips", "one strip", "deflated", "big-endian", "bigtiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_windows_of_a_tiff_are_those_of_the_whole(tmp_path, form, channels):
    pixels, path = picture(channels=channels), tmp_path / "large.tif"
    options = {
        "tiles": {"tile": (32, 48)},
        "strips": {"rowsperstrip": 7},
        "one strip": {"rowsperstrip": 90},
        "deflated": {"tile": (32, 32), "compression": "zlib", "predictor": True},
        "big-endian": {"byteorder": ">", "rowsperstrip": 16, "compression": "zlib"},
        "bigtiff": {"bigtiff": True, "tile": (16, 16)},
    }[form]
    tifffile.imwrite(path, pixels, photometric="rgb" if channels == 3 else "minisblack", **options)
    whole = decode(path, channels=channels)
    image = LargeTiff(path, channels=channels)

    assert image.size == (90, 130)
    for left, top, width, height in ((0, 0, 130, 90), (31, 5, 60, 40), (129, 89, 1, 1)):
        found = image.inside(left, top, width, height)
        np.testing.assert_array_equal(found, whole[top : top + height, left : left + width])
    image.close()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_what_pillow_compresses_is_read_by_parts(tmp_path, compression):
    path = tmp_path / "large.tiff"
    Image.fromarray(picture(300, 200)).save(path, compression=compression)
    image = LargeTiff(path, channels=3)

    np.testing.assert_array_equal(image.inside(11, 40, 150, 230), decode(path, channels=3)[40:270, 11:161])
    image.close()


def test_sixteen_bits_become_eight_as_in_a_whole_image(tmp_path):
    pixels, path = np.random.default_rng(0).integers(0, 65536, (40, 50), np.uint16), tmp_path / "deep.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", tile=(16, 16))
    image = LargeTiff(path, channels=1)

    np.testing.assert_array_equal(image.inside(0, 0, 50, 40), decode(path, channels=1))
    image.close()


def test_a_tiff_above_the_bound_is_read_by_windows_and_others_are_refused(tmp_path, monkeypatch):
    pixels = picture()
    tifffile.imwrite(tmp_path / "large.tif", pixels, tile=(32, 32), photometric="rgb")
    Image.fromarray(pixels).save(tmp_path / "large.png")
    monkeypatch.setattr(decoding_module, "MAX_PIXELS", 5000)
    with Windows(3) as windows:
        np.testing.assert_array_equal(windows.read(tmp_path / "large.tif", left=0, top=0, size=(90, 130)), pixels)
        with pytest.raises(ImageError, match=r"pixels, the limit; use a TIFF for images of any size"):
            windows.read(tmp_path / "large.png", left=0, top=0, size=(8, 8))

    assert image_size(tmp_path / "large.tif") == (90, 130)
    assert image_size(tmp_path / "large.png") is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"planarconfig": "separate", "photometric": "rgb"}, "plane by plane"),
        ({"dtype": np.float32}, "other than 8 or 16 bits"),
    ],
)
def test_what_cannot_be_read_by_parts_is_said(tmp_path, options, reason):
    path = tmp_path / "large.tif"
    dtype = options.pop("dtype", np.uint8)
    pixels = picture().transpose(2, 0, 1) if options else picture()[..., 0]
    tifffile.imwrite(path, pixels.astype(dtype), **options)

    with pytest.raises(ImageError, match=reason):
        LargeTiff(path, channels=3)


def test_threads_that_read_more_images_than_are_held_get_their_own_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(regions, "HELD", 2)
    for index in range(6):
        form = {"tile": (32, 32), "photometric": "rgb"}
        tifffile.imwrite(tmp_path / f"{index}.tif", picture(seed=index), **form)
        if index % 2:
            Image.fromarray(picture(seed=index)).save(tmp_path / f"{index}.png")
    monkeypatch.setattr(regions, "upright_size", lambda path: None if path.suffix == ".tif" else (90, 130))
    files = sorted(tmp_path.glob("*.*")) * 12
    with Windows(3) as windows, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda file: windows.read(file, left=5, top=9, size=(40, 50)), files))

    for file, window in zip(files, found, strict=True):
        np.testing.assert_array_equal(window, picture(seed=int(file.stem))[9:49, 5:55])


@pytest.mark.parametrize("kept", [0, 4, 10, 300, 2000])
def test_a_tiff_that_is_cut_short_is_an_error_of_one_line(tmp_path, kept):
    path = tmp_path / "large.tif"
    noise = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    tifffile.imwrite(path, noise, tile=(32, 32), photometric="rgb", compression="zlib")
    content = path.read_bytes()
    path.write_bytes(content[:kept])

    with pytest.raises(ImageError) as error:
        image = LargeTiff(path, channels=3)
        try:
            image.inside(0, 0, 130, 90)
        finally:
            image.close()
    assert "\n" not in str(error.value)


def test_a_window_takes_the_memory_of_its_parts_only(tmp_path):
    path = tmp_path / "large.tif"
    tifffile.memmap(path, shape=(6000, 6000), dtype=np.uint8, photometric="minisblack").flush()
    image = LargeTiff(path, channels=1)
    tracemalloc.start()
    image.inside(3000, 3000, 64, 64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    image.close()

    assert peak < 4_000_000

"""A model file and its exported form read the same images: byte by byte, or they refuse them in the same words."""

import io
import os
import struct

import numpy as np
import pytest
from bombs import chunk, encoded, png, scans, webp_canvas
from onnx_files import SIZE, card_values, write_onnx
from PIL import Image

from fovea import runtime
from fovea.model.bundle import load

WAYS = {
    "squash": {"fit": "squash"},
    "crop, grey": {"fit": "crop", "channels": 1, "mean": [0.0], "std": [1.0]},
    "letterbox": {"fit": "letterbox"},
    "a share": {"fit": "crop", "crop": 0.5},
}


def noise(H, W, *channels, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256 if dtype == np.uint8 else 65536, (H, W, *channels)).astype(dtype)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def animation():
    frames = [Image.fromarray(noise(9, 7, 3)), Image.new("RGB", (7, 9), "red")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def palette():
    image = Image.fromarray(noise(8, 8, 3)).quantize(16)
    return encoded(image, "PNG", transparency=bytes(range(0, 256, 16)))


def huge(side):
    """Return a PNG that says it is large, without what would fill it."""
    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\x78\x9c") + chunk(b"IEND", b"")


RGB = Image.fromarray(noise(37, 53, 3))
FILES = {
    "JPEG": lambda: encoded(RGB, "JPEG"),
    "progressive JPEG": lambda: encoded(RGB, "JPEG", progressive=True),
    "CMYK JPEG": lambda: encoded(Image.fromarray(noise(20, 30, 4), "CMYK"), "JPEG"),
    "turned JPEG": lambda: encoded(RGB, "JPEG", exif=turned(6)),
    "mirrored JPEG": lambda: encoded(RGB, "JPEG", exif=turned(7)),
    "large JPEG": lambda: encoded(Image.fromarray(noise(600, 900, 3)), "JPEG"),
    "grey JPEG": lambda: encoded(Image.fromarray(noise(20, 30)), "JPEG"),
    "16-bit grey PNG": lambda: encoded(Image.fromarray(noise(9, 12, dtype=np.uint16)), "PNG"),
    "16-bit RGB PNG": lambda: png(8, 8, depth=16),
    "RGBA PNG": lambda: encoded(Image.fromarray(noise(9, 9, 4)), "PNG"),
    "palette with transparency": palette,
    "one bit": lambda: encoded(Image.fromarray(noise(9, 9)).convert("1"), "PNG"),
    "one pixel": lambda: encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
    "one column": lambda: encoded(Image.fromarray(noise(300, 1, 3)), "PNG"),
    "animated GIF": animation,
    "WebP": lambda: encoded(RGB, "WEBP"),
    "WebP with alpha": lambda: encoded(Image.fromarray(noise(9, 9, 4)), "WEBP", lossless=True),
    "BMP": lambda: encoded(RGB, "BMP"),
    "TIFF": lambda: encoded(RGB, "TIFF", compression="tiff_lzw"),
    "float TIFF": lambda: encoded(Image.fromarray(np.ones((5, 5), np.float32)), "TIFF"),
    "truncated JPEG": lambda: encoded(RGB, "JPEG")[:-300],
    "truncated PNG": lambda: encoded(RGB, "PNG")[:200],
    "empty": lambda: b"",
    "text": lambda: b"<!DOCTYPE html><p>no image",
    "HEIC": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "huge dimensions": lambda: huge(10_000),
    "a canvas of gigabytes": lambda: webp_canvas(16_000, 16_000),
    "thousands of scans": lambda: scans(1000, 1000, 2000),
    "a chunk that lies": lambda: encoded(RGB, "PNG")[:33] + chunk(b"IDAT", b"no deflate"),
    "random bytes": lambda: os.urandom(1000),
}
OTHERS = {
    "array": lambda: noise(9, 12, 3),
    "grey array": lambda: noise(9, 12),
    "array with alpha": lambda: noise(9, 12, 4),
    "array of floats": lambda: np.zeros((4, 4, 3)),
    "array of two channels": lambda: noise(4, 4, 2),
    "empty array": lambda: np.zeros((0, 4, 3), np.uint8),
    "PIL image": lambda: RGB,
    "PIL palette": lambda: Image.open(io.BytesIO(palette())),
    "PIL turned": lambda: Image.open(io.BytesIO(encoded(RGB, "JPEG", exif=turned(8)))),
    "PIL float": lambda: Image.fromarray(np.ones((5, 5), np.float32)),
    "nothing": lambda: None,
    "no such file": lambda: "no/such/file.png",
    "a name with a NUL": lambda: "a\0b.png",
}


def said(read, image):
    """Return the bytes of a sample with its shape and type, or the kind of error and its words."""
    try:
        sample = read(image)
    except Exception as error:
        return type(error), str(error)
    return sample.dtype, sample.shape, sample.tobytes()


@pytest.fixture(scope="module", params=WAYS)
def both(request, tmp_path_factory):
    """Return the functions that read images of a model file and of an exported one, for one way to prepare them."""
    import torch

    from fovea import registry
    from fovea.card import Card
    from fovea.model.bundle import save_bundle

    folder = tmp_path_factory.mktemp("both")
    plain = card_values()
    preprocess = {**plain["preprocess"], **WAYS[request.param]}
    arguments = {**plain["arguments"], "c_in": preprocess["channels"]}
    card = {**plain, "preprocess": preprocess, "arguments": arguments}
    with torch.random.fork_rng():
        save_bundle(folder / "net.safetensors", registry.build("mlp", **arguments), Card.from_dict(card, source="net"))
    channels = preprocess["channels"]
    path = write_onnx(folder / "net.onnx", card=card, **onnx_for(channels))
    return load(folder / "net.safetensors").read, runtime.load(path).read


def onnx_for(channels):
    from onnx import TensorProto, helper
    from onnx_files import nodes, stored, tensors, value

    if channels == 3:
        return {}
    made = [*nodes()[:4], helper.make_node("Flatten", ["pooled"], ["flat"], axis=1)]
    made += [helper.make_node("MatMul", ["flat", "head"], ["logits"]), nodes()[-1]]
    return {
        "nodes": made,
        "tensors": [*tensors(), *stored(head=np.ones((channels, 3), np.float32))],
        "inputs": [value("images", TensorProto.UINT8, ["N", SIZE, SIZE, channels])],
    }


@pytest.mark.parametrize("name", FILES)
def test_files_and_their_bytes_are_read_alike(both, tmp_path, name):
    content = FILES[name]()
    path = tmp_path / "x.png"
    path.write_bytes(content)
    for image in (path, str(path), content):
        ours, theirs = (said(read, image) for read in both)
        assert ours == theirs
    assert said(both[1], path)[-1] == said(both[1], str(path))[-1]


@pytest.mark.parametrize("name", OTHERS)
def test_arrays_pil_images_and_what_is_none_are_read_alike(both, name):
    image = OTHERS[name]()
    ours, theirs = (said(read, image) for read in both)
    assert ours == theirs


def test_the_list_holds_what_is_read_and_what_is_refused(both):
    refused = [name for name, make in FILES.items() if isinstance(said(both[1], make())[0], type)]
    assert 10 <= len(refused) <= len(FILES) - 15 and "huge dimensions" in refused

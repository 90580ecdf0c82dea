"""Damaged images of the six formats, and bombs, through `fovea.predict`, `fovea.check` and decoding at full size."""

import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from fovea.errors import ImageError
from fovea.jobs.check import check
from fovea.jobs.predict import predict
from fovea.preprocess import Preprocess, decode, read_header
from tests.campaigns.batches import Finding, Kind, text_fault
from tests.campaigns.models import write_bundle
from tests.campaigns.mutation import EDGES, damaged, edge
from tests.support import bombs

IMAGE_MB = 48
"""`FOVEA_IMAGE_MB` of the campaign: small, so that headers need not ask for much to ask for too much."""
SPARE_MB = 16
"""For the answer, and what libraries keep."""
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


def pictures() -> list[tuple[str, bytes]]:
    """Return format and bytes of small images in all the forms that the formats know."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 4)).astype(np.uint8)
    smooth = (np.add.outer(np.arange(24), np.arange(32)) * 4).astype(np.uint8)
    rgb, rgba, grey = Image.fromarray(noise[..., :3]), Image.fromarray(noise), Image.fromarray(smooth)
    deep = Image.fromarray(smooth.astype(np.uint16) * 256 + 7)
    palette, bits = rgb.quantize(16), grey.convert("1")
    frames = [Image.fromarray(np.roll(noise[..., :3], n, 1)) for n in range(3)]
    exif = Image.Exif()
    exif[274] = 6
    saved = [
        *(("PNG", image, {}) for image in (grey, rgb, rgba, palette, bits, deep, rgba.convert("LA"))),
        *(("PNG", palette, {"transparency": 3}), ("PNG", grey, {"transparency": 5}), ("PNG", rgb, {"exif": exif})),
        ("PNG", frames[0], {"save_all": True, "append_images": frames[1:]}),
        *(("JPEG", image, {}) for image in (grey, rgb, rgb.convert("CMYK"))),
        *(("JPEG", rgb, {"progressive": True, "quality": q}) for q in (30, 95)),
        ("JPEG", rgb, {"exif": exif, "subsampling": 0, "optimize": True}),
        ("JPEG", grey, {"progressive": True, "restart_marker_blocks": 2}),
        *(("WEBP", rgb, {"lossless": flag}) for flag in (False, True)),
        *(("WEBP", rgba, {"lossless": flag}) for flag in (False, True)),
        ("WEBP", frames[0], {"save_all": True, "append_images": frames[1:], "exif": exif}),
        *(("GIF", image, {}) for image in (grey, rgb, palette)),
        ("GIF", palette, {"transparency": 2, "interlace": True}),
        ("GIF", frames[0], {"save_all": True, "append_images": frames[1:], "disposal": 2}),
        *(("BMP", image, {}) for image in (grey, rgb, rgba, palette, bits)),
        *(("TIFF", image, {}) for image in (grey, rgb, rgba, palette, bits, deep, rgb.convert("CMYK"))),
        *(("TIFF", rgb, {"compression": c}) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
        *(("TIFF", bits, {"compression": c}) for c in ("group3", "group4")),
        ("TIFF", deep, {"compression": "tiff_lzw"}),
        ("TIFF", frames[0], {"save_all": True, "append_images": frames[1:], "compression": "tiff_lzw"}),
        ("TIFF", grey.convert("F"), {}),
    ]
    made = [(form, bombs.encoded(image, form, **options)) for form, image, options in saved]
    deep_colour = [("PNG", bombs.png(20, 10, depth=16, kind=kind)) for kind in (2, 4, 6)]
    return [*made, *deep_colour, ("PNG", _interlaced()), ("BMP", _run_lengths()), ("TIFF", _tiled())]


def _interlaced() -> bytes:
    """Return a grey PNG of 8 x 8 zeros in the seven passes of Adam7."""
    sides = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
    rows = b"".join((b"\0" + bytes(W)) * H for W, H in sides)
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    chunks = bombs.chunk(b"IHDR", header) + bombs.chunk(b"IDAT", zlib.compress(rows)) + bombs.chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _run_lengths() -> bytes:
    """Return a BMP of 32 x 8 in run lengths of eight bits."""
    body = b"".join(bytes((32, row)) + b"\0\0" for row in range(8)) + b"\0\1"
    palette = b"".join(bytes((value, value, value, 0)) for value in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, 32, 8, 1, 8, 1, len(body), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def _tiled() -> bytes:
    """Return a grey TIFF of 32 x 32 in four raw tiles of 16 x 16."""
    tiles = bytes(range(256)) * 4
    first = 8 + 2 + 10 * 12 + 4
    offsets = first + len(tiles)
    entries = [(256, 4, 1, 32), (257, 4, 1, 32), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    entries += [(322, 4, 1, 16), (323, 4, 1, 16), (324, 4, 4, offsets), (325, 4, 4, offsets + 16)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    ends = struct.pack("<4I", *(first + 256 * n for n in range(4))) + struct.pack("<4I", *[256] * 4)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + tiles + ends


PICTURES = pictures()


def mutant(chance: Random) -> tuple[str, bytes]:
    """Return a name's suffix and the bytes of a damaged image; now and then of a bomb, or one that is not damaged."""
    act = chance.random()
    if act < 0.04:
        form, content = _bomb(chance)
        content = content if chance.random() < 0.5 else damaged(content, chance, near=64)
    else:
        form, content = chance.choice(PICTURES)
        if act > 0.05:
            others = [other for kind, other in PICTURES if kind == form or chance.random() < 0.05]
            fine = STRUCTURED.get(form, _header) if chance.random() < 0.6 else None
            content = fine(content, chance) if fine else damaged(content, chance, others=others, near=64)
    return SUFFIXES[form] if chance.random() < 0.95 else chance.choice(list(SUFFIXES.values())), content


def _bomb(chance: Random) -> tuple[str, bytes]:
    W, H = (chance.choice((1, 100, 1000, 3000, 4000)) for _ in range(2))
    act = chance.randrange(7)
    if act == 0:
        return "PNG", bombs.png(W, H, depth=chance.choice((8, 16)), kind=chance.choice((0, 2, 4, 6)))
    if act == 1:
        return "WEBP", bombs.webp_canvas(chance.choice((W, 16383, 1 << 24)), chance.choice((H, 16383)))
    if act == 2:
        return "JPEG", bombs.scans(min(W, 1000), min(H, 1000), chance.choice((2, 50, 2000)))
    if act == 3:
        image = Image.new(chance.choice(("L", "RGB", "CMYK")), (W, H))
        return "JPEG", bombs.encoded(image, "JPEG", progressive=chance.random() < 0.7)
    if act == 4:
        return "GIF", bombs.encoded(Image.new("P", (W, H)), "GIF")
    if act == 5:
        compression = chance.choice(("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"))
        return "TIFF", bombs.encoded(Image.new(chance.choice(("L", "RGB")), (W, H)), "TIFF", compression=compression)
    header = struct.pack("<IiiHHIIiiII", 40, W, H, 1, 8, 1, 2, 0, 0, 0, 0)
    return "BMP", b"BM" + struct.pack("<IHHI", 56, 0, 0, 54) + header + b"\0\1"


def _header(content: bytes, chance: Random) -> bytes:
    """Return bytes with one to three fields of the first 64 bytes at an edge."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at, value = chance.randrange(min(64, len(result))), edge(chance)
        result[at : at + len(value)] = value
    return bytes(result)


def _png(content: bytes, chance: Random) -> bytes:
    """Return a PNG with chunks damaged, doubled, dropped or exchanged, their checksums right again."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        length = struct.unpack(">I", content[at : at + 4])[0]
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(chance.randint(1, 3)):
        index = chance.randrange(len(chunks))
        kind, data = chunks[index]
        act = chance.randrange(6)
        if act < 3 and data:
            if kind in (b"IDAT", b"fdAT") and chance.random() < 0.7:
                skip = 4 if kind == b"fdAT" else 0
                try:
                    data = data[:skip] + zlib.compress(damaged(zlib.decompress(data[skip:]), chance))
                except zlib.error:
                    data = damaged(data, chance)
            else:
                data = _header(data, chance) if chance.random() < 0.5 else damaged(data, chance, near=16)
            chunks[index] = (kind, data)
        elif act == 3:
            chunks.insert(chance.randrange(len(chunks) + 1), (kind, data))
        elif act == 4 and len(chunks) > 1:
            del chunks[index]
        else:
            other = chance.randrange(len(chunks))
            chunks[index], chunks[other] = chunks[other], chunks[index]
    return content[:8] + b"".join(bombs.chunk(kind, data) for kind, data in chunks)


def _jpeg(content: bytes, chance: Random) -> bytes:
    """Return a JPEG with a segment damaged, its length kept or not, or doubled, dropped or moved."""
    segments, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        length = 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
        segments.append(content[at : at + length])
        at += length
    rest = content[at:]
    index = chance.randrange(len(segments))
    act = chance.randrange(6)
    if act < 3:
        head, body = segments[index][:4], segments[index][4:]
        segments[index] = head + (_header(body, chance) if body else b"")
    elif act == 3:
        segments.insert(chance.randrange(len(segments) + 1), segments[index])
    elif act == 4:
        del segments[index]
    else:
        scan = rest[: rest.index(b"\xff", 4)] if b"\xff" in rest[4:] else rest
        rest = scan * chance.randint(1, 4) + rest
    return content[:2] + b"".join(segments) + (damaged(rest, chance, near=32) if chance.random() < 0.3 else rest)


def _tiff(content: bytes, chance: Random) -> bytes:
    """Return a TIFF with entries of its first directory changed: tag, type, count or value."""
    order = "<" if content[:2] == b"II" else ">"
    result = bytearray(content)
    start = struct.unpack(order + "I", content[4:8])[0]
    count = struct.unpack(order + "H", content[start : start + 2])[0]
    for _ in range(chance.randint(1, 3)):
        at = start + 2 + 12 * chance.randrange(count)
        offset, size = chance.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2)))
        value = chance.choice((*EDGES, chance.randrange(1, 14), chance.randrange(254, 350), 65000))
        result[at + offset : at + offset + size] = struct.pack(order + "HI"[size // 4], value % 256**size)
    return bytes(result)


STRUCTURED = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff}


def warm(originals: Path) -> None:
    Image.init()
    for number, (form, content) in enumerate(PICTURES):
        path = originals / f"{number}{SUFFIXES[form]}"
        path.write_bytes(content)
        attempt(path, Random(number))


def write_model(folder: Path) -> None:
    write_bundle(folder / "model.safetensors")


def make(chance: Random, originals: Path, folder: Path) -> Path:
    suffix, content = mutant(chance)
    path = folder / f"image{suffix}"
    path.write_bytes(content)
    (folder / "model.safetensors").hardlink_to(originals / "model.safetensors")
    return path


def attempt(path: Path, chance: Random) -> str:
    """Predict from a file, and decode it in another way; whether it can be decoded must not depend on the way."""
    (found,) = predict(path.parent / "model.safetensors", [path], device="cpu")
    if found.error and (fault := text_fault(found.error)):
        raise Finding(fault)
    read_header(path)
    channels = chance.choice((1, 3))
    size = chance.choice(((8, 8), (64, 32), (224, 224)))
    fit = chance.choice(("crop", "letterbox", "squash"))
    plan = Preprocess(size=size, channels=channels, fit=fit, mean=(0.5,) * channels, std=(0.5,) * channels)
    try:
        pixels = decode(path, channels=channels) if chance.random() < 0.3 else plan.read(path.read_bytes())
    except ImageError as error:
        if fault := text_fault(str(error)):
            raise Finding(fault) from error
        return "refused"
    if pixels.dtype != np.uint8 or pixels.shape[2:] != (channels,):
        raise Finding(f"decoded as {pixels.dtype} {pixels.shape}")
    return "decoded"


def make_folder(chance: Random, _: Path, folder: Path) -> Path:
    for number in range(8):
        suffix, content = mutant(chance)
        if chance.random() < 0.5:
            suffix, content = ".png", bombs.encoded(Image.new("L", (9, 9), chance.randrange(256)), "PNG")
        file = folder / "images" / "ab"[number % 2] / f"{number}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder / "images"


def check_folder(path: Path, _: Random) -> None:
    found = check(path, html=path.parent / "page.html")
    for name, reason in found.bad_files:
        if fault := text_fault(reason):
            raise Finding(f"{name}: {fault}")


SETTINGS = {"FOVEA_IMAGE_MB": str(IMAGE_MB)}
KINDS = (
    Kind(
        name="images",
        make=make,
        attempt=attempt,
        prepare=write_model,
        warm=warm,
        peak_mb=2 * IMAGE_MB + SPARE_MB,  # it is used twice, and freed memory may stay with its thread
        seconds=10,
        settings=SETTINGS,
        batch=500,
        short=200,
    ),
    Kind(
        name="image-folders",
        make=make_folder,
        attempt=check_folder,
        prepare=write_model,
        warm=warm,
        peak_mb=3 * IMAGE_MB + SPARE_MB,
        settings=SETTINGS,
        short=20,
    ),
)

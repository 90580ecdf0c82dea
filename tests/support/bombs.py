"""Small files that ask for much, and what a child process takes at the most while it reads them."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

_MEASURE = """
import sys
from pathlib import Path
from fovea.preprocess import Preprocess, decode
{imports}
def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024
def plan(size, channels=3, fit="crop"):
    return Preprocess(size=(size, size), channels=channels, fit=fit, mean=(0.5,) * channels, std=(1.0,) * channels)
path = Path(sys.argv[1])
plan(8).read({small!r})  # whatever is imported or built on first use
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = status("VmRSS")
try:
    {code}
    said = "read"
except Exception as error:
    said = str(error)
print(status("VmHWM") - before, said.replace("\\n", " "))
"""


def peak_of(path, code="plan(224).read(path)", imports=""):
    """Return the most bytes that a fresh process takes while it runs `code` on `path`, and the error it got."""
    small = encoded(Image.new("RGB", (16, 16)), "PNG")
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE.format(small=small, code=code, imports=imports), str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    taken, _, said = done.stdout.strip().partition(" ")
    return int(taken), said


def encoded(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(W, H, *, depth=8, kind=2, extra=b""):
    """Return a PNG of zeros; `kind` 0 is grey, 2 RGB, 3 a palette, 4 grey with alpha, 6 RGBA."""
    row_bytes = 1 + (W * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind] * depth + 7) // 8
    packer, packed, left = zlib.compressobj(9), [], row_bytes * H
    while left:
        packed.append(packer.compress(bytes(min(left, 1 << 20))))
        left -= min(left, 1 << 20)
    header = struct.pack(">IIBBBBB", W, H, depth, kind, 0, 0, 0)
    body = chunk(b"IDAT", b"".join(packed) + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body + chunk(b"IEND", b"")


def webp_canvas(W, H):
    """Return an animation of one pixel on a canvas of W x H, in less than a hundred bytes."""
    pixel = encoded(Image.new("RGBA", (1, 1)), "WEBP", lossless=True)[12:]
    size = (W - 1).to_bytes(3, "little") + (H - 1).to_bytes(3, "little")
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + size
    frame = b"ANMF" + struct.pack("<I", 16 + len(pixel)) + bytes(12) + b"\x64\0\0\0" + pixel
    body = b"WEBP" + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def scans(W, H, count):
    """Return a progressive JPEG whose last scan comes `count` times more."""
    data = encoded(Image.new("RGB", (W, H)), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)

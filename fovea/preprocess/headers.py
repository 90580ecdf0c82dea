"""What an encoded image says of its size before a decoder sees it: the formats whose decoders take memory by more than
pixels. JPEG: ITU-T T.81, annex B. WebP: RFC 9649."""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE = frozenset({0x00, 0x01, 0xD8, *range(0xD0, 0xD8)})  # markers without a length
_SCAN = b"\xff\xda"
_BLOCK = 1 << 20


class Jpeg(NamedTuple):
    """What the header of a JPEG announces."""

    coefficient_bytes: int
    """Held for the whole image where it comes in several scans: progressive, or one scan per component."""
    scans: int
    pixels: int


_PNG = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_MOST_CHUNKS = 100_000


def late_texts(stream: BinaryIO) -> bool:
    """Tell whether a PNG says something of itself after its pixels, where its orientation may stand."""
    stream.seek(0)
    if stream.read(8) != _PNG:
        return False
    pixels = False
    for _ in range(_MOST_CHUNKS):
        head = stream.read(8)
        if len(head) < 8:
            return False
        pixels = pixels or head[4:] == b"IDAT"
        if pixels and head[4:] in _TEXTS:
            return True
        stream.seek(int.from_bytes(head[:4], "big") + 4, io.SEEK_CUR)
    return False


def webp_size(stream: BinaryIO) -> tuple[int, int] | None:
    """Return (width, height) of the canvas of a WebP; None for what is none, or damaged."""
    stream.seek(0)
    head = stream.read(30)
    chunk = head[12:16]
    if len(head) < 25 or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if chunk == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if len(head) < 30:
        return None
    if chunk == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    width, height = struct.unpack("<HH", head[26:30])
    return (width & 0x3FFF, height & 0x3FFF) if chunk == b"VP8 " else None


def read_jpeg(stream: BinaryIO) -> Jpeg:
    """Return what the header of a JPEG announces; a damaged one is left to the decoder, which finds no image in it."""
    frame = b""
    for marker, content in _segments(stream):
        if marker in _FRAMES:
            frame = content
        elif marker == 0xDA and len(frame) >= 7 and content:
            H, W = struct.unpack(">HH", frame[2:6])
            several = frame[0] in _PROGRESSIVE or content[0] < frame[6]
            return Jpeg(_coefficient_bytes(frame), 1 + _scans_left(stream), H * W) if several else Jpeg(0, 1, H * W)
    return Jpeg(0, 0, 0)


def _segments(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of the frame and of the first scan; a frame's marker stands before its content."""
    stream.seek(2)
    while byte := stream.read(1):
        if byte != b"\xff":  # junk, which decoders pass over
            continue
        while (kind := stream.read(1)) == b"\xff":
            pass
        if not kind or kind[0] in _ALONE:
            continue
        length = int.from_bytes(stream.read(2), "big") - 2
        if length < 0:
            return
        if kind[0] in _FRAMES:
            yield kind[0], kind + stream.read(length)
        elif kind == _SCAN[1:]:
            yield kind[0], stream.read(length)
            return
        else:
            stream.seek(length, io.SEEK_CUR)


def _coefficient_bytes(frame: bytes) -> int:
    """Two bytes for each value of each component, whole blocks of 8 x 8."""
    H, W, components = struct.unpack(">HHB", frame[2:7])
    sampling = [(byte >> 4 or 1, byte & 15 or 1) for byte in frame[8 : 8 + 3 * components : 3]]
    h_most, v_most = (max((pair[axis] for pair in sampling), default=1) for axis in (0, 1))
    across, down = -(-W // (8 * h_most)), -(-H // (8 * v_most))
    return sum(across * h * down * v * 128 for h, v in sampling)


def _scans_left(stream: BinaryIO) -> int:
    """Return how often a scan begins from here on; in the data of a scan the two bytes cannot stand."""
    count, last = 0, b""
    while block := stream.read(_BLOCK):
        count += (last + block).count(_SCAN)
        last = block[-1:]
    return count

"""Files that people take for images and that are not read: what they are, by content or suffix, and the way out.

None of these formats announces in a bounded header what its decoder takes, or it is not an image at all.
"""

import os
from typing import NamedTuple

HEAD_BYTES = 132
"""The first bytes of a file, which tell its format."""


class Foreign(NamedTuple):
    """A format that is not read."""

    name: str
    way_out: str = "convert it to JPEG or PNG"

    def __str__(self) -> str:
        return f"{self.name}, which is not supported; {self.way_out}"


HEIC, HEIF, AVIF = Foreign("a HEIC photograph"), Foreign("a HEIF photograph"), Foreign("an AVIF image")
JXL, JPEG_2000 = Foreign("a JPEG XL image"), Foreign("a JPEG 2000 image")
RAW = Foreign("a raw photograph", "develop it to JPEG, PNG or TIFF")
VIDEO = Foreign("a video", "save frames of it as JPEG or PNG")
PSD, SVG, PDF = Foreign("a Photoshop file"), Foreign("an SVG drawing"), Foreign("a PDF")
DICOM = Foreign("a DICOM file", "export it as PNG")
EXR, HDR = Foreign("an OpenEXR image"), Foreign("a Radiance HDR image")
POINTER = Foreign("a pointer of Git LFS", "fetch the file with `git lfs pull`")
PAGE = Foreign("a web page", "download the image again")
ICON = Foreign("an icon")

_BRANDS = {
    **dict.fromkeys(("heic", "heix", "hevc", "hevx", "heim", "heis", "hevm", "hevs"), HEIC),
    **dict.fromkeys(("avif", "avis"), AVIF),
    **dict.fromkeys(("mif1", "msf1", "mif2"), HEIF),
    "crx ": RAW,
}
_STARTS = (
    (b"\xff\x0a", JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JXL),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000),
    (b"\xff\x4f\xff\x51", JPEG_2000),
    *((start, RAW) for start in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    (b"8BPS", PSD),
    (b"%PDF", PDF),
    (b"<svg", SVG),
    (b"\x1aE\xdf\xa3", VIDEO),
    (b"\0\0\x01\xba", VIDEO),
    (b"FLV\x01", VIDEO),
    (b"v/1\x01", EXR),
    (b"#?RADIANCE", HDR),
    (b"version https://git-lfs", POINTER),
    (b"<!doctype html", PAGE),
    (b"<html", PAGE),
    (b"\0\0\x01\0", ICON),
)
PHOTOGRAPHS = {
    **dict.fromkeys((".heic", ".heics"), HEIC),
    **dict.fromkeys((".heif", ".heifs", ".hif"), HEIF),
    **dict.fromkeys((".avif", ".avifs"), AVIF),
    ".jxl": JXL,
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".jpf", ".j2c"), JPEG_2000),
    **dict.fromkeys((".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".orf", ".rw2"), RAW),
    **dict.fromkeys((".raf", ".pef", ".srw", ".x3f", ".3fr", ".erf", ".kdc", ".mrw", ".raw"), RAW),
}
"""Suffixes of photographs, which a folder of images is expected to be read with."""
_OTHERS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"), VIDEO),
    **dict.fromkeys((".psd", ".psb"), PSD),
    **dict.fromkeys((".svg", ".svgz"), SVG),
    **dict.fromkeys((".dcm", ".dicom"), DICOM),
    ".pdf": PDF,
    ".exr": EXR,
    ".hdr": HDR,
    ".ico": ICON,
}


def photograph(name: str) -> Foreign | None:
    """Return what a file is that its suffix calls a photograph, and that is not read."""
    return PHOTOGRAPHS.get(_suffix(name))


def by_suffix(name: str) -> Foreign | None:
    """Return what a file is by its suffix, where it is known and not read."""
    return photograph(name) or _OTHERS.get(_suffix(name))


def by_content(head: bytes) -> Foreign | None:
    """Return what a file is that begins with these `HEAD_BYTES` bytes, where it is known and not read."""
    if head[4:8] == b"ftyp":
        return _of_boxes(head)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return VIDEO
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR":
        return RAW
    if head[128:132] == b"DICM":
        return DICOM
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:5] == b"<?xml":
        return SVG if b"<svg" in head.lower() else None
    return next((kind for start, kind in _STARTS if _begins(start, head, text)), None)


def _begins(start: bytes, head: bytes, text: bytes) -> bool:
    return text[: len(start)].lower() == start if start[:1] == b"<" else head.startswith(start)


def _of_boxes(head: bytes) -> Foreign:
    """Return what a file in boxes (ISO/IEC 14496-12) is by its brand, of a general one by those it is compatible with.

    A brand that is not known is a video's.
    """
    brands = [head[first : first + 4].decode("latin-1") for first in (8, *range(16, min(len(head), head[3] or 16), 4))]
    known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    if known and known[0] is HEIF:
        return next((kind for kind in known if kind is not HEIF), HEIF)
    return _BRANDS.get(brands[0], VIDEO)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()

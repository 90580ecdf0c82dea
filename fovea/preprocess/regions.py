"""Windows of images that are too large to be decoded whole, or of which only windows are wanted.

A TIFF is read by its own tiles or strips, each of which is decoded as an image of its own; all other files are decoded
whole, within the bounds of `decode`. A window that reaches beyond its image shows it mirrored, the outermost pixels
repeated. Sizes are (H, W), pixels (H, W, C) uint8 0..255.
"""

import io
import logging
import math
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, Self, TypeVar

import numpy as np

from fovea.budget import IMAGE
from fovea.errors import FoveaError, ImageError, MissingDependencyError, first_line
from fovea.files import open_regular
from fovea.preprocess import as_pixels
from fovea.preprocess.decoding import Pixels, decode, upright_size
from fovea.preprocess.windows import mirrored

SUFFIXES = (".tif", ".tiff")
MAX_SIDE = 1_000_000
"""Pixels of a side of a TIFF that is read by parts."""
KEPT_BYTES = 100_000_000
"""Of decoded tiles and strips that are kept for the next window."""
HELD = 8
"""Images that are open at a time, fewer where they take as much memory as decoding one may."""
Found = TypeVar("Found")
ROWS_BYTES = 1 << 20
"""Of a strip that is not compressed, so much is read at a time."""
UNCOMPRESSED, JPEG = 1, 7
_TAGS = {"short": 3, "long": 4}
_PHOTOMETRICS = (0, 1, 2, 3, 6)
"""Grey, whatever is black, colours, palettes and YCbCr."""


class Image(Protocol):
    """An open image."""

    size: tuple[int, int]

    @property
    def bytes(self) -> int:
        """What it holds, at the most."""
        ...

    def inside(self, left: int, top: int, width: int, height: int) -> Pixels:
        """Return a window that lies in the image."""
        ...

    def close(self) -> None:
        """Close its file."""
        ...


def image_size(source: Path) -> tuple[int, int] | None:
    """Return (H, W) of an image that can be read by windows, from its header; None for what cannot be used.

    Raises: MissingDependencyError for a large TIFF where tifffile is not installed.
    """
    size = upright_size(source)
    if size is not None or source.suffix.lower() not in SUFFIXES:
        return size
    try:
        image = LargeTiff(source, channels=3)
    except ImageError:
        return None
    image.close()
    return image.size


@dataclass
class _Held:
    """An image that is open, or about to be; its lock is held while it is read."""

    image: Image | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        with self.lock:
            if self.image is not None:
                self.image.close()
            self.image = None


class Windows:
    """Reads windows of images, of which it keeps the last few open; for several threads. Close it at the end."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._open: OrderedDict[Path, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            self._open.popitem()[1].close()

    def size(self, source: Path | Pixels) -> tuple[int, int]:
        """Return (H, W) of an image. Raises: ImageError if it cannot be read."""
        return self._with_image(source, lambda image: image.size)

    def read(self, source: Path | Pixels, *, left: int, top: int, size: tuple[int, int]) -> Pixels:
        """Return the window of `size` (h, w) that begins at a place, perhaps outside: uint8 (h, w, C).

        Raises:
            ImageError: the image cannot be read.
            MissingDependencyError: it is a large TIFF, and tifffile is not installed.
        """
        return self._with_image(source, lambda image: mirrored(image.inside, image.size, left=left, top=top, size=size))

    def _with_image(self, source: Path | Pixels, use: Callable[[Image], Found]) -> Found:
        if not isinstance(source, Path):
            return use(Whole(as_pixels(source, channels=self.channels)))
        held = self._held(source)
        try:
            with held.lock:
                if held.image is None:
                    held.image = opened(source, channels=self.channels)
                return use(held.image)
        finally:
            if self._open.get(source) is not held:  # another thread needed its place
                held.close()

    def _held(self, source: Path) -> _Held:
        left = []
        with self._lock:
            if source not in self._open:
                while len(self._open) >= HELD or (self._open and self._held_bytes > IMAGE.bytes):
                    left.append(self._open.popitem(last=False)[1])
                self._open[source] = _Held()
            self._open.move_to_end(source)
            held = self._open[source]
        for each in left:
            each.close()
        return held

    @property
    def _held_bytes(self) -> int:
        return sum(held.image.bytes for held in self._open.values() if held.image is not None)


def opened(source: Path, *, channels: int) -> Image:
    """Return a file of which windows can be read: one that is decoded whole, or a large TIFF."""
    if source.suffix.lower() in SUFFIXES and upright_size(source) is None:
        return LargeTiff(source, channels=channels)
    try:
        return Whole(decode(source, channels=channels))
    except ImageError as error:
        if source.suffix.lower() in SUFFIXES and "decoding it would need" in str(error):
            return LargeTiff(source, channels=channels)
        if "pixels, the limit" in str(error):
            raise ImageError(f"{str(error).rstrip('.')}; use a TIFF for images of any size.") from error
        raise


class Whole:
    """An image that lies in memory."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.size: tuple[int, int] = pixels.shape[:2]
        self.bytes = pixels.nbytes

    def inside(self, left: int, top: int, width: int, height: int) -> Pixels:
        """Return a window that lies in the image."""
        return np.asarray(self.pixels[top : top + height, left : left + width])

    def close(self) -> None:
        """Do nothing."""


class Segment(NamedTuple):
    """A tile, a strip, or some rows of a strip that is not compressed."""

    left: int
    top: int
    size: tuple[int, int]
    """(H, W) as it is stored."""
    offset: int
    bytes: int


class LargeTiff:
    """The first page of a TIFF, read by its tiles or strips, the last of which are kept decoded.

    Raises: ImageError for one that is damaged, or is stored in another way than 8 or 16 bits, pixel by pixel.
    """

    def __init__(self, path: Path, *, channels: int) -> None:
        self.path, self.channels, self.bytes = path, channels, KEPT_BYTES
        self._kept: OrderedDict[int, Pixels] = OrderedDict()
        self._file = open_regular(path)
        try:
            self._page = _first_page(self._file, path)
            self.size: tuple[int, int] = (self._page.imagelength, self._page.imagewidth)
            self._check()
        except FoveaError:
            self._file.close()
            raise
        except Exception as error:  # damaged tags may raise anything
            self._file.close()
            raise ImageError(f"`{path}`: not a TIFF that can be read in tiles: {first_line(error)}.") from error

    def close(self) -> None:
        """Close its file."""
        self._file.close()

    def inside(self, left: int, top: int, width: int, height: int) -> Pixels:
        """Return a window that lies in the image. Raises: ImageError if a part of it is damaged."""
        try:
            return self._inside(left, top, width, height)
        except FoveaError:
            raise
        except Exception as error:  # damaged tags may raise anything
            raise ImageError(f"`{self.path}`: a tile of it cannot be read: {first_line(error)}.") from error

    def _inside(self, left: int, top: int, width: int, height: int) -> Pixels:
        window = np.empty((height, width, self.channels), np.uint8)
        for index in self._touched(left, top, width, height):
            segment = self._segment(index)
            pixels = self._decoded(index, segment)
            x0, y0 = max(left, segment.left), max(top, segment.top)
            x1 = min(left + width, segment.left + pixels.shape[1])
            y1 = min(top + height, segment.top + pixels.shape[0])
            window[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[
                y0 - segment.top : y1 - segment.top, x0 - segment.left : x1 - segment.left
            ]
        return window

    @property
    def _sides(self) -> tuple[int, int]:
        """(H, W) of a segment."""
        page = self._page
        if page.is_tiled:
            return page.tilelength, page.tilewidth
        strip = min(page.rowsperstrip, self.size[0])
        if page.compression == UNCOMPRESSED:
            # of a strip that is not compressed, some rows are read alone
            rows = max(1, ROWS_BYTES // self._row_bytes)
            return min(strip, rows) if strip >= self.size[0] else math.gcd(strip, rows), self.size[1]
        return strip, self.size[1]

    @property
    def _row_bytes(self) -> int:
        page = self._page
        return max(1, int(page.imagewidth * page.samplesperpixel * page.bitspersample // 8))

    def _touched(self, left: int, top: int, width: int, height: int) -> Iterator[int]:
        """Yield the numbers of the segments that a window shares pixels with."""
        h, w = self._sides
        across = -(-self.size[1] // w)
        for row in range(top // h, (top + height - 1) // h + 1):
            for column in range(left // w, (left + width - 1) // w + 1):
                yield row * across + column

    def _segment(self, index: int) -> Segment:
        page, (h, w) = self._page, self._sides
        row, column = divmod(index, -(-self.size[1] // w))
        if page.is_tiled:
            return Segment(column * w, row * h, (h, w), page.dataoffsets[index], page.databytecounts[index])
        top, strip = row * h, min(page.rowsperstrip, self.size[0])
        rows = min(h, self.size[0] - top)
        if page.compression != UNCOMPRESSED:
            return Segment(0, top, (rows, w), page.dataoffsets[row], page.databytecounts[row])
        number, line = divmod(top, strip)
        offset = page.dataoffsets[number] + line * self._row_bytes
        return Segment(0, top, (rows, w), offset, rows * self._row_bytes)

    def _decoded(self, index: int, segment: Segment) -> Pixels:
        if index not in self._kept:
            self._file.seek(segment.offset)
            content = self._file.read(segment.bytes)
            try:
                pixels = decode(_as_tiff(self._page, content, segment.size), channels=self.channels)
            except ImageError as error:
                raise ImageError(f"`{self.path}`: a tile of it cannot be decoded: {error}") from error
            if pixels.shape[:2] != segment.size:
                raise ImageError(f"`{self.path}`: a tile of it differs in size from its header.")
            self._kept[index] = pixels
            most = max(1, KEPT_BYTES // max(1, pixels.nbytes))
            while len(self._kept) > most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(index)
        return self._kept[index]

    def _check(self) -> None:
        page, (h, w) = self._page, self._sides
        faults = {
            "its sides are above 1,000,000 pixels": max(self.size) > MAX_SIDE or min(self.size) < 1,
            "its colours are stored plane by plane": page.planarconfig != 1 and page.samplesperpixel > 1,
            "it has other than 8 or 16 bits": page.bitspersample not in (8, 16) or page.sampleformat not in (1, None),
            "its colour format is not supported": page.photometric not in _PHOTOMETRICS,
            "it is stored turned": page.tags.valueof("Orientation", 1) != 1,
            "it has several layers": page.imagedepth != 1 or page.samplesperpixel > 4,
            "its header lists fewer tiles than it has": len(page.dataoffsets) < self._stored_parts(h, w)
            or len(page.databytecounts) < self._stored_parts(h, w),
        }
        if fault := next((text for text, found in faults.items() if found), ""):
            raise ImageError(f"`{self.path}`: it is too large to be decoded at once, and {fault}.")
        needed = 4 * h * w * page.samplesperpixel * page.bitspersample // 8
        if excess := IMAGE.excess(needed):
            kind = "tiles" if page.is_tiled else "strips"
            raise ImageError(f"`{self.path}`: each of its {kind} would need {excess}; store it in smaller tiles.")

    def _stored_parts(self, h: int, w: int) -> int:
        if self._page.is_tiled:
            return -(-self.size[0] // h) * -(-self.size[1] // w)
        return int(-(-self.size[0] // min(self._page.rowsperstrip, self.size[0])))


def _first_page(file: BinaryIO, path: Path) -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise MissingDependencyError(
            f"`{path.name}` is too large to be decoded at once; to read it in tiles: pip install 'fovea-cnn[tiff]'."
        ) from error
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # the error says what is wrong
    handle = tifffile.FileHandle(file, name=path.name, offset=0, size=file.seek(0, io.SEEK_END))
    return tifffile.TiffFile(handle).pages.first


def _as_tiff(page: Any, content: bytes, size: tuple[int, int]) -> bytes:
    """Return a part of a TIFF as a TIFF of its own, of one strip: what decodes files decodes it."""
    order = page.parent.byteorder
    numbers: dict[int, tuple[int, list[int]]] = {
        256: (_TAGS["long"], [size[1]]),
        257: (_TAGS["long"], [size[0]]),
        258: (_TAGS["short"], [page.bitspersample] * page.samplesperpixel),
        259: (_TAGS["short"], [int(page.compression)]),
        262: (_TAGS["short"], [int(page.photometric)]),
        273: (_TAGS["long"], [0]),
        277: (_TAGS["short"], [page.samplesperpixel]),
        278: (_TAGS["long"], [size[0]]),
        279: (_TAGS["long"], [len(content)]),
        284: (_TAGS["short"], [1]),
        317: (_TAGS["short"], [int(page.predictor)]),
    }
    for code, name in ((320, "ColorMap"), (338, "ExtraSamples"), (530, "YCbCrSubSampling")):
        if (value := page.tags.valueof(name)) is not None:
            values = np.atleast_1d(np.asarray(value)).ravel().tolist()
            numbers[code] = (_TAGS["short"], [int(each) for each in values])
    tables = page.jpegtables if int(page.compression) == JPEG else None
    return _written(order, numbers, tables, content)


def _written(order: str, numbers: dict[int, tuple[int, list[int]]], tables: bytes | None, content: bytes) -> bytes:
    """Return a TIFF of these tags whose one strip is `content`, which tag 273 points to."""
    packed = {
        code: (kind, len(values), struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values))
        for code, (kind, values) in numbers.items()
    }
    if tables:
        packed[347] = (7, len(tables), tables)  # JPEGTables, bytes of no type
    begin = 8 + 2 + 12 * len(packed) + 4
    data = {code: value for code, (_, _, value) in sorted(packed.items()) if len(value) > 4}
    places, at = {}, begin
    for code, value in data.items():
        places[code], at = at, at + len(value) + len(value) % 2
    packed[273] = (_TAGS["long"], 1, struct.pack(f"{order}I", at))
    with io.BytesIO() as stream:
        stream.write((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8))
        stream.write(struct.pack(f"{order}H", len(packed)))
        for code, (kind, count, value) in sorted(packed.items()):
            held = struct.pack(f"{order}I", places[code]) if code in places else value.ljust(4, b"\0")
            stream.write(struct.pack(f"{order}HHI", code, kind, count) + held)
        stream.write(bytes(4))
        for value in data.values():
            stream.write(value + bytes(len(value) % 2))
        stream.write(content)
        return stream.getvalue()

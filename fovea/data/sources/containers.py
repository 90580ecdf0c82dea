"""Opening zip and tar files of strangers: what their tables and headers hold is bounded before it is read.

The libraries read a name, a header or a table of contents whole, whatever size it announces.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

from fovea.budget import MEGABYTE, TABLE
from fovea.errors import DataError
from fovea.files import open_regular

MAX_HEADER_BYTES = 1 << 18
"""Of a long name, or of all attributes of one member of a tar; the longest path of Linux has 4,096."""
MAX_XZ_BYTES = 256 * MEGABYTE
"""What undoing xz may take: its highest level asks for 65 MB."""
ENTRY_BYTES = 16
"""What zipfile makes of each byte of the table of contents, at the most: an entry has 46 bytes and becomes 700."""

_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)


def check_table(stream: BinaryIO, name: Path) -> None:
    """Raise DataError if the table of contents of a zip would take more memory than is allowed; else rewind."""
    # as zipfile finds it; it says of what is no zip, where it is opened
    found = zipfile._EndRecData(stream)  # type: ignore[attr-defined]
    if found and (excess := TABLE.excess(ENTRY_BYTES * found[zipfile._ECD_SIZE])):  # type: ignore[attr-defined]
        raise DataError(f"`{name}`: its table of contents would need {excess}.")
    stream.seek(0)


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose table of contents fits into memory. Raises: DataError."""
    with open_regular(path) as stream:
        check_table(stream, path)
        with zipfile.ZipFile(stream) as opened:
            yield opened


def open_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Return a member of a zip, open for reading.

    Raises: NotImplementedError for a method of compression that may ask for any amount of memory.
    """
    if info.compress_type not in _METHODS:
        raise NotImplementedError(f"`{info.filename}` is compressed with method {info.compress_type}; use deflate")
    return opened.open(info)


@contextmanager
def opened_tar(path: Path) -> Iterator[tuple[tarfile.TarFile, BinaryIO]]:
    """Open a tar, compressed or not, to be read from front to back once; also the file below, which knows its place."""
    with ExitStack() as stack:
        stream = stack.enter_context(open_regular(path))
        plain = stack.enter_context(_decompressed(stream))
        # r|: from front to back; to seek back in a compressed tar is to unpack it again
        yield stack.enter_context(tarfile.open(fileobj=plain, mode="r|", tarinfo=_Bounded)), stream


def _decompressed(stream: BinaryIO) -> BinaryIO:
    start = stream.read(6)
    stream.seek(0)
    # tarfile's own way undoes 10 kB at a time, of which bzip2 can make 200 MB
    if start[:2] == b"\x1f\x8b":
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if start[:3] == b"BZh":
        return cast(BinaryIO, bz2.BZ2File(stream))
    if start == b"\xfd7zXZ\0":
        return io.BufferedReader(_Xz(stream), 1 << 16)
    return stream


class _Xz(io.RawIOBase):
    """What xz has compressed, undone within `MAX_XZ_BYTES`: the size of its dictionary stands in the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with what comes next, and return how many bytes that is."""
        while not self._decompressor.eof:
            block = self._stream.read(1 << 16) if self._decompressor.needs_input else b""
            if self._decompressor.needs_input and not block:
                raise EOFError("the compressed file is incomplete")
            if content := self._decompressor.decompress(block, len(buffer)):
                buffer[: len(content)] = content
                return len(content)
        return 0


class _Bounded(tarfile.TarInfo):
    """A member of a tar whose headers are bounded."""

    def _proc_member(self, archive: tarfile.TarFile) -> Self:
        """Read what follows the header of this member, as the library does."""
        if self.type in _HEADERS and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes; the limit is {MAX_HEADER_BYTES:,}")
        if self.type == tarfile.XGLTYPE:  # whose content is kept for all that follows
            total = getattr(archive, "_header_bytes", 0) + self.size
            archive._header_bytes = total  # type: ignore[attr-defined]
            if total > MAX_HEADER_BYTES:
                raise tarfile.ReadError(f"global headers of {total:,} bytes; the limit is {MAX_HEADER_BYTES:,}")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]

    def _refuse_sparse(self, *_: object) -> None:
        raise tarfile.ReadError("a member is stored as a sparse file; pack it without sparse files")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _proc_sparse = _refuse_sparse

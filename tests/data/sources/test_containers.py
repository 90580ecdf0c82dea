"""Archives that announce more than they hold: what a process takes at the most, and what it says."""

import bz2
import gzip
import io
import lzma
import struct
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from bombs import encoded, peak_of
from PIL import Image

from fovea.data.sources.archives import members, unpack
from fovea.data.sources.arrays import load_npz
from fovea.data.sources.idx import read_idx
from fovea.errors import DataError

measured = pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is asked of Linux")
MEGABYTE = 1_000_000
UNPACK = {"code": "unpack(path)", "imports": "from fovea.data.sources.archives import unpack"}
PICTURE = encoded(Image.new("RGB", (8, 8)), "PNG")


def header(kind, size, name="x"):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def packed_zeros(before, size, after, path, packer=None):
    """Write `before`, zeros and `after` as `.tar.gz`, without holding them."""
    with gzip.open(path, "wb", compresslevel=6) as sink:
        sink.write(before)
        while size:
            size -= sink.write(bytes(min(size, 1 << 20)))
        sink.write(after)
    return path


@measured
@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g", b"X"])
def test_a_header_of_a_gigabyte_is_refused_before_it_is_read(tmp_path, kind):
    path = packed_zeros(header(kind, 1 << 30), 1 << 27, b"", tmp_path / "x.tar.gz")
    taken, said = peak_of(path, **UNPACK)
    assert "cannot be unpacked: a header of 1,073,741,824 bytes; the limit is 262,144." in said
    assert taken < 30 * MEGABYTE


@measured
def test_a_bzip2_bomb_is_undone_little_by_little(tmp_path):
    packer = bz2.BZ2Compressor()
    block = header(b"0", 8 << 30, "a/notes.txt") + bytes(512)
    with open(tmp_path / "x.tar.bz2", "wb") as sink:
        sink.write(packer.compress(block))
        for _ in range(400):
            sink.write(packer.compress(bytes(1 << 20)))
        sink.write(packer.flush())
    taken, said = peak_of(tmp_path / "x.tar.bz2", **UNPACK)
    assert "cannot be unpacked" in said or "contains more than" in said
    assert taken < 40 * MEGABYTE


def test_a_dictionary_of_gigabytes_is_refused(tmp_path):
    data = bytearray(
        lzma.compress(header(b"0", 0) + bytes(1024), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])
    )
    length = (data[12] + 1) * 4  # of the block's header; the dictionary's size is the byte after its filter's two
    at = data.index(b"\x21\x01", 12) + 2
    data[at] = 38  # 2 GB
    data[12 + length - 4 : 12 + length] = struct.pack("<I", zlib.crc32(bytes(data[12 : 12 + length - 4])))
    (tmp_path / "x.tar.xz").write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be unpacked: Memory usage limit( was)? exceeded\.$"):
        unpack(tmp_path / "x.tar.xz")


@pytest.mark.parametrize("opened", [None, gzip.open, bz2.open, lzma.open])
def test_every_compression_is_read(tmp_path, opened):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a/1.png", "b/" + "long" * 40 + "/ü.png"):
            info = tarfile.TarInfo(name)
            info.size = len(PICTURE)
            tar.addfile(info, io.BytesIO(PICTURE))
    path = tmp_path / "x.tar"
    with open(path, "wb") if opened is None else opened(path, "wb") as sink:
        sink.write(stream.getvalue())
    found = {member.name: member.open().read() for member in members(path)}
    assert found == {"a/1.png": PICTURE, "b/" + "long" * 40 + "/ü.png": PICTURE}


def test_many_headers_in_a_row_are_a_damaged_archive(tmp_path):
    chain = (header(b"L", 512) + b"x".ljust(512, b"\0")) * 3000
    (tmp_path / "x.tar").write_bytes(chain + header(b"0", 0) + bytes(1024))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(tmp_path / "x.tar")


def test_global_headers_are_bounded_together(tmp_path):
    value = b"%06d k=" % (100_000) + b"v" * (100_000 - 10) + b"\n"
    block = header(b"g", len(value)) + value.ljust(-(-len(value) // 512) * 512, b"\0")
    (tmp_path / "x.tar").write_bytes(block * 4 + header(b"0", 0) + bytes(1024))
    with pytest.raises(DataError, match=r"global headers of 300,\d+ bytes; the limit is 262,144"):
        unpack(tmp_path / "x.tar")


def test_sparse_members_are_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(header(b"S", 0, "a/1.png") + bytes(1024))
    with pytest.raises(DataError, match="stored as a sparse file; pack it without sparse files"):
        unpack(tmp_path / "x.tar")


# zip


@measured
def test_a_table_of_contents_is_bounded_before_it_is_read(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for index in range(50_000):
            archive.writestr(zipfile.ZipInfo(f"{index}"), b"")
    monkeypatch.setenv("FOVEA_TABLE_MB", "30")
    taken, said = peak_of(tmp_path / "x.zip", **UNPACK)
    assert "its table of contents would need " in said and "`FOVEA_TABLE_MB=" in said
    assert taken < 5 * MEGABYTE
    monkeypatch.setenv("FOVEA_TABLE_MB", "100")
    taken, said = peak_of(tmp_path / "x.zip", **UNPACK)
    assert said == "read" and taken < 100 * MEGABYTE


def test_a_method_with_a_dictionary_of_any_size_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a/1.png", PICTURE)
    with pytest.raises(DataError, match=r"`a/1\.png` is compressed with method 14; use deflate\.$"):
        unpack(tmp_path / "x.zip")


# arrays


@measured
def test_a_key_that_is_not_wanted_is_not_read(tmp_path):
    images = np.arange(40 * 8 * 8, dtype=np.uint8).reshape(40, 8, 8)
    np.savez_compressed(
        tmp_path / "x.npz", images=images, labels=np.arange(40) % 2, extra=np.zeros(300 * MEGABYTE, np.uint8)
    )
    code = "load_npz(path)"
    taken, said = peak_of(tmp_path / "x.npz", code, "from fovea.data.sources.arrays import load_npz")
    assert said == "read" and taken < 40 * MEGABYTE


def test_arrays_that_announce_too_much_are_refused_unread(tmp_path):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**6, 1)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", stream.getvalue())
        archive.writestr("labels.npy", stream.getvalue())
    with pytest.raises(DataError, match=r"its arrays would need 2,000,000,000 MB, more than .* `FOVEA_TABLE_MB="):
        load_npz(tmp_path / "x.npz")


def test_an_idx_file_that_announces_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_TABLE_MB", "100")
    with gzip.open(tmp_path / "x.gz", "wb") as sink:
        sink.write(struct.pack(">HBBIII", 0, 8, 3, 1000, 1000, 1000))
    with pytest.raises(DataError, match=r"would need 2,000 MB, more than the 100 MB allowed"):
        read_idx(tmp_path / "x.gz", dimensions=3)

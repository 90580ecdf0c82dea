import sys

import numpy as np
import pytest
from bombs import encoded, noise, peak_of
from PIL import Image

from fovea.data.sources.parquet import load_parquet
from fovea.data.sources.parquet_pages import MAX_ROWS_AT_ONCE, Page, _chunks, _pages, rows_at_once
from fovea.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

measured = pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is asked of Linux")
MEGABYTE = 1_000_000
LOAD = {
    "code": "load_parquet(path)",
    "imports": "import pyarrow.parquet\nfrom fovea.data.sources.parquet import load_parquet",
}


def write(path, images, **options):
    pq.write_table(pa.table({"image": images, "label": [index % 2 for index in range(len(images))]}), path, **options)
    return path


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_pages_are_followed_to_the_end_of_each_column(tmp_path, version, compression):
    rng = np.random.default_rng(0)
    images = [rng.bytes(5000) for _ in range(2000)]
    options = {"compression": compression, "data_page_version": version, "row_group_size": 700}
    file = write(tmp_path / "x.parquet", images, **options)
    metadata = pq.ParquetFile(file).metadata
    with file.open("rb") as stream:
        for chunk in _chunks(metadata, ["image", "label"]):
            pages = list(_pages(stream, chunk, file))
            # the sizes in the footer count the headers too
            assert 0 < sum(page.packed_bytes for page in pages) <= chunk.total_compressed_size
            left = chunk.total_uncompressed_size - sum(page.full_bytes for page in pages)
            assert 0 < left <= 200 * len(pages)
            values = [page.values for page in pages[1 if chunk.has_dictionary_page else 0 :]]
            assert sum(values) == chunk.num_values
    # of a dictionary each row may repeat the largest value, which may be all of it
    assert rows_at_once(file, metadata, ["image"]) >= 20
    assert rows_at_once(file, metadata, ["label"]) == MAX_ROWS_AT_ONCE


def test_rows_share_what_pages_without_a_dictionary_hold():
    assert Page(10 * MEGABYTE, 10 * MEGABYTE, 1000).rows_at_once == MAX_ROWS_AT_ONCE
    assert Page(10 * MEGABYTE, 10 * MEGABYTE, 1).rows_at_once == 8  # 400 / (5 x 10)
    assert Page(10 * MEGABYTE, 10 * MEGABYTE, 1000, is_dictionary=True).rows_at_once == 8
    assert Page(900 * MEGABYTE, 900 * MEGABYTE, 1000).rows_at_once == 1


@measured
def test_one_large_value_that_every_row_repeats_is_held_few_times(tmp_path):
    picture = encoded(Image.fromarray(noise(2500, 2500, 3)), "BMP")
    file = write(tmp_path / "x.parquet", [picture] * 24, compression="zstd")
    with_dictionary = pq.ParquetFile(file).metadata.row_group(0).column(0)
    assert with_dictionary.has_dictionary_page and file.stat().st_size < 25 * MEGABYTE
    taken, said = peak_of(file, **LOAD)
    assert said == "read" and taken < 450 * MEGABYTE  # 24 x 19 MB are 450, and several times that at once


@measured
def test_a_page_that_becomes_thousands_of_times_larger_is_refused(tmp_path):
    file = write(tmp_path / "x.parquet", [bytes(100 * MEGABYTE)] * 3, compression="zstd")
    assert file.stat().st_size < 200_000
    taken, said = peak_of(file, **LOAD)
    assert "bytes that becomes 100 MB; images do not shrink so." in said
    assert taken < 30 * MEGABYTE


@measured
def test_a_column_that_is_not_wanted_may_be_anything(tmp_path):
    picture = encoded(Image.new("RGB", (8, 8)), "PNG")
    table = {"image": [picture] * 8, "label": [0, 1] * 4, "more": [bytes(30 * MEGABYTE)] * 8}
    pq.write_table(pa.table(table), tmp_path / "x.parquet", compression="zstd")
    taken, said = peak_of(tmp_path / "x.parquet", **LOAD)
    assert said == "read" and taken < 60 * MEGABYTE


def test_too_many_rows_or_values_are_refused_before_they_are_read(tmp_path, monkeypatch):
    file = write(tmp_path / "x.parquet", [b"x"] * 100)
    monkeypatch.setattr("fovea.data.sources.parquet_pages.MAX_VALUES", 50)
    with pytest.raises(DataError, match="has 100 values in a group of rows; write smaller groups"):
        load_parquet(file)
    monkeypatch.setattr("fovea.data.sources.parquet.MAX_MEMBERS", 50)
    with pytest.raises(DataError, match="has 100 rows; at most 50 are read of one"):
        load_parquet(file)


def test_damaged_headers_of_pages_are_data_errors(tmp_path):
    file = write(tmp_path / "x.parquet", [bytes([index]) * 50 for index in range(20)])
    data = bytearray(file.read_bytes())
    for start in range(4, 60):
        for value in (0, 255):
            changed = data.copy()
            changed[start] = value
            file.write_bytes(changed)
            try:
                load_parquet(file)
            except DataError as error:
                assert "\n" not in str(error)

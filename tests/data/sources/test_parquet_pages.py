import subprocess
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
    with file.open("rb") as stream:
        for chunk in _chunks(stream, ["image", "label"], file):
            pages = list(_pages(stream, chunk, file))
            # the sizes in the footer count the headers too
            assert 0 < sum(page.packed_bytes for page in pages) <= chunk.packed_bytes
            left = chunk.full_bytes - sum(page.full_bytes for page in pages)
            assert 0 < left <= 200 * len(pages)
            assert sum(page.values for page in pages if not page.is_dictionary) == chunk.values
    # of a dictionary each row may repeat the largest value, which may be all of it
    assert rows_at_once(file, ["image"]) >= 20
    assert rows_at_once(file, ["label"]) == MAX_ROWS_AT_ONCE


def test_the_footer_is_read_as_the_library_reads_it(tmp_path):
    table = pa.table({"a": [{"b": [1, 2], "c": "x"}] * 9, "a.b": list(range(9)), "d": [b"z" * 99] * 9})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=4)
    groups = pq.ParquetFile(tmp_path / "x.parquet").metadata
    columns = [groups.row_group(n).column(i) for n in range(3) for i in range(groups.row_group(n).num_columns)]
    with (tmp_path / "x.parquet").open("rb") as stream:
        found = _chunks(stream, ["a", "d"], tmp_path / "x.parquet")
    first = [min(column.data_page_offset, column.dictionary_page_offset or 1 << 60) for column in columns]
    assert [chunk.column for chunk in found] == [column.path_in_schema for column in columns]
    assert [chunk.first for chunk in found] == first
    assert [chunk.values for chunk in found] == [column.num_values for column in columns]
    assert [chunk.packed_bytes for chunk in found] == [column.total_compressed_size for column in columns]
    assert [chunk.full_bytes for chunk in found] == [column.total_uncompressed_size for column in columns]


CHECKED = """
import sys
from pathlib import Path
from fovea.data.sources.parquet import load_parquet
from fovea.errors import DataError
try:
    load_parquet(Path(sys.argv[1]))
except DataError as error:
    print(error)
"""


def test_statistics_that_end_the_library_are_refused(tmp_path):
    """Asked for the facts of a column whose counts of levels are one too few, pyarrow aborts."""
    file = write(tmp_path / "x.parquet", [b"1", b"2"])
    content = file.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    data, footer = content[: -8 - length], content[-8 - length : -8]
    # `SizeStatistics` of the labels: no levels of repetition, and counts 0 and 2 of levels of definition
    footer = footer.replace(bytes.fromhex("3c29061926000400"), bytes.fromhex("3c290619160000"))
    assert len(footer) == length - 1
    file.write_bytes(data + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    done = subprocess.run([sys.executable, "-c", CHECKED, str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "cannot be read as Parquet" in done.stdout


def test_text_that_is_none_is_refused_in_one_line(tmp_path):
    table = pa.table({"image": [b"1", b"2"], "label": ["catcat", "dogdog"]})
    pq.write_table(table, tmp_path / "x.parquet", compression="none")
    content = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(content.replace(b"catcat", b"cat\xffat"))
    with pytest.raises(DataError, match="cannot be read as Parquet: 'utf-8' codec"):
        load_parquet(tmp_path / "x.parquet")


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
    assert "bytes that expands to 100 MB; images do not compress that well." in said
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
    with pytest.raises(DataError, match="has 100 rows; the limit is 50"):
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

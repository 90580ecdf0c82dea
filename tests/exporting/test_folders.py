import pytest

from fovea.errors import StorageError, UsageError
from fovea.exporting.folders import MARK, write_folder

FILES = {"index.html": b"page", "parts/a.bin": b"a", MARK: b"{}"}


def test_all_files_stand_in_the_folder_and_nothing_beside_it(tmp_path):
    write_folder(tmp_path / "out", FILES)
    assert (tmp_path / "out" / "parts" / "a.bin").read_bytes() == b"a"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_earlier_export_is_replaced_whole(tmp_path):
    write_folder(tmp_path / "out", {**FILES, "old": b""})
    write_folder(tmp_path / "out", FILES)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["index.html", "parts", MARK])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_filled_and_one_of_other_files_is_not(tmp_path):
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", FILES)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="contains other files"):
        write_folder(tmp_path / "own", FILES)
    assert (tmp_path / "own" / "thesis.txt").exists()


def test_a_file_in_its_place_is_kept(tmp_path):
    (tmp_path / "out").write_text("kept")
    with pytest.raises(UsageError, match="is a file"):
        write_folder(tmp_path / "out", FILES)


def test_what_was_there_stays_where_writing_fails(tmp_path):
    write_folder(tmp_path / "out", FILES)
    with pytest.raises(StorageError, match="cannot be written"):
        write_folder(tmp_path / "out", {**FILES, "n" * 300: b""})
    assert (tmp_path / "out" / "index.html").read_bytes() == b"page"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

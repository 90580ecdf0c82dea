import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from fovea.data.sources import archives
from fovea.data.sources.archives import stem, unpack
from fovea.data.sources.containers import open_member
from fovea.errors import DataError, StorageError
from fovea.storage import cache_root

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:" + {"tgz": "gz", "tar": ""}.get(path.name.split(".")[-1], path.suffix[1:])) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def tar_with(path: Path, info: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        archive.addfile(info)
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_images_come_out_as_they_went_in(tmp_path, suffix):
    archive = pack(tmp_path / f"pets{suffix}", {"a/1.png": b"one", "b/2.JPG": b"two" * 10_000})
    assert content_of(unpack(archive)) == {"a/1.png": b"one", "b/2.JPG": b"two" * 10_000}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_name_loses_its_whole_suffix(suffix):
    assert stem(Path(f"data/pets.v2{suffix}")) == "pets.v2"


def test_only_images_come_out(tmp_path):
    files = {"a/1.png": b"1", "a/run.sh": b"rm", "__MACOSX/a/1.png": b"x", "a/.2.png": b"x", "b/3.png": b"3"}
    assert content_of(unpack(pack(tmp_path / "x.zip", files))) == {"a/1.png": b"1", "b/3.png": b"3"}


def test_a_folder_around_everything_is_stepped_into(tmp_path):
    folder = unpack(pack(tmp_path / "x.zip", {"pets/v1/a/1.png": b"1", "pets/v1/b/2.png": b"2"}))
    assert sorted(os.listdir(folder)) == ["a", "b"]


def test_a_part_alone_is_not_stepped_into(tmp_path):
    folder = unpack(pack(tmp_path / "x.zip", {"pets/test/a/1.png": b"1", "pets/test/b/2.png": b"2"}))
    assert os.listdir(folder) == ["test"]


def test_the_second_call_unpacks_nothing(tmp_path, monkeypatch):
    archive = pack(tmp_path / "x.zip", {"a/1.png": b"1", "b/2.png": b"2"})
    first = unpack(archive)
    monkeypatch.setattr(archives, "_extract", lambda *_, **__: pytest.fail("unpacked again"))
    assert unpack(archive) == first


def test_a_changed_archive_is_unpacked_again(tmp_path):
    archive = pack(tmp_path / "x.zip", {"a/1.png": b"1", "b/2.png": b"2"})
    unpack(archive)
    pack(archive, {"a/1.png": b"new", "b/2.png": b"2"})
    assert content_of(unpack(archive))["a/1.png"] == b"new"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_progress_tells_how_far_into_the_archive(tmp_path, suffix):
    heard = []
    noise = [os.urandom(200_000) for _ in range(4)]
    archive = pack(tmp_path / f"x{suffix}", {f"a/{number}.png": content for number, content in enumerate(noise)})
    unpack(archive, progress=lambda *report: heard.append(report))
    size = archive.stat().st_size
    assert [report[::2] for report in heard] == 4 * [(f"unpacking x{suffix}", size)]
    done = [report[1] for report in heard]
    assert done == sorted(set(done)) and done[0] < size / 4 and size / 2 < done[-1] <= size


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("name", ["../1.png", "a/../../1.png", "/tmp/1.png", "..\\1.png", "C:\\1.png", "C:1.png"])
def test_no_path_leads_outside(tmp_path, suffix, name):
    archive = pack(tmp_path / f"x{suffix}", {"a/0.png": b"0", name: b"1"})
    with pytest.raises(DataError, match="is refused: its member `.*` would be written outside the folder"):
        unpack(archive)
    assert_nothing_left(tmp_path, archive)


def assert_nothing_left(tmp_path: Path, archive: Path) -> None:
    assert not any(path.is_file() for path in tmp_path.rglob("*") if path != archive)
    assert not any((cache_root() / "archives").iterdir())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("a/1.png")
    info.type, info.linkname = kind, "/etc/passwd"
    archive = tar_with(tmp_path / "x.tar", info)
    with pytest.raises(DataError, match="its member `a/1.png` is a link or device"):
        unpack(archive)
    assert_nothing_left(tmp_path, archive)


def test_links_in_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("a/1.png")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or device.*unpack it yourself"):
        unpack(tmp_path / "x.zip")


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(DataError, match="contains more than 2 files or .* bytes"):
        unpack(pack(tmp_path / "x.zip", {f"{index}.png": b"" for index in range(3)}))


@pytest.mark.parametrize("name", ["b.png", "bomb.bin"])
def test_too_many_bytes_are_refused_before_they_are_written(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
    archive = pack(tmp_path / "x.tar.gz", {"a.png": b"0" * 500, name: b"0" * 501})
    with pytest.raises(DataError, match="contains more than .* files or 1000 bytes"):
        unpack(archive)
    assert_nothing_left(tmp_path, archive)


def test_the_same_name_twice_is_refused(tmp_path, monkeypatch):
    members = []
    monkeypatch.setattr(archives, "open_member", lambda *given: members.append(open_member(*given)) or members[-1])
    with pytest.warns(UserWarning, match="Duplicate name"):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("a.png", b"1")
            archive.writestr("a.png", b"2")
    with pytest.raises(DataError, match=r"contains `a.png` twice"):
        unpack(tmp_path / "x.zip")
    assert [member.closed for member in members] == [True, True]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz", ".tar"])
def test_a_truncated_archive_is_refused_and_leaves_nothing(tmp_path, suffix):
    archive = pack(tmp_path / f"x{suffix}", {"a/1.png": os.urandom(50_000), "b/2.png": os.urandom(50_000)})
    archive.write_bytes(archive.read_bytes()[:70_000])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive)
    assert_nothing_left(tmp_path, archive)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_no_archive_is_refused(tmp_path, suffix):
    archive = tmp_path / f"x{suffix}"
    archive.write_bytes(b"hello" * 1000)
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive)


def test_a_cache_that_cannot_be_written_is_said_so(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="Cannot fill the cache: .*set `FOVEA_CACHE` to a folder on another disk"):
        unpack(pack(tmp_path / "x.zip", {"a/1.png": b"1"}))


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch):
    monkeypatch.delenv("FOVEA_CACHE")
    assert cache_root() == Path.home() / ".cache" / "fovea"


def test_a_name_that_no_disk_holds_is_the_archives_fault(tmp_path):
    archive = pack(tmp_path / "x.zip", {f"a/{'x' * 300}.png": b"1"})
    with pytest.raises(DataError, match="cannot be unpacked: File name too long"):
        unpack(archive)
    assert_nothing_left(tmp_path, archive)


def test_a_place_before_the_beginning_is_the_archives_fault(tmp_path):
    archive = pack(tmp_path / "x.zip", {"a/0.png": b"1"})
    content = bytearray(archive.read_bytes())
    end = content.rindex(b"PK\5\6")
    content[end + 16 : end + 20] = (1 << 31).to_bytes(4, "little")  # where the table of contents begins
    archive.write_bytes(content)
    with pytest.raises(DataError, match="cannot be unpacked: Invalid argument"):
        unpack(archive)


def test_what_an_archive_says_in_an_error_is_shortened(tmp_path):
    archive = pack(tmp_path / "x.zip", {"a/0.png": b"1" * 5000})
    content = bytearray(archive.read_bytes())
    content[26:28] = (4000).to_bytes(2, "little")  # the length of the name in the member's own header
    archive.write_bytes(content)
    with pytest.raises(DataError, match="cannot be unpacked: File name in directory") as caught:
        unpack(archive)
    assert len(str(caught.value)) < 500


def test_a_member_without_a_name_is_passed_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/0.png", b"1")
        archive.writestr("_", b"2")
        archive.infolist()[1].filename = ""  # in the table of contents
    content = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(content.replace(b"\1\0\0\0_2", b"\0\0\0\0_2"))
    assert zipfile.ZipFile(tmp_path / "x.zip").namelist() == ["a/0.png", ""]
    assert content_of(unpack(tmp_path / "x.zip")) == {"0.png": b"1"}


def test_a_name_that_is_no_text_is_the_archives_fault(tmp_path):
    archive = pack(tmp_path / "x.zip", {"a/\u00e9.png": b"1"})
    archive.write_bytes(archive.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))
    with pytest.raises(DataError, match="cannot be unpacked: 'utf-8' codec can't decode"):
        unpack(archive)

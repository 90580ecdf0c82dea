import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from fovea.data.sources.idx import idx_files, load_idx, read_idx
from fovea.errors import DataError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


def write(path: Path, array: np.ndarray, kind: int = 8, cut: int = 0) -> Path:
    content = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    content = content[: len(content) - cut]
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def folder_of(tmp_path: Path, suffix: str = "") -> tuple[Path, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 5))
    folder = tmp_path / "letters"
    folder.mkdir()
    for stem, count in (("train", 6), ("t10k", 2)):
        write(folder / f"{stem}-images-idx3-ubyte{suffix}", pixels[:count])
        write(folder / f"{stem}-labels-idx1-ubyte{suffix}", np.array([9, 10, 9, 10, 9, 9])[:count])
    return folder, pixels


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_both_parts_are_read(tmp_path, suffix):
    folder, pixels = folder_of(tmp_path, suffix)
    dataset = load_idx(folder)
    assert dataset.name == "letters" and dataset.classes == ("9", "10") and dataset.native_size == (4, 5)
    assert np.array_equal(dataset.parts["train"].pixels[..., 0], pixels) and dataset.channels == 1
    assert dataset.parts["train"].labels.tolist() == [0, 1, 0, 1, 0, 0]
    assert dataset.parts["test"].labels.tolist() == [0, 1]


def test_a_folder_without_idx_files_has_none(tmp_path):
    assert idx_files(tmp_path) == {}
    write(tmp_path / "train-images-idx3-ubyte", np.zeros((1, 2, 2)))
    assert idx_files(tmp_path) == {}


@pytest.mark.parametrize("change", [{"kind": 9}, {"cut": 1}, {"cut": 13}])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_file_is_refused(tmp_path, suffix, change):
    file = write(tmp_path / f"x{suffix}", np.zeros((2, 3, 3)), **change)
    with pytest.raises(DataError, match="x.*is (not an idx file of unsigned bytes in 3|damaged: its header says)"):
        read_idx(file, dimensions=3)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x08\x03\0\0"])
def test_a_header_cut_short_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read: .* Download it again"):
        read_idx(tmp_path / "x", dimensions=3)


def test_more_content_than_the_header_says_is_refused(tmp_path):
    file = write(tmp_path / "x", np.zeros((2, 3, 3)))
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(DataError, match="is damaged"):
        read_idx(file, dimensions=3)


def test_a_truncated_gz_is_refused(tmp_path):
    file = write(tmp_path / "x.gz", np.random.default_rng(0).integers(0, 256, (50, 9, 9)))
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(file, dimensions=3)


def test_images_without_their_labels_are_refused(tmp_path):
    folder, _ = folder_of(tmp_path)
    write(folder / "train-labels-idx1-ubyte", np.array([1, 2]))
    with pytest.raises(DataError, match="6 images but 2 labels in `train`"):
        load_idx(folder)


@pytest.mark.skipif(
    not Path(os.environ.get("FOVEA_DATA", "/nonexistent"), "fashion-mnist").is_dir(),
    reason="FOVEA_DATA has no fashion-mnist",
)
def test_fashion_mnist_is_recognised_by_its_labels():
    dataset = load_idx(Path(os.environ["FOVEA_DATA"], "fashion-mnist"))
    assert dataset.name == "fashion-mnist" and dataset.classes[9] == "Ankle boot" and dataset.licence.startswith("MIT")
    assert {name: np.bincount(part.labels).tolist() for name, part in dataset.parts.items()} == {
        "train": [6000] * 10,
        "test": [1000] * 10,
    }
    assert not dataset.directional and dataset.parts["train"].labels[:5].tolist() == [9, 0, 0, 3, 0]
    first = hashlib.sha256(dataset.parts["train"].pixels[0].tobytes()).hexdigest()
    assert first == hashlib.sha256(read_first_image()).hexdigest()


def read_first_image() -> bytes:
    with gzip.open(Path(os.environ["FOVEA_DATA"], "fashion-mnist", "train-images-idx3-ubyte.gz")) as stream:
        return stream.read(16 + 784)[16:]

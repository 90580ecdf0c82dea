import os
import pickle
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from bombs import peak_of

from fovea.data.sources.cifar import VERSIONS, _unpickled, cifar_version, load_cifar
from fovea.errors import DataError

PYTHON_10, BINARY_10, PYTHON_100, BINARY_100 = VERSIONS
NAMES = ("plane", "car", "bird")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))


def batch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (3, 3072) uint8 and the labels 0, 1, 2 of one file."""
    return np.random.default_rng(seed).integers(0, 256, (3, 3072), dtype=np.uint8), np.arange(3)


def write(root: Path, version) -> Path:
    """Write a tiny CIFAR of this version; a different batch in each file."""
    folder = root / version.folder
    folder.mkdir(parents=True)
    for seed, name in enumerate((*version.train, version.test)):
        rows, labels = batch(seed)
        if version.label_bytes:
            columns = [np.full(3, 77)] * (version.label_bytes - 1) + [labels]
            content = np.column_stack([*columns, rows]).astype(np.uint8).tobytes()
        else:
            key = b"fine_labels" if version.name == "cifar100" else b"labels"
            content = pickle.dumps({b"data": rows, key: labels.tolist(), b"coarse_labels": [77] * 3}, protocol=2)
        (folder / name).write_bytes(content)
    key = b"fine_label_names" if version.name == "cifar100" else b"label_names"
    names = "\n".join(NAMES).encode() if version.label_bytes else pickle.dumps({key: [n.encode() for n in NAMES]})
    (folder / version.names).write_bytes(names + b"\n" * bool(version.label_bytes))
    return folder


def images(seed: int) -> np.ndarray:
    """Return (3, 32, 32, 3): pixel (y, x) of colour c is number 1024 c + 32 y + x of the row."""
    c, y, x = np.meshgrid(range(3), range(32), range(32), indexing="ij")
    return batch(seed)[0][:, (1024 * c + 32 * y + x).transpose(1, 2, 0)]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.folder)
def test_all_versions_hold_the_same_images(tmp_path, version):
    folder = write(tmp_path, version)
    assert cifar_version(folder) == cifar_version(tmp_path) == version
    dataset = load_cifar(folder, version)
    files = len(version.train)
    assert np.array_equal(dataset.parts["train"].pixels, np.concatenate([images(seed) for seed in range(files)]))
    assert np.array_equal(dataset.parts["test"].pixels, images(files))
    assert dataset.parts["train"].labels.tolist() == [0, 1, 2] * files
    assert (dataset.name, dataset.classes, dataset.channels) == (version.name, NAMES, 3)
    assert dataset.native_size == (32, 32) and "Krizhevsky" in dataset.licence and not dataset.directional


@pytest.mark.parametrize("suffix", ["gz", "xz"])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.folder)
def test_archives_are_read_like_folders(tmp_path, version, suffix):
    folder = write(tmp_path, version)
    archive = tmp_path / f"cifar.tar.{suffix}"
    with tarfile.open(archive, f"w:{suffix}") as tar:
        tar.add(folder, version.folder)
    assert cifar_version(archive) == version
    heard = []
    dataset = load_cifar(archive, version, progress=lambda *report: heard.append(report))
    assert dataset.fingerprint == load_cifar(folder, version).fingerprint
    total = len(version.train) + 2
    assert heard == [(f"reading cifar.tar.{suffix}", count, total) for count in range(1, total + 1)]


def test_other_folders_and_archives_are_not_taken_for_cifar(tmp_path):
    assert cifar_version(tmp_path) is None
    (tmp_path / "a.png").touch()
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "a.png", "a/a.png")
    assert cifar_version(tmp_path / "x.tar") is None
    (tmp_path / "y.tar").write_bytes(b"hello")
    assert cifar_version(tmp_path / "y.tar") is None


class Hostile:
    """A pickle of it would create a file when read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("file", ["test_batch", "batches.meta"])
def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path, file):
    folder = write(tmp_path, PYTHON_10)
    (folder / file).write_bytes(pickle.dumps({b"data": Hostile(tmp_path / "owned")}))
    with pytest.raises(
        DataError, match=(f"`{file}` in .* differs from the published file: it needs `_?io.open`, which is neither")
    ):
        load_cifar(folder, PYTHON_10)
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is asked of Linux")
def test_a_pickle_that_numbers_its_objects_from_a_billion_on_takes_nothing(tmp_path):
    """The unpickler in C makes room for all of them: 16 GB of eleven bytes."""
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02]r" + (1 << 29).to_bytes(4, "little") + b".")
    code = "_unpickled(path.read_bytes())"
    taken, said = peak_of(tmp_path / "data_batch_1", code, "from fovea.data.sources.cifar import _unpickled")
    assert said == "read" and taken < 10_000_000


@pytest.mark.parametrize("name", ["os\nsystem", "builtins\neval", "numpy\nload", "numpy.core.multiarray\nscalar"])
def test_no_other_name_is_looked_up(tmp_path, name):
    folder = write(tmp_path, PYTHON_10)
    (folder / "test_batch").write_bytes(f"c{name}\n(S'1'\ntR.".encode())
    with pytest.raises(DataError, match="which is neither an array nor text"):
        load_cifar(folder, PYTHON_10)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("numpy_path", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_pickles_of_older_and_newer_numpy_are_read(tmp_path, protocol, numpy_path):
    folder = write(tmp_path, PYTHON_10)
    rows, labels = batch(0)
    content = pickle.dumps({b"data": rows, b"labels": labels.tolist()}, protocol=protocol)
    if protocol == 2:  # names end with a line feed there, so that their length may change
        content = content.replace(b"numpy._core.multiarray", numpy_path)
        content = content.replace(b"numpy.core.multiarray", numpy_path)
    (folder / "data_batch_1").write_bytes(content)
    assert np.array_equal(load_cifar(folder, PYTHON_10).parts["train"].pixels[:3], images(0))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": batch(0)[0]}),
        pickle.dumps({b"data": batch(0)[0].astype(float), b"labels": [0, 1, 2]}),
        pickle.dumps({b"data": batch(0)[0][:, :100], b"labels": [0, 1, 2]}),
    ],
)
def test_a_batch_that_is_not_as_published_is_refused(tmp_path, content):
    folder = write(tmp_path, PYTHON_10)
    (folder / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match="`data_batch_2` in .* differs from the published file: .*Download it again"):
        load_cifar(folder, PYTHON_10)


def test_fewer_labels_than_images_are_refused(tmp_path):
    folder = write(tmp_path, PYTHON_10)
    (folder / "data_batch_2").write_bytes(pickle.dumps({b"data": batch(0)[0], b"labels": [0, 1]}))
    with pytest.raises(DataError, match=r"3 images but labels of shape \(2,\)"):
        load_cifar(folder, PYTHON_10)


def test_a_binary_file_of_another_length_is_refused(tmp_path):
    folder = write(tmp_path, BINARY_10)
    (folder / "data_batch_1.bin").write_bytes(b"\0" * 3074)
    with pytest.raises(DataError, match="`data_batch_1.bin` in .* differs from the published file"):
        load_cifar(folder, BINARY_10)


@pytest.mark.parametrize("labels", [[0, 1, 3], [-1, 0, 1]])
def test_labels_beyond_the_class_names_are_refused(tmp_path, labels):
    folder = write(tmp_path, PYTHON_10)
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": batch(0)[0], b"labels": labels}))
    with pytest.raises(DataError, match="has labels beyond its 3 class names"):
        load_cifar(folder, PYTHON_10)


def test_an_archive_that_lacks_a_file_is_refused(tmp_path):
    folder = write(tmp_path, PYTHON_10)
    (folder / "data_batch_4").unlink()
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(folder, folder.name)
    with pytest.raises(DataError, match="has no `data_batch_4`; download it again"):
        load_cifar(tmp_path / "x.tar", PYTHON_10)


def test_a_truncated_archive_is_refused(tmp_path):
    folder = write(tmp_path, PYTHON_10)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(folder, folder.name)
    (tmp_path / "x.tar.gz").write_bytes((tmp_path / "x.tar.gz").read_bytes()[:-20_000])
    with pytest.raises(DataError, match="is damaged: .* Download it again"):
        load_cifar(tmp_path / "x.tar.gz", PYTHON_10)


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.skipif(
    not Path(os.environ.get("FOVEA_DATA", "/nonexistent"), "cifar10", "cifar-10-python.tar.xz").is_file(),
    reason="FOVEA_DATA has no cifar10/cifar-10-python.tar.xz",
)
def test_the_real_cifar_10_is_read():
    archive = Path(os.environ["FOVEA_DATA"], "cifar10", "cifar-10-python.tar.xz")
    dataset = load_cifar(archive, cifar_version(archive))
    assert {name: np.bincount(part.labels).tolist() for name, part in dataset.parts.items()} == {
        "train": [5000] * 10,
        "test": [1000] * 10,
    }
    assert dataset.classes[:4] == ("airplane", "automobile", "bird", "cat")
    # the means that every CIFAR-10 recipe prints, from an independent source
    means = dataset.parts["train"].pixels.mean(axis=(0, 1, 2)) / 255
    assert np.allclose(means, (0.4914, 0.4822, 0.4465), atol=1e-4)


def test_arrays_are_read_without_a_word_however_their_type_was_pickled():
    content = pickle.dumps(np.zeros(3, np.uint8), protocol=2)
    older = re.sub(rb"(u1q.)\x89\x88", lambda found: found[1] + b"K\x00K\x00", content)  # numbers for truth
    assert older != content
    assert _unpickled(older).tolist() == [0, 0, 0]

"""Indices as files: what is written comes back, and what is truncated, foreign or hostile is refused in one line."""

import json
import os
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from fovea.errors import BundleError, FoveaError, StorageError, UsageError
from fovea.retrieval.index import Index, Maker, Rows
from fovea.retrieval.index_file import read_index, write_index

PREPROCESS = {
    "size": [4, 4],
    "channels": 3,
    "fit": "squash",
    "mean": [0.0] * 3,
    "std": [1.0] * 3,
    **{"decoder": "pillow", "resample": "bilinear", "antialias": True, "alpha_over": "white", "fill": 128},
}
NAMES = ("cat/ä.png", "cat/b.png", "dog/c d.png")


def an_index(dtype=np.float32, **changes):
    embeddings = np.arange(6, dtype=dtype).reshape(3, 2)
    rows = Rows(
        names=NAMES,
        parts=np.array([0, 0, 2], np.uint8),
        labels=np.array([0, 0, 1]),
        digests=np.arange(96, dtype=np.uint8).reshape(3, 32),
        looks=np.array([[10, 11], [20, 21], [0, 0]]),
    )
    given = {
        "embeddings": embeddings,
        "squares": np.array([1, 13, 41], np.float32),
        "rows": rows,
        "maker": Maker(model_sha256="ab" * 32, layer="head.logits", entering=True, preprocess=PREPROCESS),
        "metric": "l2",
        "task": "classes",
        "classes": ("cat", "dog"),
        "data": "pets",
        "model_file": "runs/model.safetensors",
        "data_place": "pets",
    }
    return Index(**{**given, **changes})


@pytest.fixture
def path(tmp_path):
    write_index(tmp_path / "pets.fovea-index", an_index())
    return tmp_path / "pets.fovea-index"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_is_written_comes_back(tmp_path, dtype):
    index = an_index(dtype, complete=False, metric="cosine")
    write_index(tmp_path / "x.fovea-index", index)
    found = read_index(tmp_path / "x.fovea-index")
    for name in ("maker", "metric", "task", "classes", "data", "model_file", "data_place", "complete"):
        assert getattr(found, name) == getattr(index, name)
    np.testing.assert_array_equal(found.embeddings, index.embeddings)
    assert found.embeddings.dtype == dtype and not found.embeddings.flags.writeable
    assert list(found.rows.names) == list(NAMES) and found.rows.names[1:] == list(NAMES[1:])
    for name in ("parts", "labels", "digests", "looks"):
        np.testing.assert_array_equal(getattr(found.rows, name), getattr(index.rows, name))
    assert found.rows.key(2) == ("test", "dog/c d.png") and found.label_text(2) == "dog"


def test_the_file_is_safetensors_that_others_read(path):
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("embeddings"), torch.arange(6.0).reshape(3, 2))
        values = json.loads(file.metadata()["fovea"])
    assert values["index"] == 1 and values["layer"] == {"path": "head.logits", "entering": True}
    assert (8 + int.from_bytes(path.read_bytes()[:8], "little")) % 64 == 0


@pytest.mark.parametrize(
    ("task", "classes", "labels", "text"),
    [
        ("number", (), np.array([1.5, 2, 3], np.float32), "1.5"),
        ("labels", ("a", "b"), np.array([[1, 0], [1, 1], [0, 0]], np.float32), "a"),
        ("grade", ("low", "high"), np.array([1, 0, 0]), "high"),
        ("number", (), np.array([-1, -1, -1]), ""),
        ("classes", (), np.array([-1, -1, -1]), ""),
    ],
)
def test_labels_of_every_kind_and_none_come_back(tmp_path, task, classes, labels, text):
    index = an_index(task=task, classes=classes)
    write_index(tmp_path / "x.fovea-index", replace(index, rows=replace(index.rows, labels=labels)))
    assert read_index(tmp_path / "x.fovea-index").label_text(0) == text


def test_an_index_of_nothing_can_be_read(tmp_path):
    none = np.empty(0, np.int64)
    rows = Rows(
        names=(),
        parts=none.astype(np.uint8),
        labels=none,
        digests=np.empty((0, 32), np.uint8),
        looks=none.reshape(0, 2),
    )
    write_index(
        tmp_path / "x.fovea-index",
        an_index(embeddings=np.empty((0, 2), np.float32), squares=none.astype(np.float32), rows=rows),
    )
    assert len(read_index(tmp_path / "x.fovea-index")) == 0


def test_what_was_mapped_stays_what_it_was_when_the_file_is_replaced(path):
    before = read_index(path)
    write_index(path, an_index(embeddings=np.full((3, 2), 7, np.float32)))
    assert before.embeddings[2].tolist() == [4, 5] and read_index(path).embeddings[2].tolist() == [7, 7]


# damage


@pytest.mark.parametrize("tenths", range(10))
def test_truncated_anywhere_is_refused(path, tenths):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenths // 10])
    with pytest.raises(BundleError, match="truncated"):
        read_index(path)


@pytest.mark.parametrize("seed", range(80))
def test_a_changed_byte_is_refused_or_read(path, seed):
    raw = bytearray(path.read_bytes())
    generator = np.random.default_rng(seed)
    raw[generator.integers(len(raw))] = generator.integers(256)
    path.write_bytes(raw)
    try:
        index = read_index(path)
        index.nearest(np.zeros((1, 2), np.float32), 3)
        assert [index.rows.names[row] + index.label_text(row) for row in range(3)]
    except FoveaError as error:
        assert "\n" not in str(error)


def rewritten(path, **changes):
    """Change fields of the metadata, `{"a.b": value}`; None takes one away."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    values = json.loads(header["__metadata__"]["fovea"])
    for name, value in changes.items():
        *way, last = name.split("__")
        table = values
        for step in way:
            table = table[step]
        table[last] = value
        if value is None:
            del table[last]
    header["__metadata__"]["fovea"] = json.dumps(values)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index": 2}, "has format 2, and this version of Fovea reads up to format 1; upgrade Fovea"),
        ({"index": None}, "is of Fovea, not an index"),
        ({"index": True}, "not an index"),
        ({"metric": "l3"}, r"`metric` \(=l3\) must be l2 or cosine"),
        ({"metric": None}, "`metric` is missing"),
        ({"task": "art"}, "`--task art` is not one of"),
        ({"classes": ["cat"]}, "its labels do not match its classes"),
        ({"classes": "cat"}, "must be a list of strings"),
        ({"task": "number"}, "its labels do not match its classes"),
        ({"preprocess__size": [0, 4]}, "size"),
        ({"preprocess": 3}, "`preprocess`"),
        ({"model__file": "../../secret"}, "`model.file` is outside the folder"),
        ({"model__file": "/etc/passwd"}, "`model.file` is outside the folder"),
        ({"data__place": "a/../../b"}, "`data.place` is outside the folder"),
        ({"layer__entering": 1}, "must be true or false"),
        ({"data__name": "x" * 1_000_000}, "characters; the limit is 1,000,000"),
    ],
)
def test_metadata_that_cannot_be_is_refused(path, changes, message):
    rewritten(path, **changes)
    with pytest.raises(BundleError, match=message):
        read_index(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ends", lambda a: a[::-1].copy(), "the table of names is damaged"),
        ("ends", lambda a: a + 1, "the table of names is damaged"),
        ("parts", lambda a: a + 3, "the table of images is damaged"),
        ("squares", lambda a: -a, "the norms of the embeddings are damaged"),
        ("squares", lambda a: a * np.float32("nan"), "the norms of the embeddings are damaged"),
        ("labels", lambda a: a + 7, "its labels do not match its classes"),
        ("squares", lambda a: a[:2], "different numbers of images"),
        ("looks", lambda a: a[:, :1].copy(), "the table of images is damaged"),
        ("squares", lambda a: a.astype(np.float16), "`squares` is missing or of the wrong type"),
        ("names", None, "`names` is missing"),
    ],
)
def test_tensors_that_cannot_be_are_refused(path, name, change, message):
    from safetensors.numpy import load_file, save_file

    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    taken = tensors.pop(name)
    if change is not None:
        tensors[name] = change(taken)
    save_file(tensors, path, metadata)
    with pytest.raises(BundleError, match=message):
        read_index(path)


def test_tensors_that_lie_elsewhere_than_told_are_refused(path):
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    wrong = {
        (-64, -40): "its table of tensors is damaged",
        (0, 8): "`embeddings` is not where",
        (24, 0): "is not where",
    }
    for offsets, message in wrong.items():
        header["embeddings"]["data_offsets"] = offsets
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
        with pytest.raises(BundleError, match=message):
            read_index(path)


def test_a_model_file_is_no_index_and_the_other_way_round(make_bundle, path, tmp_path):
    from fovea.model.bundle import load

    model = make_bundle().rename(tmp_path / "model.fovea-index")
    with pytest.raises(BundleError, match="is a model file, not an index; create one with `fovea index MODEL DATA`"):
        read_index(model)
    with pytest.raises(BundleError, match=r"is an index; give the model file \(.safetensors\) it was made with"):
        load(path)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("pets.index", UsageError, r"must end in \.fovea-index"),
        (
            "none.fovea-index",
            UsageError,
            "no such file; create an index with `fovea index MODEL DATA --out none.fovea-index`",
        ),
        ("pipe.fovea-index", UsageError, "a named pipe, not a file"),
        ("folder.fovea-index", UsageError, "a folder, not a file"),
    ],
)
def test_what_is_no_file_of_that_kind_is_refused(tmp_path, name, error, message):
    os.mkfifo(tmp_path / "pipe.fovea-index")
    (tmp_path / "folder.fovea-index").mkdir()
    with pytest.raises(error, match=message):
        read_index(tmp_path / name)


def test_a_full_disk_leaves_the_old_index(path):
    """A limit on the size of files stands for the full disk."""
    before = path.read_bytes()
    large = an_index(embeddings=np.ones((3, 100_000), np.float32))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot be written \(File too large\)"):
            write_index(path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == [path.name]

"""Fewer images of every split, where decoding all takes too long."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fovea.data import thinning
from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.data.splits import take
from fovea.data.thinning import decoding_s, thinned
from fovea.preprocess import Preprocess

GEOMETRY = Preprocess(size=(4, 4), channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)


@pytest.fixture
def files(tmp_path):
    """Return a data set of 40 + 10 image files in two classes, three of four in the first."""
    parts = {}
    for name, count in (("train", 40), ("test", 10)):
        labels = (np.arange(count) % 4 == 3).astype(np.int64)
        paths = [tmp_path / f"{name}{index}.png" for index in range(count)]
        for index, path in enumerate(paths):
            Image.new("RGB", (6, 6), (index, 0, 0)).save(path)
        parts[name] = Part(labels=labels, names=tuple(path.name for path in paths), files=tuple(paths))
    return Dataset(name="made", parts=parts, classes=("a", "b"), channels=3)


def test_every_split_and_class_keeps_its_share_and_the_seed_says_which(files):
    fewer = thinned(files, fraction=0.5, seed=3)
    counts = {name: np.bincount(part.labels).tolist() for name, part in fewer.parts.items()}
    assert counts == {"train": [15, 5], "test": [4, 1]}
    assert fewer.parts["train"].names == thinned(files, fraction=0.5, seed=3).parts["train"].names
    assert fewer.parts["train"].names != thinned(files, fraction=0.5, seed=4).parts["train"].names
    assert thinned(files, fraction=1, seed=3) is files


def test_a_split_with_one_image_a_class_stays_as_it_is(files):
    few = replace(files, parts={**files.parts, "test": take(files.parts["test"], [0, 3])})
    assert thinned(few, fraction=0.5, seed=0).parts["test"] is few.parts["test"]


def test_decoding_takes_what_a_few_files_take_times_their_number_and_nothing_from_the_cache(files, monkeypatch):
    monkeypatch.setattr(thinning, "TIMED_FILES", 5)
    read, real = [], Preprocess.read
    monkeypatch.setattr(Preprocess, "read", lambda self, file: read.append(file) or real(self, file))
    assert decoding_s(files, GEOMETRY) > 0
    assert len(read) == 5 + 1  # one more before, which imports what it needs
    decode_dataset(files, GEOMETRY)
    read.clear()
    assert decoding_s(files, GEOMETRY) == 0 and not read
    assert decoding_s(files, GEOMETRY, room=1.5) > 0  # other rows of train


def test_arrays_are_not_timed():
    part = Part(labels=np.zeros(3, np.int64), names=("0", "1", "2"), pixels=np.zeros((3, 9, 9, 3), np.uint8))
    assert decoding_s(Dataset(name="x", parts={"train": part}, classes=("a",), channels=3), GEOMETRY) == 0

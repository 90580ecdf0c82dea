"""Regions of images as samples."""

import numpy as np
import pytest
from PIL import Image

from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.data.splits import split_off, take
from fovea.preprocess import Preprocess

POINTS = [[2.0, 1.0, 2.0], [6.0, 3.0, 2.0]]
FRAME = Preprocess(size=(8, 8), channels=1, fit="letterbox", mean=(0.0,), std=(1.0,))
LEVELS = np.arange(128, dtype=np.uint8).reshape(8, 16)


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Return a data set of three regions of two images of 16 x 8 pixels, each with two points."""
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    files = [tmp_path / name for name in ("a.png", "b.png")]
    for file in files:
        Image.fromarray(LEVELS).save(file)
    part = Part(
        labels=np.array([POINTS] * 3, np.float32),
        names=("a.png #1", "a.png #2", "b.png"),
        files=(files[0], files[0], files[1]),
        regions=np.array([[0, 0, 8, 4], [8, 4, 16, 8], [4, 0, 12, 4]]),
    )
    return of(part)


def of(part):
    return Dataset(name="made", parts={"train": part}, classes=("low", "high"), channels=1, task="points")


def test_a_row_shows_its_region_and_its_points_lie_on_it(dataset):
    part = decode_dataset(dataset, FRAME).parts["train"]
    for row, (x0, y0, x1, y1) in zip(part.pixels, dataset.parts["train"].regions, strict=True):
        assert np.array_equal(row[2:6, :, 0], LEVELS[y0:y1, x0:x1])  # 8 x 4 in the middle of 8 x 8
    assert part.labels[0].tolist() == [[2, 3, 2], [6, 5, 2]]


def test_other_regions_of_the_same_files_are_other_rows(dataset):
    first = np.array(decode_dataset(dataset, FRAME).parts["train"].pixels)
    own = dataset.parts["train"]
    moved = Part(labels=own.labels, names=own.names, files=own.files, regions=own.regions[::-1])
    assert not np.array_equal(np.array(decode_dataset(of(moved), FRAME).parts["train"].pixels), first)


def test_a_region_that_is_not_on_its_image_is_a_bad_file(dataset):
    dataset.parts["train"].regions[2] = [4, 0, 40, 4]
    found = decode_dataset(dataset, FRAME, allow_bad=True)
    assert found.parts["train"].names == ("a.png #1", "a.png #2")
    assert "which differs from the size in its annotation" in found.bad_files[0].reason


def test_regions_of_one_image_stay_together(dataset):
    part = take(dataset.parts["train"], [2, 0, 1])
    for seed in range(5):
        rest, held = split_off(part, fraction=0.5, seed=seed, strata=None)
        assert {len(rest), len(held)} == {1, 2}
        assert not set(rest.files) & set(held.files)

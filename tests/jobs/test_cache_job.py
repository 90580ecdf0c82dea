import json
from datetime import datetime

import numpy as np
import pytest

from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.jobs.cache import cache
from fovea.preprocess import Preprocess


@pytest.fixture(autouse=True)
def two_entries(tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path))
    plan = Preprocess(size=(4, 4), channels=1, mean=(0.5,), std=(0.25,))
    for name in ("shoes", "shirts"):
        part = Part(labels=np.array([0]), names=("0",), pixels=np.full((1, 8, 8, 1), len(name), np.uint8))
        decode_dataset(Dataset(name=name, parts={"train": part}, classes=("one",), channels=1), plan)


def test_entries_are_json_values():
    entries = cache()
    assert json.loads(json.dumps(entries)) == entries
    assert {entry["name"].split("-")[0] for entry in entries} == {"shoes", "shirts"}
    assert all((entry["images"], entry["total"], entry["shape"]) == (1, 1, [4, 4, 1]) for entry in entries)
    assert {entry["kind"] for entry in entries} == {"decoded"}
    assert all(datetime.fromisoformat(entry["used"]).utcoffset().total_seconds() == 0 for entry in entries)


def test_what_other_kinds_lack_is_none(tmp_path):
    (tmp_path / "downloads" / "mnist").mkdir(parents=True)
    (tmp_path / "downloads" / "mnist" / "half.gz").write_bytes(b"12")
    (entry,) = cache(name="mnist")
    used = entry.pop("used")
    nothing = dict.fromkeys(("images", "total", "shape"))
    assert entry == {"kind": "download", "name": "mnist", "bytes": 2, **nothing}
    assert datetime.fromisoformat(used).utcoffset().total_seconds() == 0


def test_listing_by_name_removes_nothing():
    assert len(cache(name="shirts")) == 1
    assert len(cache()) == 2


def test_clearing_by_name_returns_and_removes_what_matches():
    assert [entry["name"].split("-")[0] for entry in cache(clear=True, name="shoes")] == ["shoes"]
    assert [entry["name"].split("-")[0] for entry in cache()] == ["shirts"]


def test_clearing_without_name_removes_all():
    assert len(cache(clear=True)) == 2
    assert cache() == []

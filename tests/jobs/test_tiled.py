"""Predicting large images: what a mask is kept in, and the small picture of a large image."""

import errno
import os

import numpy as np
import pytest

from fovea.errors import StorageError
from fovea.jobs import tiled
from fovea.jobs.tiled import held_for, sampled
from fovea.storage import let_go


def test_a_large_mask_lies_in_a_file_of_the_cache_that_ends_with_it(monkeypatch, tmp_path):
    monkeypatch.setattr(tiled, "MAX_PIXELS", 100)
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    large, small = held_for((20, 30)), held_for((5, 5))
    large[3, 4] = 7
    let_go(large)
    let_go(small)

    assert isinstance(large, np.memmap) and not isinstance(small, np.memmap)
    assert large.sum() == 7 and list((tmp_path / "cache").iterdir()) == []


def test_a_full_disk_is_said_before_anything_is_written(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tiled, "MAX_PIXELS", 100)
    monkeypatch.setenv("FOVEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(StorageError, match="cannot be stored in .*No space left"):
        held_for((20, 30))


def test_a_preview_shows_pixels_spread_evenly():
    rows, columns = sampled((100, 40), (10, 4))

    assert rows.tolist() == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95] and columns.tolist() == [5, 15, 25, 35]

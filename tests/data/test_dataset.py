import numpy as np
import pytest

from fovea.data.dataset import Part, Rows
from fovea.errors import DataError

PIXELS = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 2, 3, 1), np.uint8)


def levels(images):
    return np.asarray(images)[..., 0, 0, 0].tolist()


def test_rows_are_those_of_the_array_at_the_indices():
    rows = Rows(PIXELS, np.array([5, 0, 3]))
    assert len(rows) == 3 and rows.shape == (3, 2, 3, 1)
    assert levels(rows[:]) == [5, 0, 3] and levels(rows[1:]) == [0, 3]
    assert levels(rows[np.array([2, 0])]) == [3, 5]
    assert rows[1].shape == (2, 3, 1) and rows[1].dtype == np.uint8


def test_rows_of_rows_are_rows():
    assert levels(Rows(Rows(PIXELS, np.array([5, 0, 3])), np.array([2, 0]))[:]) == [3, 5]


def test_rows_see_the_array_itself():
    pixels = PIXELS.copy()
    rows = Rows(pixels, np.array([4]))
    pixels[4] = 99
    assert levels(rows[:]) == [99]


def test_files_have_no_pixels_yet():
    with pytest.raises(DataError, match="not decoded yet; call `decode_dataset` first"):
        _ = Part(labels=np.array([0]), names=("a",), files=()).decoded

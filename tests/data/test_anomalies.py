"""Sizes, modes and stray files, from headers and folders."""

import numpy as np
from PIL import Image

from fovea.data.anomalies import find_blank, find_strays, survey_sizes
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.folders import load_folder


def folder(tmp_path, *, sizes, mode="RGB"):
    (tmp_path / "cat").mkdir()
    for index, size in enumerate(sizes):
        Image.new(mode, size).save(tmp_path / "cat" / f"{index}.png")
    return load_folder(tmp_path)


def test_sizes_are_width_by_height_side_by_side(tmp_path):
    sizes = survey_sizes(folder(tmp_path, sizes=[(30, 20), (40, 20), (50, 60)]))
    assert (sizes.smallest, sizes.median, sizes.largest) == ((30, 20), (40, 20), (50, 60))
    assert sizes.modes == {"RGB": 3} and sizes.odd == []


def test_a_side_four_times_the_usual_is_odd(tmp_path):
    sizes = survey_sizes(folder(tmp_path, sizes=[(40, 40), (40, 40), (40, 160), (40, 161), (9, 40)]))
    assert sizes.odd == [("cat/3.png", "train"), ("cat/4.png", "train")]


def test_headers_that_cannot_be_read_are_left_out(tmp_path):
    dataset = folder(tmp_path, sizes=[(8, 8), (8, 8)], mode="L")
    dataset.parts["train"].files[0].write_bytes(b"no image")
    assert survey_sizes(dataset).modes == {"L": 1}
    dataset.parts["train"].files[1].unlink()
    assert survey_sizes(dataset).modes == {}


def test_arrays_have_one_size():
    part = Part(labels=np.zeros(3, np.int64), names=("0", "1", "2"), pixels=np.zeros((3, 6, 5, 1), np.uint8))
    sizes = survey_sizes(Dataset(name="x", parts={"train": part}, classes=("a",), channels=1))
    assert (sizes.smallest, sizes.largest, sizes.modes) == ((5, 6), (5, 6), {"L": 3})


def test_strays_are_visible_files_that_are_not_in_the_data_set(tmp_path):
    dataset = folder(tmp_path, sizes=[(8, 8)])
    for name in ("cat/notes.txt", "top.png", ".hidden", "cat/.hidden.txt", "cat/Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").touch()
    assert find_strays(tmp_path, dataset) == ["cat/notes.txt", "top.png"]


def test_blank_images_have_one_colour_give_or_take_noise():
    pixels = np.full((4, 6, 6, 3), (200, 10, 90), np.uint8)
    pixels[1, 2, 2] += 2
    pixels[2, 2, 2] += 3
    pixels[3, :, :3] = 0
    part = Part(labels=np.zeros(4, np.int64), names=tuple("abcd"), pixels=pixels)
    dataset = Dataset(name="x", parts={"test": part}, classes=("a",), channels=3)
    assert find_blank(dataset) == [("a", "test"), ("b", "test")]

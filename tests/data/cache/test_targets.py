"""Targets that lie on images, decoded beside them."""

import numpy as np
import pytest
from PIL import Image

from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.data.sources.source import DataSource
from fovea.errors import DataError
from fovea.preprocess import VOID, Preprocess
from fovea.training.inference import part_labels

WIDE, HIGH = 24, 16
FRAME = Preprocess(size=(12, 12), channels=1, fit="letterbox", mean=(0.5,), std=(0.5,))


@pytest.fixture
def folder(tmp_path):
    """Return a folder of 30 images, each black on the left of a line and white on the right, as its mask says."""
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for index in range(30):
        mask = np.zeros((HIGH, WIDE), np.uint8)
        mask[:, 4 + index % 12 :] = 1
        Image.fromarray(255 * mask).save(tmp_path / "data" / "images" / f"{index:02}.png")
        Image.fromarray(mask).save(tmp_path / "data" / "masks" / f"{index:02}.png")
    return tmp_path / "data"


def bright(part):
    """Return which pixels (N, H, W) of a decoded part are bright."""
    return part.decoded[np.arange(len(part))][..., 0] > 127


def decoded(folder, frame=FRAME):
    return decode_dataset(DataSource(data=folder, task="masks").find(), frame)


def test_masks_lie_on_their_images_through_every_fit(folder):
    for fit in ("letterbox", "squash", "crop"):
        frame = Preprocess(size=(12, 12), channels=1, fit=fit, mean=(0.5,), std=(0.5,))
        part = decoded(folder, frame).parts["train"]
        known = part.labels != VOID
        assert known.mean() > 0.6 and (bright(part) == part.labels)[known].mean() > 0.97
        assert known.all() == (fit != "letterbox")


def test_a_mask_of_another_size_leaves_its_image_out(folder):
    Image.new("L", (5, 5)).save(folder / "masks" / "07.png")
    found = decoded(folder)
    part = found.parts["train"]
    assert len(part) == len(part.labels) == len(part.decoded) == 29
    assert [bad.name for bad in found.bad_files] == ["images/07.png"] and "5" in found.bad_files[0].reason
    assert (bright(part) == part.labels)[part.labels != VOID].mean() > 0.97


def test_an_image_that_cannot_be_read_takes_its_mask_along(folder):
    (folder / "images" / "03.png").write_bytes(b"\x89PNG no")
    found = decoded(folder)
    assert len(found.parts["train"].labels) == 29 and [bad.name for bad in found.bad_files] == ["images/03.png"]


def test_too_many_bad_masks_stop(folder):
    for index in range(5):
        Image.new("L", (5, 5)).save(folder / "masks" / f"{index:02}.png")
    with pytest.raises(DataError, match="5 of 30 images cannot be used"):
        decoded(folder)


def test_masks_are_kept_until_one_of_them_changes(folder):
    first = np.array(decoded(folder).parts["train"].labels)
    assert np.array_equal(decoded(folder).parts["train"].labels, first)
    mask = np.ones((HIGH, WIDE), np.uint8)
    Image.fromarray(mask).save(folder / "masks" / "00.png")
    again = decoded(folder).parts["train"].labels
    assert set(np.unique(again[0])) == {1, VOID} and np.array_equal(again[1:], first[1:])


def test_boxes_of_files_that_cannot_be_read_go_with_them(tmp_path):
    for index in range(30):
        Image.new("L", (WIDE, HIGH), 255).save(tmp_path / f"{index:02}.png")
    (tmp_path / "04.png").write_bytes(b"no")
    labels = np.zeros((30, 1, 6), np.float32)
    labels[:, 0, :5] = [[0, 0, 0, index / 2, 8] for index in range(30)]
    files = tuple(sorted(tmp_path.iterdir()))
    part = Part(labels=labels, names=tuple(file.name for file in files), files=files)
    found = decode_dataset(Dataset(name="d", parts={"train": part}, classes=("a",), channels=1, task="boxes"), FRAME)
    right = found.parts["train"].labels[:, 0, 3]
    assert len(right) == 29 and right[4] == pytest.approx(5 / 4)


def test_masks_stay_in_their_file_while_a_network_learns_them(folder):
    part = decoded(folder).parts["train"]
    labels = part_labels(part)
    assert isinstance(part.labels, np.memmap) and labels.data_ptr() == part.labels.ctypes.data
    kept = np.fromfile(part.labels.filename, np.uint8)
    labels[0] += 1  # changes stay in memory
    assert np.array_equal(np.fromfile(part.labels.filename, np.uint8), kept)
    assert not np.array_equal(np.asarray(labels[0]), kept.reshape(part.labels.shape)[0])

"""What is learned of windows of an image: masks and boxes cut and mirrored, and which windows there are."""

import numpy as np
import pytest
from PIL import Image
from torch import Generator, arange, stack

from fovea.data.augment.moves import random_window
from fovea.data.cache.decoded import decode_dataset
from fovea.data.dataset import Dataset, Part
from fovea.data.masks import MaskFile, Table
from fovea.data.tiles import cut_boxes, cut_mask
from fovea.errors import DataError, ShapeError
from fovea.preprocess import Preprocess


def rows(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 6)


def test_a_window_shows_the_boxes_in_it_in_its_own_pixels():
    boxes = rows([1, 10, 20, 30, 40, 0], [0, 90, 90, 99, 99, 1], [-1, 10, 10, 20, 20, 0])

    np.testing.assert_array_equal(cut_boxes(boxes, (100, 100), left=8, top=12, size=(32, 32)), [[1, 2, 8, 22, 28, 0]])


def test_of_a_box_a_quarter_must_be_seen():
    boxes = rows([0, 0, 0, 40, 10, 0])

    np.testing.assert_array_equal(cut_boxes(boxes, (100, 100), left=30, top=0, size=(32, 32)), [[0, 0, 0, 10, 10, 0]])
    assert not len(cut_boxes(boxes, (100, 100), left=31, top=0, size=(32, 32)))


def test_beyond_the_borders_boxes_are_mirrored_as_the_mask_is():
    mask = np.zeros((40, 50), np.uint8)
    mask[4:9, 40:48] = 1
    window = {"left": 30, "top": -20, "size": (40, 40)}
    cut = cut_mask(mask, **window)
    boxes = cut_boxes(rows([0, 40, 4, 48, 9, 0]), (40, 50), **window)
    drawn = np.zeros((40, 40), np.uint8)
    for _, x0, y0, x1, y1, _ in boxes.astype(int):
        drawn[y0:y1, x0:x1] = 1

    assert len(boxes) == 4
    np.testing.assert_array_equal(drawn, cut)


def dataset(folder, sizes, *, kind="masks"):
    """Return images whose pixels and masks tell where they are, as files."""
    folder.mkdir()
    files, sources = [], []
    for index, (H, W) in enumerate(sizes):
        y, x = np.mgrid[:H, :W]
        Image.fromarray((x + 2 * y).astype(np.uint8)).save(folder / f"{index}.png")
        Image.fromarray((x // 8 % 2).astype(np.uint8)).save(folder / f"{index}-mask.png")
        files.append(folder / f"{index}.png")
        sources.append(MaskFile(folder / f"{index}-mask.png", Table((0, 1), (0, 1))))
    labels = np.empty(len(files), object)
    labels[:] = sources
    if kind == "boxes":
        labels = np.zeros((len(files), 1, 6), np.float32)
        labels[:, 0] = [0, 2, 2, 20, 20, 0]
    part = Part(labels=labels, names=tuple(file.name for file in files), files=tuple(files))
    return Dataset(name="tiles", parts={"train": part, "val": part}, classes=("a", "b"), channels=1, task=kind)


def frame(**given):
    return Preprocess(size=(32, 32), channels=1, fit="tile", mean=(0.5,), std=(0.5,), **{"overlap": 8, **given})


def test_every_pixel_is_in_a_tile_and_training_has_larger_windows(tmp_path):
    sizes = [(50, 70), (32, 32), (100, 40)]
    decoded = decode_dataset(dataset(tmp_path / "images", sizes), frame(), room=2.0)
    train, val = decoded.parts["train"], decoded.parts["val"]

    assert train.decoded.shape[1:3] == (64, 64) and val.decoded.shape[1:3] == (32, 32)
    assert train.images == val.images == 3 and val.tiles.sizes == tuple(sizes)
    for part in (train, val):
        side = part.decoded.shape[1]
        seen = [np.zeros(size, bool) for size in sizes]
        for row, (owner, (left, top)) in enumerate(zip(part.tiles.owners, part.tiles.places, strict=True)):
            H, W = sizes[owner]
            seen[owner][top : top + side, left : left + side] = True
            h, w = min(side, H - top), min(side, W - left)
            y, x = np.mgrid[top : top + h, left : left + w]
            np.testing.assert_array_equal(part.decoded[row][:h, :w, 0], (x + 2 * y).astype(np.uint8))
            np.testing.assert_array_equal(part.labels[row][:h, :w], x // 8 % 2)
        assert all(each.all() for each in seen)


def test_windows_of_boxes_are_padded_to_the_most_of_any(tmp_path):
    decoded = decode_dataset(dataset(tmp_path / "images", [(50, 70)], kind="boxes"), frame())
    labels = decoded.parts["val"].labels

    assert labels.shape == (6, 1, 7)
    assert [row.tolist() for row in labels[:, 0] if row[0] >= 0] == [[0, 2, 2, 20, 20, 0, 1]]


def test_an_image_with_a_bad_mask_is_left_out_once_with_all_its_windows(tmp_path):
    data = dataset(tmp_path / "images", [(50, 70), (40, 40)])
    Image.new("L", (9, 9)).save(tmp_path / "images/0-mask.png")
    decoded = decode_dataset(data, frame(), allow_bad=True)

    assert decoded.parts["val"].images == 1
    assert [bad.name for bad in decoded.bad_files] == ["0.png", "0.png"]  # of two parts
    assert set(decoded.parts["val"].names) == {"1.png (0, 0)", "1.png (8, 0)", "1.png (0, 8)", "1.png (8, 8)"}
    with pytest.raises(DataError, match="2 of 4"):
        decode_dataset(data, frame())


def test_windows_are_found_again_in_the_cache(tmp_path, monkeypatch):
    data = dataset(tmp_path / "images", [(50, 70)])
    first = decode_dataset(data, frame(), room=2.0)
    monkeypatch.setattr("fovea.preprocess.regions.Windows.read", None)
    again = decode_dataset(data, frame(), room=2.0)

    np.testing.assert_array_equal(first.parts["train"].decoded, again.parts["train"].decoded)


def test_a_random_window_is_a_part_of_the_image_at_its_own_scale():
    images = arange(48 * 40).view(1, 1, 48, 40).repeat(64, 1, 1, 1).float()
    moved = random_window(images, Generator().manual_seed(0), size=32)
    corners = moved.images[:, 0, 0, 0]

    assert moved.images.shape == (64, 1, 32, 32) and len(corners.unique()) > 30
    y, x = corners // 40, corners % 40
    assert y.max() == 16 and x.max() == 8
    assert (moved.images[:, 0, 31, 31] == (y + 31) * 40 + x + 31).all()
    points = stack((x + 3, y + 5), dim=1)[:, None]
    from fovea.data.augment.geometry import Geometry

    moved_points = Geometry((moved.movement(),)).moved_points(points)
    np.testing.assert_allclose(moved_points[:, 0], np.tile([3.0, 5.0], (64, 1)), atol=1e-4)


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ShapeError, match="must not be larger"):
        random_window(arange(16.0).view(1, 1, 4, 4), Generator(), size=5)

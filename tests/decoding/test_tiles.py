"""Tiles of large images: where they lie, how answers are blended, which boxes stay."""

import numpy as np
import pytest

from fovea.decoding.tiles import ALIGNED, Grid, blended, joined, shares, starts


def test_starts_cover_the_length_and_end_with_it():
    assert starts(512, 256, overlap=64) == (0, 192, 256)
    assert starts(256, 256, overlap=64) == (0,)
    assert starts(100, 256, overlap=64) == (0,)


def test_tiles_lie_apart_by_what_networks_halve():
    begins = starts(5000, 388, overlap=0)

    assert {b - a for a, b in zip(begins[:-2], begins[1:-1], strict=True)} == {384}
    assert 384 % ALIGNED == 0 and begins[-1] == 5000 - 388


@pytest.mark.parametrize(("length", "answered", "overlap"), [(512, 256, 64), (701, 100, 30), (50, 64, 8), (64, 5, 0)])
def test_shares_sum_to_one_at_every_pixel(length, answered, overlap):
    begins = starts(length, answered, overlap=overlap)
    total = np.zeros(max(length, answered))
    for begin, share in zip(begins, shares(begins, answered, length), strict=True):
        total[begin : begin + answered] += share

    np.testing.assert_allclose(total, 1, rtol=1e-6)


@pytest.mark.parametrize("margin", [0, 6])
def test_tiles_of_one_picture_blend_to_that_picture(margin):
    generator = np.random.default_rng(0)
    picture = generator.random((3, 150, 211), dtype=np.float32)
    grid = Grid((150, 211), (76, 76), overlap=20, margin=margin)
    padded = np.pad(picture, ((0, 0), (margin, margin), (margin, margin)))
    h, w = grid.answered
    answers = (
        padded[:, p.top + 2 * margin : p.top + 2 * margin + h, p.left + 2 * margin : p.left + 2 * margin + w]
        for p in grid
    )
    bands = list(blended(grid, answers))

    assert [band.top for band in bands] == list(grid.tops)
    np.testing.assert_allclose(np.concatenate([band.values for band in bands], axis=1), picture, atol=1e-6)


@pytest.mark.parametrize(("overlap", "width"), [(0, 100), (20, 160), (50, 130), (20, 1)])
def test_a_wide_image_in_parts_blends_to_the_same(overlap, width):
    generator = np.random.default_rng(0)
    grid = Grid((70, 500), (64, 76), overlap=overlap)
    answers = {(p.left, p.top): generator.random((2, 64, 76), dtype=np.float32) for p in grid}
    whole = np.concatenate([band.values for band in blended(grid, (answers[p.left, p.top] for p in grid))], axis=1)
    parts = grid.parts(width)
    found = np.full((2, 70, 500), np.nan, np.float32)
    for part in parts:
        for top, left, values in blended(part, (answers[p.left, p.top] for p in part)):
            found[:, top : top + values.shape[1], left : left + values.shape[2]] = values

    assert len(parts) > 1 and all(len(part) < len(grid) for part in parts)
    assert [part.core[0] for part in parts[1:]] <= [part.core[1] for part in parts[:-1]]
    np.testing.assert_allclose(found, whole, rtol=1e-5)


def test_an_image_smaller_than_a_tile_is_one_band_of_its_size():
    (band,) = blended(Grid((20, 30), (64, 64), overlap=8), [np.ones((2, 64, 64), np.float32)])

    assert band.values.shape == (2, 20, 30)
    np.testing.assert_allclose(band.values, 1, rtol=1e-6)


def test_answers_change_smoothly_from_tile_to_tile():
    grid = Grid((64, 160), (64, 96), overlap=32)
    (band,) = blended(grid, [np.zeros((1, 64, 96), np.float32), np.ones((1, 64, 96), np.float32)])
    row = band.values[0, 30]

    assert (row[:64] == 0).all() and (row[96:] == 1).all()
    assert (np.diff(row) >= 0).all() and np.diff(row).max() < 0.06


def found(*rows):
    return np.array(rows, np.float64).reshape(-1, 6)


def test_an_object_that_two_tiles_see_is_told_once():
    grid = Grid((96, 160), (96, 96), overlap=32)
    left, right = found([0, 70, 10, 85, 30, 0.8]), found([0, 6, 10, 21, 30, 0.9])

    np.testing.assert_allclose(joined(grid, [left, right]), [[0, 70, 10, 85, 30, 0.9]])


def test_a_box_that_its_tile_cuts_falls_where_a_neighbour_holds_it_whole():
    grid = Grid((96, 160), (96, 96), overlap=32)
    cut, whole = found([0, 84, 10, 96, 30, 0.99]), found([0, 20, 10, 60, 30, 0.4])

    np.testing.assert_allclose(joined(grid, [cut, whole]), [[0, 84, 10, 124, 30, 0.4]])


def test_boxes_of_other_classes_and_of_one_tile_stay():
    grid = Grid((96, 160), (96, 96), overlap=32)
    left = found([0, 70, 10, 85, 30, 0.8], [0, 71, 11, 86, 31, 0.7])
    right = found([1, 6, 10, 21, 30, 0.9])

    assert len(joined(grid, [left, right])) == 3


def test_boxes_of_the_mirrored_border_fall_and_others_are_cut_at_the_image():
    grid = Grid((40, 40), (64, 64), overlap=16)
    boxes = joined(grid, [found([0, 30, 10, 44, 20, 0.8], [0, 42, 10, 60, 20, 0.9])])

    np.testing.assert_allclose(boxes, [[0, 30, 10, 40, 20, 0.8]])


def test_an_image_without_objects_has_no_boxes():
    assert joined(Grid((40, 40), (64, 64), overlap=16), [found()]).shape == (0, 6)

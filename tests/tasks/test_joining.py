"""Answers of tiles as numbers: what NumPy makes of maps is what PyTorch makes of them."""

import numpy as np
import torch
from torch.nn import functional as F

from fovea import tasks
from fovea.decoding.tiles import Grid
from fovea.tasks.joining import Said, joining_of, probabilities, resized


def maps(*shape):
    return np.random.default_rng(0).normal(0, 4, shape).astype(np.float32)


def test_maps_are_resized_as_pytorch_does_without_aligned_corners():
    given = maps(3, 17, 20)
    for size in ((34, 40), (51, 33), (17, 20), (9, 10)):
        expected = F.interpolate(torch.from_numpy(given)[None], size, mode="bilinear", align_corners=False)[0]
        np.testing.assert_allclose(resized(given, size), expected.numpy(), atol=2e-5)


def test_a_map_of_one_cell_is_that_cell_everywhere():
    np.testing.assert_array_equal(resized(maps(2, 1, 1), (3, 4)), np.broadcast_to(maps(2, 1, 1), (2, 3, 4)))


def test_probabilities_are_a_softmax_that_does_not_overflow():
    given = maps(4, 5, 6) * 1000
    expected = torch.from_numpy(given).softmax(0).numpy()
    np.testing.assert_allclose(probabilities(given), expected, atol=1e-6)


def test_a_mask_of_tiles_has_the_surest_class_and_how_sure_it_is():
    masks = tasks.kind("masks")(names=("a", "b", "c"))
    grid = Grid((6, 8), (6, 8), 0)
    logits = maps(3, 6, 8)
    rows = joining_of(masks).rows(masks, Said(grid, (grid,), iter([logits]), 1.0))
    expected = masks.condensed(torch.from_numpy(logits)[None])[0].numpy()

    np.testing.assert_array_equal(rows[0], expected[0])
    np.testing.assert_allclose(rows[1].astype(int), expected[1].astype(int), atol=1)


def test_valid_convolutions_leave_a_margin_and_objects_none():
    assert joining_of(tasks.kind("masks")).margin((2, 388, 388), (572, 572)) == 92
    assert joining_of(tasks.kind("boxes")).margin((6, 64, 64), (256, 256)) == 0

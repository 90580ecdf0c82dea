"""Targets of the centre form cell by cell; what fits the loss is decoded to the boxes that were wanted."""

import math

import numpy as np
import pytest
import torch

from fovea.decoding.centres import Centres
from fovea.tasks.criteria.centres import NEAR, centre_targets, centres_loss, decoded_boxes, heat_loss

NONE = [-1, 0, 0, 0, 0, 0]
BOXES = torch.tensor(
    [
        [[0, 4, 4, 28, 20, 0], [1, 8, 6, 16, 14, 0], [0, 30, 2, 39, 31, 1]],
        [[1, 20, 8, 39, 30, 0], NONE, NONE],
        [NONE, NONE, NONE],
    ]
).float()
SIZE = (8, 10)


def plain_targets(boxes, classes, h, w, stride):
    """Return heat, counts, rows of boxes and weights of one image, cell by cell."""
    heat, counts = np.zeros((classes, h, w)), np.ones((classes, h, w))
    owners, weights = np.full((h, w), -1), np.zeros((h, w))
    rows = [(i, *row) for i, row in enumerate(boxes.tolist()) if row[0] >= 0]
    for i, index, x0, y0, x1, y1, crowd in sorted(rows, key=lambda row: -(row[4] - row[2]) * (row[5] - row[3])):
        cx, cy = int((x0 + x1) / 2 / stride), int((y0 + y1) / 2 / stride)
        rx, ry = int(NEAR * (x1 - x0) / 2 / stride), int(NEAR * (y1 - y0) / 2 / stride)
        bell = np.zeros((h, w))
        for y, x in np.ndindex(h, w):
            if crowd:
                inside = x0 <= (x + 0.5) * stride < x1 and y0 <= (y + 0.5) * stride < y1
                counts[int(index), y, x] *= not inside
            elif abs(x - cx) <= rx and abs(y - cy) <= ry:
                sx, sy = (2 * rx + 1) / 6, (2 * ry + 1) / 6
                bell[y, x] = math.exp(-((x - cx) ** 2) / (2 * sx**2) - (y - cy) ** 2 / (2 * sy**2))
                owners[y, x] = i
        heat[int(index)] = np.maximum(heat[int(index)], bell)
        weights = np.where(bell > 0, bell / max(bell.sum(), 1), weights)
    return heat, counts, owners, weights


def test_targets_are_those_of_each_cell():
    found = centre_targets(BOXES, classes=2, size=SIZE, stride=4)
    for n in range(len(BOXES)):
        for maps, expected in zip(found, plain_targets(BOXES[n], 2, *SIZE, 4), strict=True):
            np.testing.assert_allclose(maps[n], expected, atol=1e-6)


def test_a_centre_is_one_and_an_object_counts_one():
    found = centre_targets(BOXES[1:2], classes=2, size=SIZE, stride=4)
    assert found.heat[0, 1, 4, 7] == 1 and (found.heat == 1).sum() == 1
    assert found.weights.sum().item() == pytest.approx(1)


def test_the_smaller_of_two_boxes_is_learned_and_the_order_does_not_matter():
    found = centre_targets(BOXES[:1], classes=2, size=SIZE, stride=4)
    turned = centre_targets(BOXES[:1].flip(1), classes=2, size=SIZE, stride=4)
    assert (found.owners[0, 2, 3], turned.owners[0, 2, 3]) == (1, 1)  # the second of three, from either end
    assert (found.owners[0, 3, 4], turned.owners[0, 3, 4]) == (0, 2)
    for maps, others in ((found.heat, turned.heat), (found.counts, turned.counts), (found.weights, turned.weights)):
        torch.testing.assert_close(maps, others)


def test_the_heat_loss_by_hand():
    """p = 1/2 everywhere: 1/4 ln 2 at the centre, 1/4 ln 2 at a cell of 0, (1/2)^4 / 4 ln 2 at one of 1/2."""
    heat = torch.tensor([[[[1.0, 0.0, 0.5]]]])
    assert heat_loss(torch.zeros(1, 1, 1, 3), heat).item() == pytest.approx(math.log(2) / 4 * (1 + 1 + 1 / 16))
    counts = torch.tensor([[[[1.0, 0.0, 1.0]]]])
    assert heat_loss(torch.zeros(1, 1, 1, 3), heat, counts).item() == pytest.approx(math.log(2) / 4 * (1 + 1 / 16))


def test_boxes_are_decoded_as_by_numpy():
    outputs = torch.randn(1, 6, *SIZE, generator=torch.Generator().manual_seed(0))
    outputs[:, :2] -= 9
    outputs[0, 1, 3, 4] = 2.0
    (row,) = Centres(stride=4, least=0.5).decoded(outputs.numpy())[0]
    expected = decoded_boxes(outputs[:, 2:], stride=4)[0, :, 3, 4]
    assert row[1:5] == pytest.approx(expected.clamp(min=0).tolist(), abs=1e-4)


def test_outputs_that_fit_are_the_boxes_that_were_wanted():
    outputs = torch.full((3, 6, *SIZE), -2.0)
    outputs[:, 2:] = 1.0
    outputs.requires_grad_()
    optimiser = torch.optim.Adam([outputs], lr=0.4)
    for _ in range(60):
        optimiser.zero_grad()
        centres_loss(outputs, BOXES).backward()
        optimiser.step()
    found = Centres(least=0.3).decoded(outputs.detach().numpy())
    for rows, truth in zip(found, BOXES, strict=True):
        wanted = truth[(truth[:, 0] >= 0) & (truth[:, 5] == 0)]
        rows = rows[(rows[:, 1] < 29) | (rows[:, 0] == 1)]  # of the crowd anything may be said
        assert sorted(rows[:, 0]) == sorted(wanted[:, 0].tolist())
        for row in rows:
            assert np.abs(wanted[:, 1:5].numpy() - row[1:5]).max(axis=1).min() < 1


def test_a_crowd_has_no_gradient_and_a_batch_without_objects_learns_that_there_are_none():
    outputs = torch.zeros(1, 5, *SIZE, requires_grad=True)
    crowd = torch.tensor([[[0, 0, 0, 40, 32, 1]]]).float()
    centres_loss(outputs, crowd).backward()
    assert not outputs.grad.any()
    loss = centres_loss(outputs, torch.tensor([[NONE]]).float())
    loss.backward()
    assert loss.item() > 0 and (outputs.grad[:, 0] > 0).all() and not outputs.grad[:, 1:].any()


def test_the_gradient_is_that_of_finite_differences():
    outputs = torch.randn(1, 6, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 2
    boxes = torch.tensor([[[1, 1, 1, 12, 9, 0], [0, 5, 3, 15, 11, 0]]]).double()
    assert torch.autograd.gradcheck(lambda of: centres_loss(of, boxes), outputs.requires_grad_())

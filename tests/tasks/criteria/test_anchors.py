"""What anchors learn: by hand and pair by pair; what fits the loss is decoded to the boxes that were wanted."""

import math

import numpy as np
import pytest
import torch

from fovea.decoding import boxes as decoding
from fovea.decoding.anchors import Anchored, boxes_of
from fovea.tasks.criteria.anchors import (
    BACKGROUND,
    UNUSED,
    anchor_losses,
    anchor_matches,
    anchors_loss,
    deltas_of,
    sigmoid_focal,
)

ANCHORS = torch.tensor([[x, y, x + 16, y + 16] for y in range(0, 32, 8) for x in range(0, 32, 8)]).float()
NONE = [-1, 0, 0, 0, 0, 0]
BOXES = torch.tensor([[[1, 1, 1, 16, 15, 0], [0, 18, 9, 30, 30, 0]], [NONE, NONE]]).float()


def plain_matches(anchors, boxes):
    """Return which box each anchor learns, by all pairs."""
    rows = [i for i, row in enumerate(boxes.tolist()) if row[0] >= 0 and not row[5]]
    overlaps = decoding.overlaps(anchors, boxes[rows, 1:5])
    found = []
    for own in overlaps:
        best = int(own.argmax())
        nearest = any(own[g] == overlaps[:, g].max() > 0 for g in range(len(rows)))
        between = UNUSED if own[best] >= 0.4 else BACKGROUND
        found.append(rows[best] if own[best] >= 0.5 or nearest else between)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_matches_are_those_of_all_pairs(seed):
    generator = np.random.default_rng(seed)
    corners = generator.integers(0, 20, (4, 2))
    sides = generator.integers(6, 20, (4, 2))
    boxes = torch.from_numpy(np.hstack([[[0], [-1], [1], [2]], corners, corners + sides, np.zeros((4, 1))])).float()
    assert anchor_matches(ANCHORS, boxes).tolist() == plain_matches(ANCHORS, boxes)


def test_anchors_in_a_crowd_and_between_the_limits_learn_nothing():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 4.5], [0, 0, 10, 3], [50, 50, 60, 60]])
    boxes = torch.tensor([[0.0, 0, 0, 10, 10, 0], [1, 50, 50, 99, 56, 1]])
    assert anchor_matches(anchors, boxes).tolist() == [0, 0, UNUSED, BACKGROUND, UNUSED]


def test_a_box_that_no_anchor_fits_has_the_nearest_one():
    boxes = torch.tensor([[0.0, 1, 1, 4, 4, 0]])
    assert (anchor_matches(ANCHORS, boxes) == 0).sum() == 1
    assert (anchor_matches(ANCHORS, torch.tensor([[0.0, 90, 90, 99, 99, 0]])) == BACKGROUND).all()


def test_the_focal_loss_by_hand():
    """Even logits: alpha 1/4 times 1/4 ln 2 where true, 3/4 of it where not."""
    found = sigmoid_focal(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert found.tolist() == pytest.approx([math.log(2) / 16, 3 * math.log(2) / 16])


def test_deltas_are_undone_by_the_decoder():
    boxes = BOXES[0, :, 1:5]
    back = boxes_of(deltas_of(boxes, ANCHORS[:2]).numpy(), ANCHORS[:2].numpy())
    np.testing.assert_allclose(back, boxes, atol=1e-5)


def test_the_loss_of_classes_is_a_sum_per_object_and_that_of_no_object_a_sum():
    """All logits 0. Of the second image 16 anchors learn that neither of two classes is there."""
    outputs = torch.zeros(2, 16, 6)
    matches = anchor_matches(ANCHORS, BOXES[0])
    own, used = int((matches >= 0).sum()), int((matches != UNUSED).sum())
    first = (own + 3 * (2 * used - own)) * math.log(2) / 16 / own
    classes, deltas = anchor_losses(outputs, BOXES, ANCHORS)
    assert classes.item() == pytest.approx((first + 3 * 32 * math.log(2) / 16) / 2)
    wanted = deltas_of(BOXES[0, matches[matches >= 0], 1:5], ANCHORS[matches >= 0])
    assert deltas.item() == pytest.approx(wanted.abs().sum().item() / own / 2)


def test_outputs_that_say_it_all_cost_nothing_and_are_the_boxes_that_were_wanted():
    outputs = torch.tensor([-20.0, -20, 0, 0, 0, 0]).repeat(2, 16, 1)
    matches = anchor_matches(ANCHORS, BOXES[0])
    (own,) = (matches >= 0).nonzero(as_tuple=True)
    truth = BOXES[0, matches[own]]
    outputs[0, own, truth[:, 0].long()] = 20
    outputs[0, own, 2:] = deltas_of(truth[:, 1:5], ANCHORS[own])
    assert anchors_loss(outputs, BOXES, ANCHORS) < 1e-6
    first, second = Anchored(anchors=ANCHORS.numpy(), size=(32, 32)).decoded(outputs.numpy())
    order = np.argsort(-first[:, 0])
    np.testing.assert_allclose(first[order, :5], BOXES[0, :, :5], atol=1e-4)
    assert len(second) == 0


def test_the_gradient_is_that_of_finite_differences():
    outputs = torch.randn(1, 16, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    anchors, boxes = ANCHORS.double(), BOXES[:1].double()
    assert torch.autograd.gradcheck(lambda of: anchors_loss(of, boxes, anchors), outputs.requires_grad_())


def test_the_losses_are_those_of_torchvision(torchvision):
    from torchvision.models.detection import _utils
    from torchvision.models.detection.retinanet import RetinaNetHead

    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(3, 6, 2, generator=generator) * 25
    sides = 5 + torch.rand(3, 6, 2, generator=generator) * 15
    labels = torch.randint(0, 3, (3, 6), generator=generator)
    labels[1, 1:] = -1
    boxes = torch.cat([labels[..., None].float(), corners, corners + sides, torch.zeros(3, 6, 1)], dim=2)
    outputs = torch.randn(3, len(ANCHORS), 7, generator=generator)
    there = [boxes[i, labels[i] >= 0] for i in range(3)]
    matcher = _utils.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    expected = RetinaNetHead(8, 1, 3).compute_loss(
        [{"boxes": rows[:, 1:5], "labels": rows[:, 0].long()} for rows in there],
        {"cls_logits": outputs[..., :3], "bbox_regression": outputs[..., 3:]},
        [ANCHORS] * 3,
        [matcher(torchvision.ops.box_iou(rows[:, 1:5], ANCHORS)) for rows in there],
    )
    classes, deltas = anchor_losses(outputs, boxes, ANCHORS)
    torch.testing.assert_close(classes, expected["classification"])
    torch.testing.assert_close(deltas, expected["bbox_regression"])

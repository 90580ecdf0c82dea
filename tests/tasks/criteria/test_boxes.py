"""Overlaps of boxes in PyTorch: those of NumPy, the generalised one by hand and by its laws."""

import numpy as np
import pytest
import torch

from fovea.decoding import boxes as decoding
from fovea.tasks.criteria.boxes import areas, generalised_overlaps, overlaps, pairwise_overlaps


def random_boxes(seed, count, *, least=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 9
    return torch.cat([corner, corner + least + torch.rand(count, 2, generator=generator, dtype=torch.float64) * 5], 1)


def test_they_are_those_of_numpy():
    boxes, others = random_boxes(0, 7), random_boxes(1, 5)
    np.testing.assert_allclose(pairwise_overlaps(boxes, others), decoding.overlaps(boxes, others))
    np.testing.assert_allclose(areas(boxes), decoding.areas(boxes))
    np.testing.assert_allclose(overlaps(boxes[:5], others), decoding.overlaps(boxes, others).diagonal())


def test_the_generalised_overlap_by_hand():
    """Two unit squares one apart: a third of the box around them is uncovered. Then 1 / 7 - 2 / 9."""
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 2, 2]])
    others = torch.tensor([[2.0, 0, 3, 1], [1, 1, 3, 3]])
    assert generalised_overlaps(boxes, others).tolist() == pytest.approx([-1 / 3, 1 / 7 - 2 / 9])


def test_it_is_one_for_equal_boxes_and_below_the_overlap_for_others():
    boxes, others = random_boxes(2, 20, least=0.1), random_boxes(3, 20, least=0.1)
    torch.testing.assert_close(generalised_overlaps(boxes, boxes), torch.ones(20).double())
    assert (generalised_overlaps(boxes, others) <= overlaps(boxes, others)).all()
    assert (generalised_overlaps(boxes, others) > -1).all()


def test_it_draws_apart_boxes_together():
    box = torch.tensor([0.0, 0, 1, 1], requires_grad=True)
    generalised_overlaps(box, torch.tensor([5.0, 0, 6, 1])).backward()
    assert box.grad[2] > 0


def test_its_gradient_is_that_of_finite_differences():
    boxes, others = random_boxes(4, 6, least=1), random_boxes(5, 6, least=1)
    assert torch.autograd.gradcheck(lambda of: generalised_overlaps(of, others), boxes.requires_grad_())


def test_empty_boxes_are_finite():
    empty = torch.zeros(1, 4, requires_grad=True)
    found = generalised_overlaps(empty, torch.zeros(1, 4))
    found.sum().backward()
    assert found.isfinite().all() and empty.grad.isfinite().all()

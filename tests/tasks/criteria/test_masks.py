"""Losses of masks: by hand, pixel by pixel in NumPy, and by their laws; void moves nothing."""

import math

import numpy as np
import pytest
import torch

from fovea.metrics.masks import VOID
from fovea.tasks.criteria.boundary import boundary_weights
from fovea.tasks.criteria.masks import boundary_loss, cross_entropy, dice_loss, focal_loss

LOSSES = [cross_entropy, dice_loss, focal_loss, boundary_loss]


def batch(seed=0, N=2, K=3, H=4, W=5, void=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(N, K, H, W, generator=generator, dtype=torch.float64)
    masks = torch.randint(0, K, (N, H, W), generator=generator).to(torch.uint8)
    masks[torch.rand(N, H, W, generator=generator) < void] = VOID
    return logits, masks


def known_pixels(logits, masks):
    """Yield (probabilities of a pixel, true class, where it is) of what is not void."""
    for n, y, x in np.ndindex(*masks.shape):
        if masks[n, y, x] != VOID:
            exp = np.exp(logits[n, :, y, x].numpy())
            yield exp / exp.sum(), int(masks[n, y, x]), (n, y, x)


def test_even_logits_cost_the_logarithm_of_the_classes():
    masks = torch.tensor([[[0, 1, VOID]]], dtype=torch.uint8)
    assert cross_entropy(torch.zeros(1, 2, 1, 3), masks).item() == pytest.approx(math.log(2))
    assert focal_loss(torch.zeros(1, 2, 1, 3), masks, gamma=2).item() == pytest.approx(math.log(2) / 4)


def test_dice_by_hand():
    """Two classes, probabilities 1/2: (2 * 1/2 + 1) / (3/2 + 1 + 1) and (2 + 1) / (3/2 + 2 + 1)."""
    masks = torch.tensor([[[0, 1, 1]]], dtype=torch.uint8)
    expected = 1 - (2 / 3.5 + 3 / 4.5) / 2
    assert dice_loss(torch.zeros(1, 2, 1, 3), masks).item() == pytest.approx(expected)


def test_they_are_those_of_single_pixels():
    logits, masks = batch()
    weights, pixel_weights = torch.tensor([1.0, 3.0, 0.5]).double(), torch.rand(2, 4, 5).double()
    pixels = list(known_pixels(logits, masks))
    total = sum(weights[k].item() for _, k, _ in pixels)
    entropy = sum(-math.log(p[k]) * weights[k].item() * pixel_weights[at].item() for p, k, at in pixels) / total
    focal = sum(-((1 - p[k]) ** 1.5) * math.log(p[k]) * weights[k].item() for p, k, _ in pixels) / total
    found = cross_entropy(logits, masks, weights=weights, pixel_weights=pixel_weights)
    assert found.item() == pytest.approx(entropy)
    assert focal_loss(logits, masks, gamma=1.5, weights=weights).item() == pytest.approx(focal)
    overlaps = []
    for k in range(3):
        both = sum(p[k] for p, true, _ in pixels if true == k)
        given, wanted = sum(p[k] for p, _, _ in pixels), sum(true == k for _, true, _ in pixels)
        overlaps.append((2 * both + 1) / (given + wanted + 1))
    assert dice_loss(logits, masks).item() == pytest.approx(1 - sum(overlaps) / 3)


def test_focal_at_gamma_zero_is_the_cross_entropy():
    logits, masks = batch(1)
    torch.testing.assert_close(focal_loss(logits, masks, gamma=0), cross_entropy(logits, masks))


def test_smoothed_labels_are_those_of_pytorch():
    logits, masks = batch(2)
    expected = torch.nn.functional.cross_entropy(logits, masks.long(), ignore_index=VOID, label_smoothing=0.1)
    torch.testing.assert_close(cross_entropy(logits, masks, label_smoothing=0.1), expected)


def test_a_class_that_the_batch_lacks_does_not_move_dice():
    logits, masks = batch(3, void=0)
    wider = torch.cat([logits, torch.full_like(logits[:, :1], -1e9)], dim=1)
    torch.testing.assert_close(dice_loss(wider, masks), dice_loss(logits, masks))


@pytest.mark.parametrize("loss", LOSSES)
def test_void_has_no_gradient_and_a_batch_of_it_no_loss(loss):
    logits, masks = batch(4)
    logits.requires_grad_()
    loss(logits, masks).backward()
    moved = (logits.grad != 0).any(dim=1)
    assert (moved == (masks != VOID)).all()
    logits.grad = None
    nothing = loss(logits, torch.full_like(masks, VOID))
    nothing.backward()
    assert nothing.item() == 0 and not logits.grad.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_that_of_finite_differences(loss):
    logits, masks = batch(5, N=1, H=2, W=3)
    assert torch.autograd.gradcheck(lambda outputs: loss(outputs, masks), logits.requires_grad_())


@pytest.mark.parametrize("loss", LOSSES)
def test_right_and_sure_costs_next_to_nothing(loss):
    _, masks = batch(6, void=0)
    sure = torch.nn.functional.one_hot(masks.long(), 3).movedim(-1, 1) * 40.0
    assert loss(sure, masks).item() < 1e-6


def test_the_boundary_loss_is_the_cross_entropy_with_the_weights_of_its_masks():
    logits, masks = batch(K=2, H=12, W=14)
    weights = torch.from_numpy(boundary_weights(masks.numpy(), background=1))
    assert (weights[masks == VOID] == 0).all() and weights.max() > 2
    expected = cross_entropy(logits, masks, pixel_weights=weights)
    assert boundary_loss(logits, masks, background=1).item() == pytest.approx(expected.item())

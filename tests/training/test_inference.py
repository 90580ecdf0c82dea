"""Outputs on decoded images, by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.data.dataset import Part
from fovea.inputs.views import Protocol
from fovea.preprocess import Preprocess
from fovea.training.inference import as_evaluated, autocast, part_labels, predict_logits, spread

CPU = torch.device("cpu")
GREY = Preprocess(size=(2, 2), channels=1, mean=(0.5,), std=(0.25,))


class LeftAndRight(nn.Module):
    """Two outputs: the mean of the left column and of the right one."""

    def forward(self, x):
        return x.mean(2).flatten(1)


@pytest.fixture
def pixels():
    """Return three images: dark, left bright, bright."""
    return np.array([[[0, 0]] * 2, [[255, 0]] * 2, [[255, 255]] * 2], np.uint8)[..., None]


def test_outputs_come_in_order_whatever_the_batch(pixels):
    model = LeftAndRight().train()
    whole, parts = (predict_logits(model, pixels, GREY, batch=batch) for batch in (256, 2))
    assert torch.equal(whole, parts)
    assert whole.tolist() == [pytest.approx(row) for row in ([-2, -2], [2, -2], [2, 2])]
    assert not model.training


def test_flip_averages_an_image_and_its_mirror_image(pixels):
    outputs = predict_logits(LeftAndRight(), pixels, GREY, protocol=Protocol(flip=True))
    assert outputs.tolist() == [pytest.approx(row) for row in ([-2, -2], [0, 0], [2, 2])]


def test_the_main_head_counts_where_a_network_keeps_its_auxiliary_heads(pixels):
    class TwoHeads(LeftAndRight):
        def forward(self, x):
            return super().forward(x), super().forward(-x)

    assert torch.equal(predict_logits(TwoHeads(), pixels, GREY), predict_logits(LeftAndRight(), pixels, GREY))


def test_progress_counts_images(pixels):
    seen = []
    predict_logits(LeftAndRight(), pixels, GREY, batch=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]


def test_bfloat16_runs_matrix_products_in_it():
    layer = nn.Linear(2, 2)
    with autocast(CPU, "bfloat16"):
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with autocast(CPU, "float32"):
        assert layer(torch.ones(1, 2)).dtype == torch.float32


def test_labels_keep_their_type():
    for labels, dtype in ((np.array([1, 0]), torch.int64), (np.array([1, 0], np.float32), torch.float32)):
        assert part_labels(Part(labels=labels, names=("a", "b"))).dtype == dtype


def part_of(pixels):
    return Part(labels=np.arange(len(pixels)), names=tuple(map(str, range(len(pixels)))), pixels=pixels)


def test_samples_are_evaluated_in_the_order_asked_for_and_at_the_size_of_the_input(pixels):
    larger = pixels.repeat(2, axis=1).repeat(2, axis=2)
    first, second = as_evaluated(part_of(larger), GREY, CPU, rows=np.array([2, 0, 2]), batch=2)
    assert first.shape == (2, 1, 2, 2) and second.shape == (1, 1, 2, 2)
    assert first.flatten().tolist() == pytest.approx([2] * 4 + [-2] * 4)
    assert second.flatten().tolist() == pytest.approx([2] * 4)


@pytest.mark.parametrize(("count", "chosen"), [(1, [0]), (3, [0, 4, 9]), (10, range(10)), (99, range(10))])
def test_samples_are_spread_from_the_first_to_the_last(count, chosen):
    assert spread(part_of(np.zeros((10, 2, 2, 1), np.uint8)), count).tolist() == list(chosen)

"""Outputs on decoded images, by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.data.dataset import Part
from fovea.inputs.views import Protocol
from fovea.preprocess import Preprocess
from fovea.training.inference import autocast, part_labels, predict_logits

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

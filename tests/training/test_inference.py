"""Scores, normalisation and outputs on decoded images, by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fovea.data.dataset import Part
from fovea.inputs.views import Protocol
from fovea.preprocess import Preprocess
from fovea.training.inference import Normaliser, Score, autocast, part_labels, predict_logits, score
from fovea.training.losses import make_loss
from fovea.training.recipe import Recipe

CPU = torch.device("cpu")
GREY = Preprocess(size=(2, 2), channels=1, mean=(0.5,), std=(0.25,))
NAN = math.nan


class LeftAndRight(nn.Module):
    """Two outputs: the mean of the left column and of the right one."""

    def forward(self, x):
        return x.mean(2).flatten(1)


@pytest.fixture
def pixels():
    """Return three images: dark, left bright, bright."""
    return np.array([[[0, 0]] * 2, [[255, 0]] * 2, [[255, 255]] * 2], np.uint8)[..., None]


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        (Score(1.0, 0.5), None, True),
        (Score(1.0, 0.6), Score(0.1, 0.5), True),
        (Score(1.0, 0.5), Score(1.1, 0.5), True),
        (Score(1.0, 0.5), Score(1.0, 0.5), False),
        (Score(1.0, None), Score(1.1, None), True),
        (Score(NAN, None), Score(1.0, None), False),
        (Score(1.0, None), Score(NAN, None), True),
        (Score(NAN, 0.9), None, False),
    ],
)
def test_higher_accuracy_then_lower_loss_is_better_and_nan_never(one, other, better):
    assert one.better_than(other) is better


def test_normalisation_is_its_formula_and_can_be_undone(pixels):
    normalise = Normaliser(GREY, CPU)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    normal = normalise(images)
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal[1, 0], torch.tensor([[2.0, -2.0]] * 2))
    assert torch.equal(normalise.undo(normal), images)


def test_normalised_colour_is_channels_last_with_each_channel_on_its_own():
    preprocess = Preprocess(size=(2, 2), channels=3, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    normal = Normaliser(preprocess, CPU)(images)
    assert normal.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(normal[0, :, 0, 0], torch.tensor([1.0, 1.0, 0.0]))


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


def test_score_of_classes_has_accuracy_and_loss():
    outputs = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])
    result = score(outputs, torch.tensor([0, 1]), make_loss(Recipe()))
    assert result.accuracy == 0.5
    assert result.loss == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2)


def test_score_of_numbers_has_a_loss_alone():
    result = score(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0]), make_loss(Recipe(loss="mse")))
    assert result == Score(2.0, None)


def test_labels_keep_their_type():
    for labels, dtype in ((np.array([1, 0]), torch.int64), (np.array([1, 0], np.float32), torch.float32)):
        assert part_labels(Part(labels=labels, names=("a", "b"))).dtype == dtype

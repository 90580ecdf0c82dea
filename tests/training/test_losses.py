"""Losses against PyTorch's own, forward and gradient, and worked values."""

import pytest
import torch
from torch.nn import functional as F

from fovea.data.augment.mixing import MixedLabels
from fovea.tasks.classes import Classes
from fovea.tasks.number import Number
from fovea.training.losses import main_head, make_loss
from fovea.training.recipe import Recipe

N, K = 7, 4
FOUR, TWO, NUMBER = Classes(names=tuple("abcd")), Classes(names=("no", "yes"), loss="binary"), Number()


@pytest.fixture
def logits():
    return torch.randn(N, K, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()


@pytest.fixture
def labels():
    return torch.tensor([0, 1, 2, 3, 0, 0, 1])


def same_value_and_gradient(ours, oracle, variable):
    """Compare to float32 accuracy: the loss is taken of float32 outputs whatever they come in."""
    torch.testing.assert_close(ours.double(), oracle, rtol=1e-6, atol=1e-7)
    gradients = [torch.autograd.grad(loss, variable, retain_graph=True)[0] for loss in (ours, oracle)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighed", [False, True])
def test_cross_entropy_is_its_formula(logits, labels, smoothing, weighed):
    weights = FOUR.class_weights(labels) if weighed else None
    ours = make_loss(FOUR, Recipe(label_smoothing=smoothing), weights)(logits, labels)
    oracle = F.cross_entropy(
        logits, labels, weight=None if weights is None else weights.double(), label_smoothing=smoothing
    )
    same_value_and_gradient(ours, oracle, logits)


def test_label_smoothing_mixes_the_label_with_the_uniform_distribution(logits, labels):
    target = 0.8 * F.one_hot(labels, K).double() + 0.2 / K
    by_hand = -(target * logits.log_softmax(1)).sum(1).mean()
    same_value_and_gradient(make_loss(FOUR, Recipe(label_smoothing=0.2))(logits, labels), by_hand, logits)


@pytest.mark.parametrize("weighed", [False, True])
def test_binary_cross_entropy_of_one_unit(logits, weighed):
    labels = torch.tensor([0, 1, 1, 0, 0, 0, 1])
    weights = torch.tensor([0.5, 2.0]) if weighed else None
    unit = logits[:, :1]
    ours = make_loss(TWO, Recipe(loss="binary"), weights)(unit, labels)
    p, y = torch.sigmoid(unit.squeeze(1)), labels.double()
    each = -(y * p.log() + (1 - y) * (1 - p).log())
    by_hand = (each if weights is None else each * weights.double()[labels]).mean()
    same_value_and_gradient(ours, by_hand, logits)


def test_binary_with_smoothing_is_two_class_cross_entropy_with_smoothing(logits):
    labels = torch.tensor([0, 1, 1, 0, 0, 0, 1])
    two = torch.cat([torch.zeros_like(logits[:, :1]), logits[:, :1]], dim=1)
    ours = make_loss(TWO, Recipe(loss="binary", label_smoothing=0.1))(logits[:, :1], labels)
    same_value_and_gradient(ours, F.cross_entropy(two, labels, label_smoothing=0.1), logits)


def test_mean_squared_error_of_numbers(logits):
    numbers = torch.linspace(-1, 1, N)
    ours = make_loss(NUMBER, Recipe(loss="mse"))(logits[:, :1], numbers)
    same_value_and_gradient(ours, F.mse_loss(logits[:, 0], numbers.double()), logits)
    worked = make_loss(NUMBER, Recipe(loss="mse"))(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 5.0]))
    assert worked.item() == pytest.approx((1 + 4) / 2)


def test_auxiliary_heads_count_by_their_weight(logits, labels):
    heads = (logits, 2 * logits, logits - logits.mean())
    ours = make_loss(FOUR, Recipe(aux_weight=0.3))(heads, labels)
    main, *auxiliary = (F.cross_entropy(head, labels) for head in heads)
    same_value_and_gradient(ours, main + 0.3 * sum(auxiliary), logits)
    assert main_head(heads) is logits and main_head(logits) is logits


def test_half_precision_outputs_are_summed_in_float32(logits, labels):
    outputs = logits.detach().bfloat16()
    assert make_loss(FOUR, Recipe())(outputs, labels).dtype == torch.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_mixed_labels_is_that_of_soft_targets(logits, labels, smoothing):
    mixed = MixedLabels(labels, labels.flip(0), 0.3)
    soft = sum(share * F.one_hot(part, K).double() for share, part in ((0.3, mixed.own), (0.7, mixed.other)))
    ours = make_loss(FOUR, Recipe(label_smoothing=smoothing))(logits, mixed)
    same_value_and_gradient(ours, F.cross_entropy(logits, soft, label_smoothing=smoothing), logits)

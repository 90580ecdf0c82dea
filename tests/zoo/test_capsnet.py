"""CapsNet: squashing and routing by hand, the paper's sizes, and what the decoder sees."""

import math

import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.tasks.classes import Classes
from fovea.zoo.capsnet import Lengths, PrimaryCapsules, route, squash

DIGITS = Classes(names=tuple("0123456789"), loss="margin")


def test_squashing_keeps_the_direction_and_shortens_the_length_below_one():
    v = squash(torch.tensor([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]]))
    torch.testing.assert_close(
        v, torch.tensor([[0.6, 0.8], [0.6, -0.8], [0.0, 0.0]]) * torch.tensor([[25 / 26], [0.2], [0]])
    )


def test_a_capsule_of_zeros_has_a_finite_gradient():
    s = torch.zeros(1, 4, requires_grad=True)
    squash(s).sum().backward()
    assert s.grad.isfinite().all()


def test_routing_by_hand():
    """Two capsules predict the same for the first class, and the opposite of each other for the second."""
    predictions = torch.tensor([[[[1.0], [1.0]], [[1.0], [-1.0]]]])  # (1, 2 classes, 2 capsules, 1 number)
    torch.testing.assert_close(route(predictions, rounds=1), torch.tensor([[[1 / 2], [0.0]]]))  # s = 1/2 + 1/2 = 1
    # then b is 1/2 for the first class, and 0 for the second, of both capsules
    share = math.exp(0.5) / (math.exp(0.5) + 1)
    square = (2 * share) ** 2
    expected = torch.tensor([[[square / (1 + square)], [0.0]]])
    torch.testing.assert_close(route(predictions, rounds=2), expected)


def test_agreement_grows_from_round_to_round():
    torch.manual_seed(0)
    predictions = 0.1 * torch.randn(1, 2, 6, 3)
    predictions[:, 0] += torch.tensor([1.0, 0.0, 0.0])  # all agree on the first class
    lengths = torch.stack([route(predictions, rounds=r).norm(dim=2)[0] for r in (1, 2, 3)])
    assert (lengths[1:, 0] > lengths[:-1, 0]).all() and (lengths[:, 0] > lengths[:, 1]).all()


def test_a_primary_capsule_is_eight_channels_at_one_place():
    x = torch.randn(2, 16, 3, 4)
    capsules = PrimaryCapsules()(x)
    assert capsules.shape == (2, 24, 8)
    torch.testing.assert_close(capsules[1, 12 + 1 * 4 + 2], squash(x[1, 8:, 1, 2]))  # type 1, row 1, column 2


def test_the_sigmoid_of_a_logit_is_the_length():
    v = squash(torch.randn(3, 10, 16))
    torch.testing.assert_close(Lengths()(v).sigmoid(), v.norm(dim=2))


def test_the_paper_has_8_2_million_parameters_and_6_8_without_the_decoder():
    with torch.device("meta"):
        full, bare = registry.build("capsnet"), registry.build("capsnet", reconstruction=False)
    counts = [sum(p.numel() for p in model.parameters()) for model in (full, bare)]
    assert counts == [8_215_568, 6_804_224]
    assert full.head.capsules.weight.shape == (1152, 8, 160)  # 6 x 6 x 32 capsules


def test_what_is_learned_is_the_margin_loss_and_a_share_of_the_image_drawn_again():
    torch.manual_seed(0)
    model = registry.build("capsnet_digits")
    images, labels = torch.rand(3, 1, 16, 16), torch.tensor([3, 0, 9])
    loss, logits = model.learn(images, labels, loss=DIGITS.criterion(), progress=0.0)
    assert torch.equal(logits, model(images))
    v = model.head.capsules(model.head.primary(model.features(images)))
    seen = torch.zeros(3, 10, 16)
    seen[torch.arange(3), labels] = v[torch.arange(3), labels]
    missed = model.head.decoder(seen) - images.flatten(1)
    torch.testing.assert_close(loss, DIGITS.criterion()(logits, labels) + 0.0005 * missed.square().sum() / 3)


def test_rounds_must_be_positive():
    with pytest.raises(UsageError, match=r"Network `capsnet`: `routing` \(=0\) must be 1 round or more\."):
        registry.build("capsnet", routing=0)

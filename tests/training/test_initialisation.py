"""Initial weights by their variance, and whitening by what it does to patches."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.errors import ShapeError
from fovea.training.initialisation import initialise, whiten_first_convolution, whitening_filters


def correlated_images(N=200, C=2, size=6):
    """Return images whose neighbouring pixels and whose channels go together."""
    noise = torch.randn(N, C, size, size, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, stride=1, padding=1) + 0.5 * noise[:, :1]


VARIANCE = {"he": 2 / (32 * 9), "xavier": 2 / (32 * 9 + 64 * 9), "lecun": 1 / (32 * 9)}


@pytest.mark.parametrize("name", VARIANCE)
def test_a_convolution_gets_the_variance_of_its_name(name):
    layer = nn.Conv2d(32, 64, 3)
    initialise(layer, name, torch.Generator().manual_seed(0))
    assert layer.weight.var().item() == pytest.approx(VARIANCE[name], rel=0.03)
    assert abs(layer.weight.mean().item()) < 0.03 * VARIANCE[name] ** 0.5
    assert layer.bias.abs().max() == 0


def test_xavier_is_uniform_and_the_others_normal():
    layer = nn.Linear(300, 200)
    initialise(layer, "xavier", torch.Generator().manual_seed(0))
    assert layer.weight.abs().max().item() == pytest.approx((6 / 500) ** 0.5, rel=0.01)
    initialise(layer, "he", torch.Generator().manual_seed(0))
    assert layer.weight.abs().max() > 3 * (2 / 300) ** 0.5


def test_grouped_convolutions_count_the_inputs_of_a_group():
    layer = nn.Conv2d(64, 64, 3, groups=64)
    initialise(layer, "lecun", torch.Generator().manual_seed(0))
    assert layer.weight.var().item() == pytest.approx(1 / 9, rel=0.15)


def test_the_same_generator_gives_the_same_weights_and_norms_stay():
    first, second = (nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)) for _ in range(2))
    for model in (first, second):
        initialise(model, "he", torch.Generator().manual_seed(3))
    assert torch.equal(first[0].weight, second[0].weight)
    assert torch.equal(first[1].weight, torch.ones(4))


def test_own_leaves_the_network_as_it_is():
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    initialise(layer, "own", torch.Generator())
    assert torch.equal(layer.weight, before)


def test_whitened_patches_have_the_identity_as_second_moments():
    images = correlated_images()
    responses = F.conv2d(images, whitening_filters(images, 2, epsilon=0.0)).permute(1, 0, 2, 3).reshape(8, -1)
    moments = responses @ responses.T / responses.shape[1]
    torch.testing.assert_close(moments, torch.eye(8), atol=2e-4, rtol=0)


def test_the_strongest_direction_comes_first():
    images = correlated_images()
    norms = whitening_filters(images, 2).flatten(1).norm(dim=1)
    assert (norms.diff() > 0).all()


def test_the_chunks_of_the_covariance_count_by_their_images():
    images = correlated_images(N=51)
    patches = F.unfold(images.double(), 2).transpose(1, 2).reshape(-1, 8)
    eigenvalues = torch.linalg.eigvalsh(patches.T @ patches / len(patches)).flip(0)
    norms = whitening_filters(images, 2, epsilon=0.0).flatten(1).norm(dim=1)
    torch.testing.assert_close(norms.double(), eigenvalues**-0.5, rtol=1e-4, atol=0)


def test_the_first_convolution_gets_whitening_and_its_negative_and_is_frozen():
    images = correlated_images()
    model = nn.Sequential(nn.Identity(), nn.Conv2d(2, 18, 2))
    rest = model[1].weight.detach()[16:].clone()
    whiten_first_convolution(model, images)
    weight = model[1].weight
    assert torch.equal(weight[:8], -weight[8:16]) and torch.equal(weight[:8], whitening_filters(images, 2))
    assert torch.equal(weight[16:], rest)
    assert not weight.requires_grad and model[1].bias.requires_grad


def test_a_bias_that_does_not_learn_is_zero():
    model = nn.Conv2d(2, 18, 2)
    whiten_first_convolution(model, correlated_images(), bias_learns=False)
    assert not model.bias.requires_grad and not model.bias.any()


def test_too_few_filters_take_the_strongest_components():
    images = correlated_images()
    model = nn.Conv2d(2, 7, 2)
    whiten_first_convolution(model, images)
    strongest = whitening_filters(images, 2)[:3]
    assert torch.equal(model.weight[:6], torch.cat([strongest, -strongest]))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Conv2d(2, 1, 2), "`whiten` needs two filters at least in the first convolution; `stem` has one."),
        (nn.Conv2d(2, 16, 2, groups=2), "`whiten` needs a first convolution without groups; `stem` has 2."),
        (nn.Conv2d(2, 64, (2, 3)), "`whiten` needs a square first convolution; `stem` is 2x3."),
        (nn.Linear(4, 4), "`whiten` needs a convolution, and the network has none."),
    ],
    ids=("few", "groups", "oblong", "none"),
)
def test_a_layer_that_cannot_hold_the_whitening_is_refused(layer, message):
    model = nn.Sequential()
    model.add_module("stem", layer)
    with pytest.raises(ShapeError) as caught:
        whiten_first_convolution(model, correlated_images())
    assert str(caught.value) == message

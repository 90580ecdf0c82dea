"""Weight gradients over small maps as three matrix products: those of PyTorch, and only where they are asked for."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.training import small_maps
from fovea.training.recipe import Recipe
from fovea.training.small_maps import SmallMaps, weight_gradient


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (7, 5)], ids=str)
def test_the_gradient_is_that_of_the_convolution(shape):
    x, weight = random(4, 6, *shape), random(5, 6, 3, 3).requires_grad_()
    outputs = F.conv2d(x, weight, padding=1)
    gradient = random(*outputs.shape, seed=1)
    outputs.backward(gradient)
    torch.testing.assert_close(weight_gradient(gradient, x), weight.grad, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_single_one_is_the_pixel_around_it():
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    gradient = torch.zeros(1, 1, 3, 3)
    gradient[0, 0, 1, 1] = 1
    assert torch.equal(weight_gradient(gradient, x)[0, 0], x[0, 0])


def passed(layer, x, context):
    x, layer.weight.grad = x.clone().requires_grad_(), None
    with context, torch.autocast("cpu", torch.bfloat16):
        outputs = layer(x)
    outputs.float().square().sum().backward()
    return outputs, x.grad, layer.weight.grad


def test_a_step_is_the_same_up_to_rounding():
    torch.manual_seed(0)
    layer = nn.Conv2d(128, 128, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    x = torch.randn(3, 128, 4, 4).to(memory_format=torch.channels_last)
    usual, here = (passed(layer, x, small_maps.context(chosen)) for chosen in (False, True))
    assert torch.equal(usual[0], here[0]) and torch.equal(usual[1], here[1])
    assert "_Convolution" in here[0].grad_fn.name() and "_Convolution" not in usual[0].grad_fn.name()
    assert here[2].dtype == torch.float32 and (here[2] - usual[2]).norm() < 1e-2 * usual[2].norm()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(128, 128, 3, padding=1),
        nn.Conv2d(128, 128, 3, bias=False),
        nn.Conv2d(128, 128, 3, padding=1, stride=2, bias=False),
        nn.Conv2d(384, 384, 1, bias=False),
        nn.Conv2d(1024, 128, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.Conv2d(128, 128, 3, padding="same", bias=False),
    ],
    ids=str,
)
def test_other_convolutions_stay_as_they_are(layer):
    with SmallMaps(), torch.autocast("cpu", torch.bfloat16):
        outputs = layer(torch.randn(1, layer.in_channels, 4, 4))
    assert "_Convolution" not in outputs.grad_fn.name()


def test_large_maps_stay_as_they_are():
    layer = nn.Conv2d(128, 128, 3, padding=1, bias=False)
    with SmallMaps(), torch.autocast("cpu", torch.bfloat16):
        assert "_Convolution" not in layer(torch.randn(1, 128, 8, 8)).grad_fn.name()


def test_it_pays_only_in_bfloat16_on_a_processor_with_amx(monkeypatch):
    layer, cpu = nn.Conv2d(128, 128, 3), torch.device("cpu")
    fast = Recipe(precision="bfloat16")
    for here in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda here=here: here)
        assert small_maps.pays(layer, fast, cpu) is here
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert not small_maps.pays(layer, Recipe(precision="float32"), cpu)
    assert not small_maps.pays(layer, fast, torch.device("cuda"))
    assert not small_maps.pays(nn.Conv2d(3, 8, 3), fast, cpu)

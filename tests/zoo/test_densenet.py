import math

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.densenet import DenseLayer, table_2


def test_a_layer_keeps_its_input_and_adds_k_maps():
    torch.manual_seed(0)
    layer, x = DenseLayer(6, 4).eval(), torch.randn(2, 6, 5, 5)
    y = layer(x)
    assert y.shape == (2, 10, 5, 5)
    assert torch.equal(y[:, :6], x)
    inner = layer.new.conv1((x / math.sqrt(1 + 1e-5)).relu())
    assert inner.shape[1] == 16
    torch.testing.assert_close(y[:, 6:], layer.new.conv2((inner / math.sqrt(1 + 1e-5)).relu()))


def test_every_layer_sees_all_before_it():
    # Huang et al. 2016, section 3: layer l of a block has k0 + k (l - 1) input maps
    with torch.device("meta"):
        model = registry.build("densenet121")
    layers = [m.new.bn1.num_features for m in model.stage2 if isinstance(m, DenseLayer)]
    assert layers == [128 + 32 * i for i in range(12)]


@pytest.mark.parametrize(
    ("name", "channels"),
    [("densenet121", [256, 512, 1024, 1024]), ("densenet161", [384, 768, 2112, 2208])],
)
def test_the_maps_have_the_sizes_of_table_1(name, channels):
    with torch.device("meta"):
        model, x = registry.build(name), torch.empty(1, 3, 224, 224)
    shapes = []
    for child in ("stem", "stage1", "stage2", "stage3", "stage4"):
        x = getattr(model, child)(x)
        shapes.append((x.shape[1], x.shape[-1]))
    assert shapes[1:] == list(zip(channels, [56, 28, 14, 7], strict=True))
    assert [type(m) for m in model.stage4[-2:]] == [nn.BatchNorm2d, nn.ReLU]


def test_a_transition_halves_channels_and_map():
    model = registry.build("cifar_densenet100_12")
    assert model.stage2.transition(torch.zeros(1, 216, 32, 32)).shape == (1, 108, 16, 16)


@pytest.mark.parametrize(("depth", "k", "n"), [(100, 12, 16), (190, 40, 31), (250, 24, 41)])
def test_layers_of_a_cifar_block(depth, k, n):
    assert table_2(depth, k) == (k, (n, n, n))


@pytest.mark.parametrize(("name", "smallest"), [("densenet121", 29), ("cifar_densenet100_12", 4)])
def test_too_small_an_input_is_told_the_smallest(name, smallest):
    with torch.device("meta"):
        model = registry.build(name, size=smallest)
        model(torch.empty(2, 3, smallest, smallest))
    with pytest.raises(ShapeError, match=rf"`stage\d.transition.pool` \(2x2\).*must be at least {smallest}\."):
        registry.build(name, size=smallest - 1)

"""Figures printed in papers and lectures, as literals, each with its source."""

import pytest
from torch import nn

import fovea.zoo  # noqa: F401  registers the networks
from fovea import registry


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def rows(name: str, **arguments: object) -> list[int]:
    """Parameters of each layer that has any, in order, moving averages of batch norm included."""
    leaves = [m for m in registry.build(name, **arguments).modules() if not list(m.children())]
    counts = [parameters(m) + sum(b.numel() for b in m.buffers() if b.ndim) for m in leaves]
    return [count for count in counts if count]


def test_lenet5_layer_by_layer():
    # Lecture 000, LeNet-5: the parameter column, with 400 inputs to the first dense layer
    assert rows("lenet5") == [156, 2_416, 48_120, 10_164, 850]
    assert sum(rows("lenet5")) == 61_706


def test_lenet5_without_padding_has_256_inputs_to_its_dense_layer():
    # Lecture 000: the shapes of the same table are those of a 28 x 28 input
    assert registry.build("lenet5", size=28).head.dense1.in_features == 256


def test_fashion_cnn_layer_by_layer():
    # Lecture 002, fmnist_cnn.py: the column Param #
    printed = [320, 128, 9_248, 128, 18_496, 256, 36_928, 256, 1_606_144, 2_048, 5_130]
    assert sorted(rows("fashion_cnn")) == sorted(printed)
    assert sum(printed) == 1_679_082


def test_fashion_cnn_trainable_and_not():
    # Lecture 002: trainable params 1,677,674, non-trainable params 1,408
    model = registry.build("fashion_cnn")
    assert parameters(model) == 1_677_674
    assert sum(b.numel() for b in model.buffers() if b.ndim) == 1_408


@pytest.mark.parametrize(("name", "count"), [("vgg_block1", 1_060_138), ("vgg_block3", 550_570)])
def test_cifar10_networks_of_the_lecture(name, count):
    # Lecture 000, examples 2a, 2b, 3a
    assert parameters(registry.build(name)) == count
    assert parameters(registry.build(name, dropout=0.2)) == count


def test_mlp_with_one_hidden_layer():
    # By hand: 28 * 28 * 128 + 128 and 128 * 10 + 10
    assert rows("mlp") == [100_480, 1_290]


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("resnet18", 11_689_512, 1_814_073_344), ("resnet34", 21_797_672, 3_663_761_408)],
)
def test_resnet_on_imagenet(name, params, macs):
    # He et al. 2015, Table 1, with shortcut B; counted by another implementation
    assert (registry.card(name).params, registry.card(name).macs) == (params, macs)
    assert parameters(registry.build(name)) == params


@pytest.mark.parametrize(
    ("layers", "millions"),
    [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.73")],
)
def test_resnet_on_cifar10(layers, millions):
    # He et al. 2015, Table 6: # params; it prints 1.7 M for 110 layers
    assert f"{parameters(registry.build(f'cifar_resnet{layers}')) / 1e6:.2f}" == millions


@pytest.mark.parametrize("layers", [20, 32, 44, 56, 110])
def test_cifar_resnet_has_as_many_weighted_layers_as_its_name(layers):
    # He et al. 2015, section 4.2: 6n + 2 stacked weighted layers
    model = registry.build(f"cifar_resnet{layers}")
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == layers


@pytest.mark.parametrize(("name", "layers"), [("resnet18", 18), ("resnet34", 34)])
def test_imagenet_resnet_has_as_many_weighted_layers_as_its_name(name, layers):
    # He et al. 2015, Table 1; the three projection shortcuts are not counted there
    model = registry.build(name)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == layers + 3

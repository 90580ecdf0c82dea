"""Figures printed in papers and lectures, as literals, each with its source."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fovea.zoo  # noqa: F401  registers the networks
from fovea import registry
from fovea.zoo.resnet import Stage, basic, residual


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def on_meta(name: str, **arguments: object) -> nn.Module:
    with torch.device("meta"):
        return registry.build(name, **arguments)


def macs(name: str, **arguments: object) -> int:
    """Multiply-adds of convolutions and dense layers for one image of the card's size."""
    model, x = on_meta(name, **arguments).eval(), torch.empty(1, *registry.card(name).input, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() // 2


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


COUNTED_ELSEWHERE = (
    # torchvision 0.28: parameters, multiply-adds of convolutions and dense layers at 224 x 224
    ("resnet18", 11_689_512, 1_814_073_344),
    ("resnet34", 21_797_672, 3_663_761_408),
    ("resnet50", 25_557_032, 4_089_184_256),
    ("resnet101", 44_549_160, 7_801_405_440),
    ("resnet152", 60_192_808, 11_513_626_624),
    ("wide_resnet50", 68_883_240, 11_398_021_120),
    ("resnext50_32x4d", 25_028_904, 4_230_479_872),
    ("resnext101_64x4d", 83_455_272, 15_460_270_080),
    ("densenet121", 7_978_856, 2_834_161_664),
    ("densenet161", 28_681_000, 7_727_907_072),
    ("densenet169", 14_149_480, 3_359_843_328),
    ("densenet201", 20_013_928, 4_291_365_888),
    # timm 1.0.31, likewise
    ("resnet50_v2", 25_549_352, 4_089_184_256),
    ("seresnet50", 28_088_024, 4_091_699_200),
    ("senet154", 115_088_984, 20_688_363_520),
)


@pytest.mark.parametrize(("name", "params", "macs"), COUNTED_ELSEWHERE)
def test_cards_equal_what_other_libraries_count(name, params, macs):
    assert (registry.card(name).params, registry.card(name).macs) == (params, macs)


@pytest.mark.parametrize(
    ("name", "arguments", "billions"),
    [
        ("plain18", {}, "1.8"),
        ("resnet18", {"shortcut": "A"}, "1.8"),
        ("plain34", {}, "3.6"),
        ("resnet34", {"shortcut": "A"}, "3.6"),
        ("resnet101", {"stride_in": "1x1"}, "7.6"),
        ("resnet152", {"stride_in": "1x1"}, "11.3"),
    ],
)
def test_resnet_flops(name, arguments, billions):
    # He et al. 2015, Table 1, last row: FLOPs (multiply-adds)
    assert f"{macs(name, **arguments) / 1e9:.1f}" == billions


def test_resnet50_flops():
    # He et al. 2015, Table 1, prints 3.8: 3.858 cut off. Hu et al. 2017, section 4, prints 3.86.
    assert macs("resnet50", stride_in="1x1") == 3_857_973_248


def test_resnet_parameters_of_the_lecture():
    # Lecture 000, ResNet, and Zagoruyko and Komodakis 2016, Table 8: 25.6M, 44.5M, 60.2M; WRN-50-2-bottleneck 68.9M
    names = ("resnet50", "resnet101", "resnet152", "wide_resnet50")
    assert [f"{registry.card(name).params / 1e6:.1f}" for name in names] == ["25.6", "44.5", "60.2", "68.9"]


def test_residual_module_of_the_lecture():
    # Lecture 000: 38,976 parameters from 3 to 64 channels; its convolutions have biases, and no batch norm follows
    block = residual(basic)(3, Stage(64, 64, 1, 1), stride=1)
    convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert sum(conv.weight.numel() + conv.out_channels for conv in convs) == 38_976


@pytest.mark.parametrize(
    ("layers", "millions"),
    [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.73"), (1202, "19.42")],
)
def test_resnet_on_cifar10(layers, millions):
    # He et al. 2015, Table 6: # params; it prints 1.7 M for 110 layers and 19.4 M for 1202
    assert f"{registry.card(f'cifar_resnet{layers}').params / 1e6:.2f}" == millions


@pytest.mark.parametrize(
    ("name", "layers", "beside"),
    [
        *((f"cifar_resnet{n}", n, 0) for n in (20, 32, 44, 56, 110)),  # He et al. 2015, section 4.2: 6n + 2
        *((f"cifar_plain{n}", n, 0) for n in (20, 32, 44, 56)),
        *((f"plain{n}", n, 0) for n in (18, 34)),
        *((f"resnet{n}", n, 3) for n in (18, 34)),  # Table 1 does not count the projections
        *((f"resnet{n}", n, 4) for n in (50, 101, 152)),
        *((f"resnet{n}_v2", n, 4) for n in (50, 101, 152)),
        *((f"densenet{n}", n, 0) for n in (121, 161, 169, 201)),  # Huang et al. 2016, Table 1
        ("densenet264", 264, 1),  # Table 1 prints blocks of 6, 12, 64, 48: 2 * 130 + 5 = 265
        *((f"cifar_densenet{n}", int(n.partition("_")[0]), 0) for n in ("100_12", "190_40", "250_24")),
        # Zagoruyko and Komodakis 2016, section 3: convolutions, the three projections included; not the dense layer
        ("cifar_wrn28_10", 28, 1),
        ("cifar_wrn40_2", 40, 1),
        # Hu et al. 2017: ResNeXt-152 with two more convolutions in its stem; 50 blocks of two gates, 4 projections
        ("senet154", 154, 2 * 50 + 4),
    ],
)
def test_networks_have_as_many_weighted_layers_as_their_name(name, layers, beside):
    model = on_meta(name)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == layers + beside


def test_wide_resnet_parameters():
    # Zagoruyko and Komodakis 2016, Table 4: WRN-40-2 2.2M, WRN-28-10 36.5M
    assert f"{registry.card('cifar_wrn40_2').params / 1e6:.1f}" == "2.2"
    assert f"{registry.card('cifar_wrn28_10').params / 1e6:.1f}" == "36.5"


def test_resnext_costs_what_resnet_costs():
    # Xie et al. 2016, Table 1, x 10^6 parameters and 10^9 FLOPs: 25.5 (25.557 cut off) and 4.1; 25.0 and 4.2
    resnet, resnext = registry.card("resnet50"), registry.card("resnext50_32x4d")
    assert [f"{count / 1e6:.1f}" for count in (resnet.params, resnext.params)] == ["25.6", "25.0"]
    assert [f"{count / 1e9:.1f}" for count in (resnet.macs, resnext.macs)] == ["4.1", "4.2"]


def test_squeeze_and_excitation_adds_two_and_a_half_million_parameters():
    # Hu et al. 2017, equation 5: 2 / r * sum of N_s C_s^2; the biases of the two layers are not in it
    stages = ((3, 256), (4, 512), (6, 1024), (3, 2048))
    equation_5 = sum(2 * n * c**2 // 16 for n, c in stages)
    biases = sum(n * (c + c // 16) for n, c in stages)
    assert f"{equation_5 / 1e6:.1f}" == "2.5"
    assert registry.card("seresnet50").params - registry.card("resnet50").params == equation_5 + biases


def test_squeeze_and_excitation_flops():
    # Hu et al. 2017, section 4: 3.87 GFLOPs, with the sums of the squeeze and the products of the scaling
    maps = ((3, 256, 56), (4, 512, 28), (6, 1024, 14), (3, 2048, 7))
    both = 2 * sum(n * c * size**2 for n, c, size in maps)
    assert f"{(macs('seresnet50', stride_in='1x1') + both) / 1e9:.2f}" == "3.87"


@pytest.mark.parametrize(("name", "millions"), [("100_12", "0.8"), ("250_24", "15.3"), ("190_40", "25.6")])
def test_densenet_on_cifar10(name, millions):
    # Huang et al. 2016, Table 2: DenseNet-BC with depth and growth rate
    assert f"{registry.card(f'cifar_densenet{name}').params / 1e6:.1f}" == millions


@pytest.mark.parametrize(
    ("name", "total", "biases"),
    [
        ("resnet50", 25_636_712, 26_560),
        ("resnet101", 44_707_176, 52_672),
        ("resnet152", 60_419_944, 75_712),
        ("resnet50_v2", 25_613_800, 19_008),
        ("resnet101_v2", 44_675_560, 36_416),
        ("resnet152_v2", 60_380_648, 51_776),
        ("densenet121", 8_062_504, 0),
        ("densenet169", 14_307_880, 0),
        ("densenet201", 20_242_984, 0),
    ],
)
def test_keras_table(name, total, biases):
    # Lecture 002, popular CNN architectures: Parameters, with moving averages, and biases of convolutions that
    # a batch norm follows
    model = on_meta(name)
    moving = sum(b.numel() for b in model.buffers() if b.ndim)
    assert parameters(model) + moving + biases == total

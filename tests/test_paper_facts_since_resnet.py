"""Figures printed in papers and lectures, as literals, each with its source: from ResNet on."""

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
    model, x = on_meta(name, **arguments).eval(), torch.empty(1, *registry.entry(name).input, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return counter.get_total_flops() // 2


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
    assert [f"{registry.entry(name).params / 1e6:.1f}" for name in names] == ["25.6", "44.5", "60.2", "68.9"]


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
    assert f"{registry.entry(f'cifar_resnet{layers}').params / 1e6:.2f}" == millions


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
    assert f"{registry.entry('cifar_wrn40_2').params / 1e6:.1f}" == "2.2"
    assert f"{registry.entry('cifar_wrn28_10').params / 1e6:.1f}" == "36.5"


def test_resnext_costs_what_resnet_costs():
    # Xie et al. 2016, Table 1, x 10^6 parameters and 10^9 FLOPs: 25.5 (25.557 cut off) and 4.1; 25.0 and 4.2
    resnet, resnext = registry.entry("resnet50"), registry.entry("resnext50_32x4d")
    assert [f"{count / 1e6:.1f}" for count in (resnet.params, resnext.params)] == ["25.6", "25.0"]
    assert [f"{count / 1e9:.1f}" for count in (resnet.macs, resnext.macs)] == ["4.1", "4.2"]


def test_squeeze_and_excitation_adds_two_and_a_half_million_parameters():
    # Hu et al. 2017, equation 5: 2 / r * sum of N_s C_s^2; the biases of the two layers are not in it
    stages = ((3, 256), (4, 512), (6, 1024), (3, 2048))
    equation_5 = sum(2 * n * c**2 // 16 for n, c in stages)
    biases = sum(n * (c + c // 16) for n, c in stages)
    assert f"{equation_5 / 1e6:.1f}" == "2.5"
    assert registry.entry("seresnet50").params - registry.entry("resnet50").params == equation_5 + biases


def test_squeeze_and_excitation_flops():
    # Hu et al. 2017, section 4: 3.87 GFLOPs, with the sums of the squeeze and the products of the scaling
    maps = ((3, 256, 56), (4, 512, 28), (6, 1024, 14), (3, 2048, 7))
    both = 2 * sum(n * c * size**2 for n, c, size in maps)
    assert f"{(macs('seresnet50', stride_in='1x1') + both) / 1e9:.2f}" == "3.87"


@pytest.mark.parametrize(("name", "millions"), [("100_12", "0.8"), ("250_24", "15.3"), ("190_40", "25.6")])
def test_densenet_on_cifar10(name, millions):
    # Huang et al. 2016, Table 2: DenseNet-BC with depth and growth rate
    assert f"{registry.entry(f'cifar_densenet{name}').params / 1e6:.1f}" == millions


@pytest.mark.parametrize(
    ("number", "millions", "billions"),
    [(0, 5.3, 0.39), (1, 7.8, 0.70), (2, 9.2, 1.0), (3, 12, 1.8), (4, 19, 4.2), (5, 30, 9.9), (6, 43, 19), (7, 66, 37)],
)
def test_efficientnet_by_scale(number, millions, billions):
    # Tan and Le 2019, Table 2: #Params, #FLOPs (multiply-adds); counted at sizes that differ a little from the code's
    card = registry.entry(f"efficientnet_b{number}")
    assert card.params / 1e6 == pytest.approx(millions, rel=0.02)
    assert card.macs / 1e9 == pytest.approx(billions, rel=0.05)


@pytest.mark.parametrize(
    ("name", "million_macs", "millions"),
    [
        ("mobilenet_v3_large", 219, "5.5"),  # Howard et al. 2019, Table 3: MAdds; parameters 5.4
        ("mobilenet_v3_small", 56, "2.5"),
        ("nasnet_mobile", 564, "5.3"),  # Zoph et al. 2017, Table 3
        ("mnasnet_a1", 312, "3.9"),  # Tan et al. 2018, Table 1
    ],
)
def test_searched_mobile_networks(name, million_macs, millions):
    assert registry.entry(name).macs / 1e6 == pytest.approx(million_macs, rel=0.012)
    assert f"{registry.entry(name).params / 1e6:.1f}" == millions


def test_squeezenet_layer_by_layer():
    # Iandola et al. 2016, Table 1: # parameters before pruning, of conv1, fire2 to fire9, conv10
    printed = [14_208, 11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184, 513_000]
    model = on_meta("squeezenet1_0")
    fires = [module for name, module in model.named_modules() if name.split(".")[-1].startswith("fire")]
    assert [parameters(module) for module in (model.stem, *fires, model.head)] == printed
    assert sum(printed) == registry.entry("squeezenet1_0").params == 1_248_424


@pytest.mark.parametrize(
    ("name", "million_macs", "millions"),
    [
        # Howard et al. 2017, Table 6: million mult-adds, million parameters
        ("mobilenet_v1", 569, "4.2"),
        ("mobilenet_v1_075", 325, "2.6"),
        ("mobilenet_v1_05", 149, "1.3"),
        ("mobilenet_v1_025", 41, "0.5"),
        # Table 7
        ("mobilenet_v1_r192", 418, "4.2"),
        ("mobilenet_v1_r160", 290, "4.2"),
        ("mobilenet_v1_r128", 186, "4.2"),
    ],
)
def test_mobilenet_by_width_and_size(name, million_macs, millions):
    assert int(registry.entry(name).macs / 1e6) == pytest.approx(million_macs, abs=1)  # 568.7 is printed 569
    assert f"{registry.entry(name).params / 1e6:.1f}" == millions


@pytest.mark.parametrize(
    ("name", "million_flops", "millions"),
    [
        ("shufflenet_v2_05", 41, "1.4"),
        ("shufflenet_v2", 146, "2.3"),
        ("shufflenet_v2_15", 299, "3.5"),
        ("shufflenet_v2_20", 591, "7.4"),
    ],
)
def test_shufflenet_v2_by_width(name, million_flops, millions):
    # Ma et al. 2018, Table 5: FLOPs, which are 1 to 1.5 % more than convolutions and dense layer have; the paper does
    # not say what else it counts (a multiply-add per value of each batch norm accounts for the three smaller). The
    # authors' code: parameters
    card = registry.entry(name)
    assert 0.985 < card.macs / (million_flops * 1e6) < 0.995
    assert f"{card.params / 1e6:.1f}" == millions


@pytest.mark.parametrize(
    ("name", "million_macs", "millions"),
    [
        # The authors' code: MACs (M), Parameters (M) without those of batch norms
        ("mobilenet_v2_14", 582, "6.06"),
        ("mobilenet_v2", 300, "3.47"),
        ("mobilenet_v2_075", 209, "2.61"),
        ("mobilenet_v2_05", 97, "1.95"),
        ("mobilenet_v2_035", 59, "1.66"),
    ],
)
def test_mobilenet_v2_by_width(name, million_macs, millions):
    norms = sum(parameters(m) for m in on_meta(name).modules() if isinstance(m, nn.BatchNorm2d))
    assert int(registry.entry(name).macs / 1e6) == million_macs
    assert f"{(registry.entry(name).params - norms) / 1e6:.2f}" == millions


@pytest.mark.parametrize(("groups", "million_macs"), [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)])
def test_shufflenet_by_groups(groups, million_macs):
    # Zhang et al. 2017, Table 1: complexity; as the figures show, of the convolutions alone
    card, head = registry.entry(f"shufflenet_v1_g{groups}"), on_meta(f"shufflenet_v1_g{groups}").head
    assert round((card.macs - head.logits.weight.numel()) / 1e6) == million_macs

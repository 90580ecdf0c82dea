"""Figures printed in papers and lectures, as literals, each with its source."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fovea.zoo  # noqa: F401  registers the networks
from fovea import registry
from fovea.zoo.inception import Inception, Maps, NaiveInception
from fovea.zoo.lenet import RadialBasis, Subsampling
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
    leaves = [m for m in on_meta(name, **arguments).modules() if not list(m.children())]
    counts = [parameters(m) + sum(b.numel() for b in m.buffers() if b.ndim) for m in leaves]
    return [count for count in counts if count]


def test_lenet5_layer_by_layer():
    # Lecture 000, LeNet-5: the parameter column, with 400 inputs to the first dense layer
    assert rows("lenet5") == [156, 2_416, 48_120, 10_164, 850]
    assert sum(rows("lenet5")) == 61_706


def test_lenet5_without_padding_has_256_inputs_to_its_dense_layer():
    # Lecture 000: the shapes of the same table are those of a 28 x 28 input
    assert registry.build("lenet5", size=28).head.dense1.in_features == 256


def connections(name: str) -> int:
    """Weights and biases, each as often as it is used on one image."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        inputs_of_a_unit = 4 if isinstance(module, Subsampling) else module.weight[0].numel()
        total += (inputs_of_a_unit + 1) * output[0].numel()

    model = on_meta(name)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | Subsampling):
            module.register_forward_hook(count)
    model(torch.empty(1, *registry.card(name).input, device="meta"))
    return total + sum(m.codes.numel() for m in model.modules() if isinstance(m, RadialBasis))


def test_lenets_of_the_papers():
    # LeCun et al. 1989: 98442 connections, 2578 independent parameters; LeCun et al. 1998, section III-C of LeNet-1:
    # about 100,000 multiply-adds
    assert (connections("lenet1"), registry.card("lenet1").params) == (98_442, 2_578)
    assert round(registry.card("lenet1").macs, -4) == 90_000  # 91,520 without subsampling and biases
    # LeCun et al. 1998, section II-B: C1, S2, C3, S4, C5, F6; 340,908 connections, 60,000 trainable parameters
    assert [parameters(layer) for layer in on_meta("lenet5_1998").stage1] == [156, 0, 12, 0]
    assert [parameters(layer) for layer in on_meta("lenet5_1998").stage2] == [1_516, 0, 32, 0]
    assert rows("lenet5_1998")[-3:-1] == [48_120, 10_164]
    assert (connections("lenet5_1998"), registry.card("lenet5_1998").params) == (340_908, 60_000)


def test_lenet_of_caffe():
    # Jia et al. 2014, the digits example: 431,080
    assert rows("lenet_caffe") == [520, 25_050, 400_500, 5_010]
    assert registry.card("lenet_caffe").params == 431_080


def test_alexnet_layer_by_layer():
    # Lecture 000, AlexNet: # of Param; 94 % of them in the dense layers
    printed = [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000]
    assert rows("alexnet_ungrouped") == printed
    assert sum(printed) == registry.card("alexnet_ungrouped").params == 62_378_344
    assert f"{sum(printed[5:]) / sum(printed):.2f}" == "0.94"
    # Krizhevsky et al. 2012: 60 million parameters, with two groups
    assert registry.card("alexnet").params == 60_965_224


def test_alexnet_neurons():
    # Krizhevsky et al. 2012, Figure 2: 253,440-186,624-64,896-64,896-43,264-4096-4096-1000 neurons. The first does not
    # follow: 55 x 55 x 96 are 290,400.
    maps, x = [], torch.empty(1, 3, 227, 227, device="meta")
    for name, stage in on_meta("alexnet").named_children():
        if name != "head":
            maps.append(stage.conv(x).numel())
            x = stage(x)
    assert maps == [290_400, 186_624, 64_896, 64_896, 43_264]


def test_zfnet():
    # By hand, with 512, 1024 and 512 maps: stride 2 in the second layer leaves 6 x 6 of them; lecture 001 names only
    # the first layer's change, which leaves 13 x 13
    assert rows("zfnet")[5] == 6 * 6 * 512 * 4096 + 4096
    assert rows("zfnet_slide")[5] == 13 * 13 * 512 * 4096 + 4096
    assert registry.card("zfnet").params == 107_627_624
    assert registry.card("zfnet_slide").params == 386_548_840


def test_vgg16_row_by_row():
    # Lecture 001, VGG: params, not counting biases; 138M in all
    convs = [1_728, 36_864, 73_728, 147_456, 294_912, *[589_824] * 2, 1_179_648, *[2_359_296] * 5]
    dense = [102_760_448, 16_777_216, 4_096_000]
    weights = [p.numel() for p in on_meta("vgg16").parameters() if p.ndim > 1]
    assert weights == convs + dense
    # Lecture 000 prints 138,423,208, as it counts 65,664 parameters of a pooling
    assert registry.card("vgg16").params == 138_423_208 - 65_664


@pytest.mark.parametrize(
    ("name", "layers", "millions"),
    # Simonyan and Zisserman 2014, Table 1: weight layers; Table 2: number of parameters
    [("11", 11, 133), ("11_lrn", 11, 133), ("13", 13, 133), ("16_c", 16, 134), ("16", 16, 138), ("19", 19, 144)],
)
def test_vgg_by_column(name, layers, millions):
    model = on_meta(f"vgg{name}")
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == layers
    assert round(parameters(model) / 1e6) == millions


def test_network_in_network():
    # The authors' network for ImageNet: a file of 29 MB of float32. Lecture 004: dramatically fewer parameters
    assert round(4 * registry.card("nin").params / 2**20) == 29
    assert registry.card("nin").params == 7_595_176
    # By hand: 192 x (75 + 1), 160 x 193, 96 x 161; 192 x 2401, twice 192 x 193; 192 x 1729, 192 x 193, 10 x 193
    counts = [14_592, 30_880, 15_456, 460_992, 37_056, 37_056, 331_968, 37_056, 1_930]
    assert rows("cifar_nin") == counts
    assert registry.card("cifar_nin").params == sum(counts) == 966_986


def test_inception_modules_of_the_lectures():
    # Lecture 000: the functions in Keras, on 3 channels, the second one after the first
    naive = NaiveInception(3, 64, 128, 32)
    assert (parameters(naive), naive(torch.empty(1, 3, 8, 8)).shape[1]) == (6_272, 227)
    assert parameters(Inception(3, Maps(64, 96, 128, 16, 32, 32))) == 124_384
    assert parameters(Inception(256, Maps(128, 128, 192, 32, 96, 64))) == 388_736


def test_inception_operations_of_the_lectures():
    # Lecture 001, 28 x 28 x 256: 854M operations; with bottlenecks of 64 "358M", yet the six products sum to 271M
    naive, reduced = NaiveInception(256, 128, 192, 96), Inception(256, Maps(128, 64, 192, 64, 96, 64))
    for module, channels, operations in ((naive, 672, 854_196_224), (reduced, 480, 271_351_808)):
        with FlopCounterMode(display=False) as counter:
            assert module.to("meta")(torch.empty(1, 256, 28, 28, device="meta")).shape[1] == channels
        assert counter.get_total_flops() == 2 * operations


# Szegedy et al. 2014, Table 1 (lecture 000): params in K and ops in M as printed; then weights / 1024 and 10^6
# multiply-adds as they follow from its own columns. Printed and computed params differ from 4a on, without a pattern;
# the ops are right but for those of 5a, which go with its params.
TABLE_1 = (
    ("3a", 159, 128, 159.5, 128.0),
    ("3b", 380, 304, 379.0, 304.3),
    ("4a", 364, 73, 366.75, 73.6),
    ("4b", 437, 88, 438.0, 87.9),
    ("4c", 463, 100, 497.5, 99.9),
    ("4d", 580, 119, 590.5, 118.5),
    ("4e", 840, 170, 847.0, 170.0),
    ("5a", 1072, 54, 1018.0, 51.1),
    ("5b", 1388, 71, 1409.0, 70.7),
)


def test_googlenet_module_by_module():
    modules = {n[-2:]: m for n, m in on_meta("googlenet").named_modules() if isinstance(m, Inception)}
    sizes = {"3": 28, "4": 14, "5": 7}
    for name, _, ops, kilo, mega in TABLE_1:
        weights = sum(p.numel() for p in modules[name].parameters() if p.ndim == 4)
        assert weights / 1024 == kilo
        assert round(weights * sizes[name[0]] ** 2 / 1e6, 1) == mega
        assert name == "5a" or abs(mega - ops) < 1
    assert registry.card("googlenet").params == 6_998_552  # lectures: 4M (002, 004), 5M (001), 6.7M (000)


def test_googlenet_has_22_layers_with_parameters():
    # Szegedy et al. 2014, section 5: 22 layers deep when counting only layers with parameters; a module is two deep
    model = on_meta("googlenet")
    modules = sum(isinstance(m, Inception) for m in model.modules())
    plain = sum(isinstance(m, nn.Conv2d | nn.Linear) for part in (model.stem, model.head) for m in part.modules())
    assert 2 * modules + plain == 22


def test_inception_v3_and_xception():
    # Szegedy et al. 2015, abstract: 5 billion multiply-adds, less than 25 million parameters; it counts 299 x 299
    card = registry.card("inception_v3")
    assert (card.macs // 10**9, card.params < 25e6) == (5, True)
    # Chollet 2016, Table 3: Xception 22,855,952; Inception V3 23,626,728, where that of the published weights has more
    assert registry.card("xception").params == 22_855_952


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
    ("alexnet_owt", 61_100_840, 714_188_480),
    ("vgg11", 132_863_336, 7_609_090_048),
    ("vgg13", 133_047_848, 11_308_466_176),
    ("vgg16", 138_357_544, 15_470_264_320),
    ("vgg19", 143_667_240, 19_632_062_464),
    ("googlenet_bn", 6_624_904, 1_498_376_192),
    ("inception_v3", 23_834_568, 5_713_216_096),  # at 299 x 299
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
    ("xception", 22_855_952, 8_357_403_496),  # at 299 x 299
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
        ("xception", 22_910_480, 0),
        ("vgg16", 138_357_544, 0),
        ("vgg19", 143_667_240, 0),
        ("inception_v3", 23_851_784, -17_216),  # its batch norms have no scale there
        ("resnet50", 25_636_712, 26_560),
        ("resnet101", 44_707_176, 52_672),
        ("resnet152", 60_419_944, 75_712),
        ("resnet50_v2", 25_613_800, 19_008),
        ("resnet101_v2", 44_675_560, 36_416),
        ("resnet152_v2", 60_380_648, 51_776),
        ("mobilenet_v1", 4_253_864, 0),
        ("mobilenet_v2", 3_538_984, 0),
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


def test_squeezenet_layer_by_layer():
    # Iandola et al. 2016, Table 1: # parameters before pruning, of conv1, fire2 to fire9, conv10
    printed = [14_208, 11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184, 513_000]
    model = on_meta("squeezenet1_0")
    fires = [module for name, module in model.named_modules() if name.split(".")[-1].startswith("fire")]
    assert [parameters(module) for module in (model.stem, *fires, model.head)] == printed
    assert sum(printed) == registry.card("squeezenet1_0").params == 1_248_424


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
    assert int(registry.card(name).macs / 1e6) == pytest.approx(million_macs, abs=1)  # 568.7 is printed 569
    assert f"{registry.card(name).params / 1e6:.1f}" == millions


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
    card = registry.card(name)
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
    assert int(registry.card(name).macs / 1e6) == million_macs
    assert f"{(registry.card(name).params - norms) / 1e6:.2f}" == millions


@pytest.mark.parametrize(("groups", "million_macs"), [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)])
def test_shufflenet_by_groups(groups, million_macs):
    # Zhang et al. 2017, Table 1: complexity; as the figures show, of the convolutions alone
    card, head = registry.card(f"shufflenet_v1_g{groups}"), on_meta(f"shufflenet_v1_g{groups}").head
    assert round((card.macs - head.logits.weight.numel()) / 1e6) == million_macs

"""Figures of the lectures and of published architectures: parameters, multiply-adds, memory, receptive fields."""

import math

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401  registers the networks
from fovea import registry
from fovea.jobs.measure import measure
from fovea.measurement.network import measure_network

# Counted by two other libraries: trainable parameters and MACs (1 MAC = 1 multiply-add, biases not counted)
ARCHITECTURES = {
    "alexnet_owt": (61_100_840, 714_188_480, 224),
    "vgg11": (132_863_336, 7_609_090_048, 224),
    "vgg13": (133_047_848, 11_308_466_176, 224),
    "vgg16": (138_357_544, 15_470_264_320, 224),  # lecture 000 prints 138,423,208: a pooling row has 65,664 there
    "vgg19": (143_667_240, 19_632_062_464, 224),
    "googlenet_bn": (6_624_904, 1_498_376_192, 224),
    "inception_v3": (23_834_568, 5_713_216_096, 299),
    "inception_v4": (42_679_816, 12_253_974_624, 299),
    "inception_resnet_v2": (55_843_464, 13_155_794_016, 299),
    "nasnet_large": (88_753_150, 23_783_414_658, 331),
    "mnasnet_b1": (4_383_312, 314_415_872, 224),
    "efficientnet_b0": (5_288_548, 385_814_752, 224),
    "efficientnet_b7": (66_347_960, 37_745_884_192, 600),
    "resnet18": (11_689_512, 1_814_073_344, 224),
    "resnet34": (21_797_672, 3_663_761_408, 224),
    "resnet50": (25_557_032, 4_089_184_256, 224),
    "resnet101": (44_549_160, 7_801_405_440, 224),
    "resnet152": (60_192_808, 11_513_626_624, 224),
    "wide_resnet50": (68_883_240, 11_398_021_120, 224),
    "resnext50_32x4d": (25_028_904, 4_230_479_872, 224),
    "resnext101_64x4d": (83_455_272, 15_460_270_080, 224),
    "densenet121": (7_978_856, 2_834_161_664, 224),
    "densenet161": (28_681_000, 7_727_907_072, 224),
    "densenet169": (14_149_480, 3_359_843_328, 224),
    "densenet201": (20_013_928, 4_291_365_888, 224),
    "squeezenet1_0": (1_248_424, 818_924_576, 224),
    "squeezenet1_1": (1_235_496, 349_151_936, 224),
    "mobilenet_v2": (3_504_872, 300_774_272, 224),
    "shufflenet_v2_05": (1_366_792, 40_476_448, 224),
    "shufflenet_v2": (2_278_604, 144_907_992, 224),
    "senet154": (115_088_984, 20_688_363_520, 224),
    "seresnet50": (28_088_024, 4_091_699_200, 224),
    "xception": (22_855_952, 8_357_403_496, 299),
    "mobilenet_v1": (4_231_976, 568_740_352, 224),
    "resnet50_v2": (25_549_352, 4_089_184_256, 224),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_published_architectures(name):
    parameters, macs, size = ARCHITECTURES[name]
    measured = measure(name, (3, size, size))
    assert (measured.total.parameters, measured.total.macs) == (parameters, macs)
    assert measured.missing == {}


def test_lenet5_row_by_row():
    # Lecture 000: 156 + 2,416 + 48,120 + 10,164 + 850 = 61,706; with a 28x28 input 256 units reach the dense layer
    assert [row.parameters for row in measure("lenet5").layers if row.parameters] == [156, 2_416, 48_120, 10_164, 850]
    (flat,) = [row for row in measure("lenet5", (1, 28, 28)).layers if row.type == "Flatten"]
    assert flat.output_shapes == ((1, 256),)


def test_fashion_cnn_trainable_and_not():
    # Lecture 002: 1,679,082 in total, 1,677,674 trainable, 1,408 not
    total = measure("fashion_cnn").total
    assert (total.parameters, total.buffers, total.parameters + total.buffers) == (1_677_674, 1_408, 1_679_082)


def test_memory_of_vgg16_is_61_mb_an_image():
    # Lecture 001 prints 24M * 4 = 96 MB; its rows (input, convolutions, poolings, dense layers) sum to 15,237,608
    rows = [row for row in measure("vgg16").layers if row.type in ("Input", "Conv2d", "MaxPool2d", "Linear")]
    values = [sum(map(math.prod, row.output_shapes)) for row in rows]
    assert sum(values) == 15_237_608
    assert sum(row.activation_bytes for row in rows) == 4 * 15_237_608
    assert values[:4] == [150_528, 3_211_264, 3_211_264, 802_816]


def test_first_layers_of_alexnet():
    # Lecture 001: 227x227x3, 96 11x11 stride 4 gives 55x55x96 and 34,944 parameters; pooling 3x3/2 27x27x96 and none
    measured = measure_network(nn.Sequential(nn.Conv2d(3, 96, 11, stride=4), nn.MaxPool2d(3, 2)), (3, 227, 227))
    assert [(row.output_shapes[0][1:], row.parameters) for row in measured.layers[1:]] == [
        ((96, 55, 55), 34_944),
        ((96, 27, 27), 0),
    ]
    assert not any(row.leftovers for row in measured.layers)


def test_ten_filters_of_5x5():
    # Lecture 001: 32x32x3, ten 5x5 filters, stride 1, pad 2: 32x32x10, 760 parameters
    row = measure_network(nn.Conv2d(3, 10, 5, padding=2), (3, 32, 32)).layers[1]
    assert (row.output_shapes, row.parameters) == (((1, 10, 32, 32),), 760)


def test_a_dense_layer_on_16x16():
    # Lecture 004: one dense layer of 100 units on 16x16, 26 classes: 28,326
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 100), nn.Sigmoid(), nn.Linear(100, 26))
    assert measure_network(net, (1, 16, 16)).total.parameters == 28_326


def test_a_dense_layer_as_large_as_a_convolution():
    # Lecture 002: 8,590,065,664 parameters against 4,640; no memory is taken for them here
    with torch.device("meta"):
        dense = nn.Linear(65_536, 131_072)
    assert measure_network(dense, (65_536,)).total.parameters == 8_590_065_664


PATTERNS = "docs/patterns.py"


@pytest.fixture
def pattern(request):
    path = request.config.rootpath / PATTERNS
    return lambda name, shape: measure(f"{path}:{name}", shape)


def test_naive_and_reduced_inception_of_lecture_001(pattern):
    # 854,196,224 and 271,351,808 MACs (the slide says 358M); 672 and 480 channels out
    naive, reduced = pattern("naive_inception", (256, 28, 28)), pattern("reduced_inception", (256, 28, 28))
    assert (naive.total.macs, reduced.total.macs) == (854_196_224, 271_351_808)
    shapes = [measured.groups[0].output_shapes for measured in (naive, reduced)]
    assert shapes == [((1, 672, 28, 28),), ((1, 480, 28, 28),)]
    (join,) = [row for row in naive.layers if row.type == "cat"]
    assert [branch[0].size for branch in join.branches] == [1, 3, 5, 3] and join.field[0].size == 5


def test_three_3x3_against_one_7x7(pattern):
    # Lecture 000 prints 29 parameters for three filters: 27, against 49, for each pair of channels
    three, one = pattern("three_3x3", (64, 32, 32)), pattern("one_7x7", (64, 32, 32))
    assert (three.total.parameters, one.total.parameters) == (27 * 64**2, 49 * 64**2)
    assert three.groups[0].field[0].size == one.groups[0].field[0].size == 7


def test_standard_against_depthwise_separable(pattern):
    # Lecture 002: 4,640 parameters against 688
    standard, separable = pattern("standard", (16, 64, 64)), pattern("depthwise_separable", (16, 64, 64))
    assert (standard.total.parameters, separable.total.parameters) == (4_640, 688)


def test_every_row_is_of_a_network_that_exists():
    assert set(ARCHITECTURES) <= set(registry.names())

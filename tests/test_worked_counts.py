"""Every worked count of the lectures, of parameters, operations and memory: by the reference and by PyTorch."""

import numpy as np
import torch
from torch.nn import functional as F

from fovea.reference.convolution import correlate
from fovea.reference.dense import dense
from fovea.reference.matrix import convolution_matrix
from fovea.reference.pooling import max_pool


def layer(c_in, c_out, kernel, size, **options):
    """Return the output shape and the parameters of a layer, the shape by the reference and by PyTorch."""
    x, weight, bias = np.zeros((1, c_in, size, size)), np.zeros((c_out, c_in, kernel, kernel)), np.zeros(c_out)
    shape = correlate(x, weight, bias=bias, **options).shape
    conv = torch.nn.Conv2d(c_in, c_out, kernel, **options)
    assert conv(torch.zeros(1, c_in, size, size)).shape == shape
    count = weight.size + bias.size
    assert sum(p.numel() for p in conv.parameters()) == count
    return shape[1:], count


def test_ten_5x5_filters_on_a_small_colour_image():
    # 001: 32 x 32 x 10, (5 * 5 * 3 + 1) * 10
    assert layer(3, 10, 5, 32, padding=2) == ((10, 32, 32), 760)


def test_the_first_layers_of_alexnet():
    # 001: 55 x 55 x 96, 34,944 parameters; then 27 x 27 x 96 without any
    shape, count = layer(3, 96, 11, 227, stride=4)
    assert (shape, count) == ((96, 55, 55), 34_944)
    assert max_pool(np.zeros((1, 1, 55, 55)), 3, stride=2).shape[2:] == (27, 27)
    assert F.max_pool2d(torch.zeros(1, 1, 55, 55), 3, stride=2).shape[2:] == (27, 27)


def test_a_convolution_against_the_dense_layer_of_its_size():
    # 002: Conv2d(16, 32, 3) on 64 x 64
    shape, count = layer(16, 32, 3, 64, padding=1)
    inputs, outputs = 16 * 64 * 64, int(np.prod(shape))
    assert (inputs, outputs, count) == (65_536, 131_072, 4_640)
    assert inputs * outputs + outputs == 8_590_065_664
    macs = outputs * 3 * 3 * 16
    assert (macs, round(macs / count)) == (18_874_368, 4_068)


def test_a_depthwise_and_a_pointwise_convolution_against_a_standard_one():
    # 002: 16 * 3 * 3 + 16 * 32 + 32 parameters in place of 4,640
    x, depthwise = np.ones((1, 16, 64, 64)), np.ones((16, 1, 3, 3))
    between = correlate(x, depthwise, padding=1, groups=16)
    shape, pointwise = layer(between.shape[1], 32, 1, 64)
    assert shape == layer(16, 32, 3, 64, padding=1)[0]
    assert depthwise.size + pointwise == 688


def test_an_edge_kernel_of_two_taps_against_a_dense_matrix():
    # 003, from Goodfellow et al. 2016, figure 9.6: two products and a sum for each of 319 x 280 pixels
    image = np.zeros((1, 1, 280, 320))
    y = correlate(image, np.array([[[[-1.0, 1.0]]]]))
    assert y.shape == (1, 1, 280, 319)
    assert y.size * 3 == 267_960
    assert image.size * y.size * 2 == 16_006_144_000


def test_products_in_the_matrix_of_a_convolution_are_its_multiply_adds():
    C = convolution_matrix(np.ones((4, 3, 3, 3)), (3, 8, 8))
    assert C.nnz == 4 * 6 * 6 * 3 * 3 * 3
    assert C.shape == (4 * 6 * 6, 3 * 8 * 8)


def test_three_3x3_filters_have_27_weights():
    # 000 says 29; one 7x7 filter that sees as much has 49
    assert 3 * np.ones((3, 3)).size == 27
    assert np.ones((7, 7)).size == 49


def test_the_products_of_an_inception_module():
    # 001: naive 854M, right; with bottlenecks "358M ops", but the six products that are printed sum to 271M
    pixels = 28 * 28
    naive = (128 * 1 * 256, 192 * 9 * 256, 96 * 25 * 256)
    assert pixels * sum(naive) == 854_196_224
    reduced = (64 * 256, 64 * 256, 128 * 256, 192 * 9 * 64, 96 * 25 * 64, 64 * 256)
    assert pixels * sum(reduced) == 271_351_808
    assert (128 + 192 + 96 + 256, 128 + 192 + 96 + 64) == (672, 480)


VGG16 = [(3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56), (256, 256, 56), (256, 256, 56)]
VGG16 += [(256, 512, 28), (512, 512, 28), (512, 512, 28), (512, 512, 14), (512, 512, 14), (512, 512, 14)]
"""Channels in and out, and the side of the map, of its 3x3 convolutions."""
VGG16_POOLED = [(64, 112), (128, 56), (256, 28), (512, 14), (512, 7)]
VGG16_DENSE = [(512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)]


def test_the_memory_column_of_vgg16():
    # 001: "24M * 4 = 96 MB per image", but the rows sum to 15.2M values, 61 MB
    maps = [(c_out, side) for _, c_out, side in VGG16] + VGG16_POOLED + [(3, 224)]
    values = sum(c * side**2 for c, side in maps) + sum(units for _, units in VGG16_DENSE)
    assert values == 15_237_608
    assert round(4 * values / 1e6) == 61


def test_the_parameters_of_vgg16():
    # 001 without biases: 138M, 102,760,448 of them in the first dense layer. 000 prints 138,423,208 with biases: it
    # counts a pooling row with 65,664
    convs = [9 * c_in * c_out for c_in, c_out, _ in VGG16]
    denses = [c_in * c_out for c_in, c_out in VGG16_DENSE]
    biases = sum(c_out for _, c_out, *_ in VGG16 + VGG16_DENSE)
    assert (convs[:4], denses[0]) == ([1_728, 36_864, 73_728, 147_456], 102_760_448)
    assert round(sum(convs + denses) / 1e6) == 138
    assert sum(convs + denses) + biases == 138_357_544 == 138_423_208 - 65_664


def test_the_parameters_of_lenet5_layer_by_layer():
    # 000: 5 * 5 * 1 * 6 + 6 and so on; its shapes are those of 28 x 28 without padding, its count that of 400 inputs
    convs = [layer(1, 6, 5, 28), layer(6, 16, 5, 12)]
    assert [shape for shape, _ in convs] == [(6, 24, 24), (16, 8, 8)]
    assert 16 * 4 * 4 == 256
    denses = [c_in * c_out + c_out for c_in, c_out in ((400, 120), (120, 84), (84, 10))]
    counts = [count for _, count in convs] + denses
    assert counts == [156, 2_416, 48_120, 10_164, 850]
    assert sum(counts) == 61_706


def test_one_dense_layer_of_a_hundred_units_for_letters():
    # 004: 16 x 16 inputs, 26 classes
    x, hidden, out = np.zeros((1, 256)), np.zeros((100, 256)), np.zeros((26, 100))
    assert dense(dense(x, hidden, np.zeros(100)), out, np.zeros(26)).shape == (1, 26)
    assert hidden.size + 100 + out.size + 26 == 28_326


def test_a_dense_neuron_on_a_photograph():
    # 003: 1000 x 1000 x 3; a neuron of a 5 x 5 window on 3 channels has 75 weights and a bias
    assert 1000 * 1000 * 3 == 3_000_000
    assert np.ones((1, 3, 5, 5)).size == 75

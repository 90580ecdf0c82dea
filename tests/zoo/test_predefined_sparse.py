"""Networks whose kernels have zeros at places fixed before training."""

import pytest
import torch

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.layers import PredefinedSparseConv2d
from fovea.measurement.network import measure_network

NAMES = ("cifar_sparse_resnet18", "cifar_sparse_vgg16")


@pytest.mark.parametrize("name", NAMES)
def test_all_kernels_but_those_of_the_first_convolution_and_of_one_pixel_are_sparse(name):
    torch.manual_seed(0)  # of millions of random weights one may be exactly zero
    model = registry.build(name, support=2)
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    kinds = [isinstance(m, PredefinedSparseConv2d) for m in layers]
    assert kinds == [i > 0 and m.kernel_size == (3, 3) for i, m in enumerate(layers)]
    for layer in filter(lambda m: isinstance(m, PredefinedSparseConv2d), layers):
        assert (layer.weight.detach().flatten(2) != 0).sum(2).unique().tolist() == [2]


def test_without_zeros_it_is_the_dense_network_with_its_weights():
    torch.manual_seed(0)
    full = registry.build("cifar_sparse_resnet18", support=9).eval()
    torch.manual_seed(0)
    half = registry.build("cifar_sparse_resnet18", support=9, period=2, dense=1).eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(full(x), half(x))


def test_parameters_and_macs_without_the_zeros():
    """Of 11,173,962: 4/9 of the 10,985,472 in sparse kernels, that is 5/9 or 6,103,040 less."""
    with torch.device("meta"):
        model = registry.build("cifar_sparse_resnet18")
    found = measure_network(model, (3, 32, 32))
    assert found.nonzero["parameters"] == 11_173_962 - 10_985_472 * 5 // 9 == 5_070_922
    weights = {32: 4 * 64 * 64, 16: 64 * 128 + 3 * 128**2, 8: 128 * 256 + 3 * 256**2, 4: 256 * 512 + 3 * 512**2}
    assert 9 * sum(weights.values()) == 10_985_472
    macs = 9 * sum(count * side**2 for side, count in weights.items())
    assert found.total.macs == 555_422_720
    assert found.nonzero["macs"] == 555_422_720 - macs * 5 // 9 == 251_335_680
    assert found.notes[-1].endswith("Without them there are 5,070,922 parameters and 251,335,680 MACs.")


def test_a_dense_network_has_no_such_note():
    with torch.device("meta"):
        found = measure_network(registry.build("cifar_resnet20"), (3, 32, 32))
    assert not found.nonzero and not found.notes

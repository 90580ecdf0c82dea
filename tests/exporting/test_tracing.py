import pytest
import torch
from torch import nn

from fovea.exporting.tracing import BinMaxima, GlobalMean, traceable


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (14, 14), (13, 9)])
@pytest.mark.parametrize("bins", [1, 2, 3, 7, (2, 3), (None, 2)])
def test_maxima_of_bins_are_those_of_the_adaptive_pool(size, bins):
    x = torch.randn(2, 3, *size)
    assert torch.equal(BinMaxima(bins)(x), nn.AdaptiveMaxPool2d(bins)(x))


def test_the_mean_is_that_of_the_adaptive_pool():
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(GlobalMean()(x), nn.AdaptiveAvgPool2d(1)(x))


def test_a_copy_computes_the_same_and_the_network_stays():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ModuleDict({"a": nn.AdaptiveMaxPool2d(2)})["a"], nn.AdaptiveAvgPool2d(1)
    )
    network.to(memory_format=torch.channels_last)
    copied, x = traceable(network), torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(copied(x), network(x))
    assert [type(module).__name__ for module in copied] == ["Conv2d", "BinMaxima", "GlobalMean"]
    assert [type(module).__name__ for module in network] == ["Conv2d", "AdaptiveMaxPool2d", "AdaptiveAvgPool2d"]
    assert copied[0].weight.is_contiguous() and not network[0].weight.is_contiguous()


def test_a_pool_that_gives_places_too_is_left_alone():
    pool = nn.Sequential(nn.AdaptiveMaxPool2d(2, return_indices=True))
    assert isinstance(traceable(pool)[0], nn.AdaptiveMaxPool2d)

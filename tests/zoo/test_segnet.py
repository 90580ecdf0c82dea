import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.segnet import Decoder, unpooled


def test_values_go_back_to_where_they_were_taken_from():
    x = torch.tensor([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 1.0]]]])
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    assert unpooled(pooled, places, x).tolist() == [[[[0, 5, 2, 0], [0, 0, 0, 0]]]]


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_unpooling_is_that_of_pytorch_forward_and_backward(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    ours, theirs = pooled.clone().requires_grad_(), pooled.clone().requires_grad_()
    y, expected = unpooled(ours, places, x), F.max_unpool2d(theirs, places, 2, output_size=size)
    assert torch.equal(y, expected)
    weights = torch.randn_like(y)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_the_decoder_mirrors_the_encoder():
    with torch.device("meta"):
        model = registry.build("segnet")

    def widths(part):
        return [(m.in_channels, m.out_channels) for m in part.modules() if isinstance(m, nn.Conv2d)]

    encoder = [pair for name in model.body for pair in widths(getattr(model, name))]
    decoder = widths(model.head)
    assert len(encoder) == len(decoder) == 13
    assert decoder[:-1] == [(c_out, c_in) for c_in, c_out in reversed(encoder[1:])]
    assert decoder[-1] == (64, 12)


def test_an_answer_has_the_size_of_its_image():
    maps = [torch.zeros(1, 64, 33, 47), torch.zeros(1, 128, 16, 23), torch.zeros(1, 256, 8, 11)]
    maps += [torch.zeros(1, 512, 4, 5), torch.zeros(1, 512, 2, 2)]
    assert Decoder(512, 3).eval()(torch.zeros(1, 1, 33, 47), *maps).shape == (1, 3, 33, 47)


def test_an_image_too_small_is_told():
    with pytest.raises(ShapeError, match=r"Layer `head` .* `size` \(=31\) must be at least 32"), torch.device("meta"):
        registry.build("segnet", size=31)

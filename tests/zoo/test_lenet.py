import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError


def test_is_the_modern_form_written_out():
    torch.manual_seed(0)
    model, x = registry.build("lenet5"), torch.randn(2, 1, 32, 32)
    w = dict(model.named_parameters())
    maps = F.max_pool2d(F.conv2d(x, w["stage1.conv.weight"], w["stage1.conv.bias"]).relu(), 2)
    maps = F.max_pool2d(F.conv2d(maps, w["stage2.conv.weight"], w["stage2.conv.bias"]).relu(), 2)
    hidden = F.linear(maps.flatten(1), w["head.dense1.weight"], w["head.dense1.bias"]).relu()
    hidden = F.linear(hidden, w["head.dense2.weight"], w["head.dense2.bias"]).relu()
    assert maps.shape == (2, 16, 5, 5)
    torch.testing.assert_close(model(x), F.linear(hidden, w["head.logits.weight"], w["head.logits.bias"]))


def test_the_smallest_input_is_16_pixels():
    assert registry.build("lenet5", size=16)(torch.zeros(1, 1, 16, 16)).shape == (1, 10)
    with pytest.raises(ShapeError, match=r"Network `lenet5`: Layer `stage2.pool` \(2x2\).*must be at least 16"):
        registry.build("lenet5", size=15)

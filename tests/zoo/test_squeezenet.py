import os
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.zoo.squeezenet import FireModule


def test_a_fire_module_squeezes_then_expands_by_1x1_and_3x3():
    torch.manual_seed(0)
    fire, x = FireModule(6, 2, 3, 4), torch.randn(2, 6, 5, 5)
    squeezed = F.conv2d(x, fire.squeeze.weight, fire.squeeze.bias).relu()
    by_1x1 = F.conv2d(squeezed, fire.expand1x1.weight, fire.expand1x1.bias)
    by_3x3 = F.conv2d(squeezed, fire.expand3x3.weight, fire.expand3x3.bias, padding=1)
    y = fire(x)
    assert y.shape == (2, 7, 5, 5)
    torch.testing.assert_close(y[:, :3], by_1x1.relu())
    torch.testing.assert_close(y[:, 3:], by_3x3.relu())


def test_the_maps_have_the_sizes_of_table_1():
    # Table 1 at 227 x 227 (see the header of the module): conv1, fire2 to 4, fire5 to 8, fire9
    with torch.device("meta"):
        x, model, shapes = torch.empty(1, 3, 227, 227), registry.build("squeezenet1_0"), []
    for child in ("stem", "stage1", "stage2", "stage3"):
        x = getattr(model, child)(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(96, 111, 111), (256, 55, 55), (512, 27, 27), (512, 13, 13)]


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_fire_modules_count_from_2_to_9(name):
    keys = [key.split(".")[-1] for key, m in registry.build(name).named_modules() if isinstance(m, FireModule)]
    assert keys == [f"fire{i}" for i in range(2, 10)]


def test_logits_are_no_less_than_zero():
    # conv10 is followed by ReLU, before the average
    model = registry.build("squeezenet1_1", classes=5).eval()
    assert model(torch.randn(2, 3, 64, 64)).min() >= 0


@pytest.mark.parametrize(("name", "smallest"), [("squeezenet1_0", 21), ("squeezenet1_1", 17)])
def test_the_smallest_input(name, smallest):
    assert registry.build(name, classes=2, size=smallest)(torch.zeros(1, 3, smallest, smallest)).shape == (1, 2)
    with pytest.raises(ShapeError, match=rf"Layer `stage3.pool` \(3x3\) does not fit.*must be at least {smallest}\."):
        registry.build(name, size=smallest - 1)


WEIGHTS = Path(os.environ.get("FOVEA_DATA", "")) / "weights" / "squeezenet1_0-imagenet-deepcompressed.pth"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="FOVEA_DATA holds no weights of SqueezeNet")
def test_published_weights_fit_every_key_and_shape():
    published = torch.load(WEIGHTS, weights_only=True, map_location="cpu")
    peer = registry.entry("squeezenet1_0").peers["torchvision"]
    registry.build("squeezenet1_0").load_state_dict({peer.renamed(key): value for key, value in published.items()})

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.resnet import PaddedIdentity, Residual

WEIGHTS = Path(os.environ.get("FOVEA_DATA", "")) / "weights" / "resnet20-12fca82f.th"


@pytest.mark.parametrize("name", ["cifar_plain20", "cifar_resnet20"])
def test_the_maps_have_the_sizes_of_section_4_2(name):
    model, x = registry.build(name).eval(), torch.zeros(1, 3, 32, 32)
    shapes = []
    for child in ("stem", "stage1", "stage2", "stage3"):
        x = getattr(model, child)(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_all_shortcuts_are_identities_and_so_the_plain_network_has_as_many_parameters():
    # He et al. 2015, section 4.2: option A in all cases, "exactly the same depth, width, and number of parameters"
    model = registry.build("cifar_resnet56")
    kinds = [type(m.shortcut) for m in model.modules() if isinstance(m, Residual)]
    assert (kinds.count(nn.Identity), kinds.count(PaddedIdentity)) == (25, 2)
    assert registry.entry("cifar_resnet56").params == registry.entry("cifar_plain56").params


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="FOVEA_DATA holds no weights/resnet20-12fca82f.th")
def test_published_weights_give_the_logits_of_the_formula():
    published = torch.load(WEIGHTS, weights_only=True, map_location="cpu")["state_dict"]
    peer, model = registry.entry("cifar_resnet20").peers["akamaster"], registry.build("cifar_resnet20").eval().double()
    counters = {name: tensor for name, tensor in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(counters | {peer.renamed(name): tensor for name, tensor in published.items()})
    w = {name.removeprefix("module."): tensor.double() for name, tensor in published.items()}

    def conv_bn(x, layer, bn, stride=1):
        maps = F.conv2d(x, w[f"{layer}.weight"], stride=stride, padding=1)
        return F.batch_norm(maps, *[w[f"{bn}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")])

    images = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = conv_bn(images, "conv1", "bn1").relu()
    for block in [f"layer{layer}.{i}" for layer in (1, 2, 3) for i in range(3)]:
        stride = 2 if block in ("layer2.0", "layer3.0") else 1
        inner = conv_bn(x, f"{block}.conv1", f"{block}.bn1", stride).relu()
        inner = conv_bn(inner, f"{block}.conv2", f"{block}.bn2")
        more = (inner.shape[1] - x.shape[1]) // 2
        x = (inner + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, more, more))).relu()
    torch.testing.assert_close(model(images), F.linear(x.mean((2, 3)), w["linear.weight"], w["linear.bias"]))

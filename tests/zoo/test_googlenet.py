import math

import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_output_sizes_of_table_1(name):
    model, x = on_meta(name), torch.empty(1, 3, 224, 224, device="meta")
    shapes = {}
    for child in ("stem", "stage1", "stage2", "stage3"):
        for layer, module in getattr(model, child).named_children():
            x = module(x)
            shapes[layer if layer != "pool" else f"{child}.pool"] = tuple(x.shape[1:])
    printed = {
        **{"conv1": (64, 112, 112), "pool1": (64, 56, 56), "conv3": (192, 56, 56), "pool2": (192, 28, 28)},
        **{"inception3a": (256, 28, 28), "inception3b": (480, 28, 28), "stage2.pool": (480, 14, 14)},
        **{"inception4a": (512, 14, 14), "inception4b": (512, 14, 14), "inception4c": (512, 14, 14)},
        **{"inception4d": (528, 14, 14), "inception4e": (832, 14, 14), "stage3.pool": (832, 7, 7)},
        **{"inception5a": (832, 7, 7), "inception5b": (1024, 7, 7)},
    }
    assert {layer: shapes[layer] for layer in printed} == printed


def test_response_normalisation_after_the_first_and_before_the_second_pooling():
    # Szegedy et al. 2014, Figure 3
    layers = [name for name, _ in on_meta("googlenet").stem.named_children()]
    assert layers == ["conv1", "pool1", "norm1", "conv2", "conv3", "norm2", "pool2"]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in on_meta("googlenet").modules())


def test_the_form_of_the_published_weights():
    model = on_meta("googlenet_bn")
    assert [name for name, _ in model.stem.named_children()] == ["conv1", "pool1", "conv2", "conv3", "pool2"]
    assert {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert not any(m.kernel_size == (5, 5) for m in model.modules() if isinstance(m, nn.Conv2d))
    assert (model.stage3.pool.kernel_size, model.head.dropout.p) == (2, 0.2)


def test_dropout_of_the_paper():
    model = on_meta("googlenet", aux=True)
    assert (model.head.dropout.p, model.aux1.dropout.p, model.aux2.dropout.p) == (0.4, 0.7, 0.7)


@pytest.mark.parametrize("size", [224, 64])
def test_auxiliary_heads_on_4a_and_4d(size):
    model, x = (
        on_meta("googlenet", classes=7, size=size, aux=True).train(),
        torch.empty(2, 3, size, size, device="meta"),
    )
    assert [out.shape for out in model(x)] == [(2, 7)] * 3
    assert (model.aux1.conv.conv.in_channels, model.aux2.conv.conv.in_channels) == (512, 528)
    assert model.aux1.dense.in_features == 2048  # 4 x 4 x 128, section 5
    assert model.eval()(x).shape == (2, 7)


def test_every_parameter_learns_with_auxiliary_heads():
    torch.manual_seed(0)
    model = registry.build("googlenet_bn", classes=3, size=32, aux=True).train()
    outputs = model(torch.randn(2, 3, 32, 32))
    sum(nn.functional.cross_entropy(out, torch.tensor([0, 1])) for out in outputs).backward()
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


def test_convolutions_are_he_normal_and_without_bias_at_first():
    torch.manual_seed(0)
    conv = registry.build("googlenet").stage2.inception4e.branch3.conv.conv
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 160)), rel=0.01)
    assert not conv.bias.any()


@pytest.mark.parametrize(("name", "smallest", "kernel"), [("googlenet", 31, 3), ("googlenet_bn", 15, 2)])
def test_too_small_an_input_is_told_the_smallest(name, smallest, kernel):
    x = torch.empty(1, 3, smallest, smallest, device="meta")
    assert on_meta(name, classes=5, size=smallest).eval()(x).shape == (1, 5)
    with pytest.raises(ShapeError, match=rf"must be at least {smallest}\."):
        on_meta(name, size=smallest - 1)

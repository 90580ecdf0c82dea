import torch
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry


def test_parameters_of_the_fcn_by_hand():
    convolutions = 1 * 8 * 128 + 128 + 128 * 5 * 256 + 256 + 256 * 3 * 128 + 128
    norms, logits = 2 * (128 + 256 + 128), 128 * 2 + 2
    assert registry.entry("fcn_1d").params == convolutions + norms + logits == 264_962


def test_multiply_adds_are_those_of_each_of_the_150_steps_and_the_logits():
    assert registry.entry("fcn_1d").macs == 150 * (8 * 128 + 5 * 128 * 256 + 3 * 256 * 128) + 128 * 2


def test_the_length_of_a_series_stays_the_same_up_to_the_average():
    for name in ("fcn_1d", "resnet_1d"):
        assert registry.build(name, c_in=2).eval().features(torch.zeros(3, 2, 24)).shape == (3, 128, 24)


def test_an_even_kernel_looks_one_step_further_ahead_than_back():
    stage = registry.build("fcn_1d").eval().stage1
    x = torch.zeros(1, 1, 20, requires_grad=True)
    stage.conv(stage.pad(x))[0, :, 10].sum().backward()
    assert x.grad[0, 0].nonzero().flatten().tolist() == list(range(7, 15))


def test_a_residual_block_is_relu_of_three_convolutions_and_the_shortcut():
    torch.manual_seed(0)
    model = registry.build("resnet_1d").double().eval()
    block, x = model.stage3, torch.randn(2, 128, 9).double()
    y = x
    for i, pad in enumerate(((3, 4), (2, 2), (1, 1)), start=1):
        conv = getattr(block.residual, f"conv{i}")
        # a new batch norm in evaluation divides by sqrt(1 + eps)
        y = F.conv1d(F.pad(y, pad), conv.weight, conv.bias) / (1 + 1e-5) ** 0.5
        y = y.relu() if i < 3 else y
    torch.testing.assert_close(block(x), (y + x / (1 + 1e-5) ** 0.5).relu())


def test_shortcuts_project_where_channels_change():
    model = registry.build("resnet_1d")
    assert [list(dict(stage.shortcut.named_children())) for stage in (model.stage1, model.stage2, model.stage3)] == [
        ["conv", "bn"],
        ["conv", "bn"],
        ["bn"],
    ]


def test_weights_are_drawn_within_glorots_bound():
    conv = registry.build("fcn_1d").stage2.conv
    bound = (6 / (128 * 5 + 256 * 5)) ** 0.5
    assert 0.99 * bound < conv.weight.abs().max() <= bound
    assert not conv.bias.any()

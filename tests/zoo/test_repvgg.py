import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import UsageError
from fovea.zoo.repvgg import RepVGGBlock, fuse


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


def lively(module):
    """Draw what is 0 or 1 in new batch norms, so that a mistaken one shows."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.running_var, norm.weight.data):
                tensor.uniform_(0.5, 1.5)
            for tensor in (norm.running_mean, norm.bias.data):
                tensor.normal_(0, 0.1)
    return module


@pytest.mark.parametrize(("c_out", "stride", "identity"), [(4, 1, True), (4, 2, False), (6, 1, False), (6, 2, False)])
def test_a_block_and_its_fused_form_answer_alike(c_out, stride, identity):
    torch.manual_seed(0)
    block = lively(RepVGGBlock(4, c_out, stride=stride)).double().eval()
    assert (block.identity is not None) == identity
    x = torch.randn(2, 4, 7, 9, dtype=torch.float64)
    plain = fuse(nn.Sequential(block))[0]
    assert [type(layer).__name__ for layer in plain] == ["Conv2d", "ReLU"]
    torch.testing.assert_close(plain(x), block(x))
    assert block(x).any()


def test_a_fused_identity_is_one_in_the_centre_of_its_own_channel():
    block = RepVGGBlock(2, 2, stride=1).eval()
    for branch in (block.branch3x3, block.branch1x1):
        nn.init.zeros_(branch.conv.weight)
    kernel = fuse(nn.Sequential(block))[0].conv.weight
    expected = torch.zeros(2, 2, 3, 3)
    expected[0, 0, 1, 1] = expected[1, 1, 1, 1] = 1 / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(kernel, expected)


def test_the_fused_network_has_the_same_logits_and_is_the_one_built_fused():
    torch.manual_seed(0)
    model = lively(registry.build("repvgg_a0", classes=3, c_in=2)).double().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fused, x = fuse(model), torch.randn(2, 2, 33, 33, dtype=torch.float64)
    torch.testing.assert_close(fused(x), model(x))
    plain = registry.build("repvgg_a0", classes=3, c_in=2, fused=True).double().eval()
    plain.load_state_dict(fused.state_dict())
    assert torch.equal(plain(x), fused(x))
    assert [name for name, _ in fused.named_children()] == [name for name, _ in model.named_children()]
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())  # the given one stays


def test_nothing_to_fuse_is_told():
    with pytest.raises(UsageError, match="no RepVGG blocks to fuse; it may be fused already"):
        fuse(on_meta("repvgg_a0", fused=True))


def test_the_fused_form_has_the_parameters_and_flops_of_table_4():
    model = on_meta("repvgg_a0", fused=True)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, 224, 224, device="meta"))
    assert sum(p.numel() for p in model.parameters()) == 8_309_384  # 8.30 M
    assert round(counter.get_total_flops() / 2 / 1e9, 1) == 1.4  # the paper's FLOPs are multiply-adds
    assert {m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)} == {(3, 3)}


def test_there_are_22_layers_of_blocks_as_in_table_2():
    model, x, maps = on_meta("repvgg_a0"), torch.empty(1, 3, 224, 224, device="meta"), []
    for child in ("stem", "stage1", "stage2", "stage3", "stage4"):
        x = getattr(model, child)(x)
        maps.append((x.shape[1], x.shape[2]))
    assert maps == [(48, 112), (48, 56), (96, 28), (192, 14), (1280, 7)]
    assert sum(isinstance(m, RepVGGBlock) for m in model.modules()) == 22

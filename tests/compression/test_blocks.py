import pytest
import torch

import fovea.zoo  # noqa: F401 (its import makes the networks known)
from fovea import registry
from fovea.compression.blocks import Gone, residual_blocks
from fovea.compression.changes import changed
from fovea.errors import UsageError


def test_blocks_of_a_residual_network_that_keep_the_shape_may_go():
    expected = {f"stage{stage}.block{block}" for stage in (1, 2, 3) for block in (1, 2, 3)}
    # the first blocks of stages 2 and 3 halve the map
    assert set(residual_blocks(registry.build("cifar_resnet20"), (3, 32, 32))) == expected - {
        "stage2.block1",
        "stage3.block1",
    }


@pytest.mark.parametrize("name", ["lenet5", "foveola", "cifar_plain20"])
def test_networks_without_shortcuts_have_none(name):
    assert residual_blocks(registry.build(name), registry.entry(name).input) == ()


def test_a_network_without_blocks_hands_on_what_they_got():
    torch.manual_seed(0)
    model = registry.build("cifar_resnet20").eval()
    x, blocks = torch.randn(1, 3, 32, 32), ("stage1.block2", "stage3.block3")
    expected = x
    for part in (model.stem, model.stage1.block1, model.stage1.block3, model.stage2, model.stage3.block1):
        expected = part(expected)
    expected = model.head(model.stage3.block2(expected))
    assert torch.equal(changed(model, [Gone(blocks).to_dict()])(x), expected)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "has `blocks`"),
        ({"blocks": []}, "has `blocks`"),
        ({"blocks": ["a"], "more": 1}, "no other field"),
        ({"blocks": [1]}, "different blocks"),
        ({"blocks": ["stage1", "stage1"]}, "different blocks"),
        ({"blocks": ["stage9"]}, "`stage9`, which the network does not have"),
        ({"blocks": [""]}, "which the network does not have"),
        ({"blocks": ["stage1", "stage1.block1"]}, "which the network does not have"),
    ],
)
def test_a_change_that_cannot_be_says_why(values, reason):
    with pytest.raises(UsageError, match=reason):
        changed(registry.build("cifar_resnet20"), [{"kind": "blocks", **values}])

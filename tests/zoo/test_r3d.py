import pytest
import torch
from torch import nn

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.zoo.r3d import SMALL, joint, middle_of, residual, spatial, split
from fovea.zoo.resnet import TABLE_1, Stage

NARROW = Stage(6, 6, 1, 2)


def weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


def test_parameters_and_multiply_adds_are_those_of_the_published_networks():
    # torchvision 0.28: num_params, and _ops in 10^9
    printed = {"r3d_18": (33_371_472, 40.697), "mc3_18": (11_695_440, 43.343), "r2plus1d_18": (31_505_325, 40.519)}
    for name, (params, giga) in printed.items():
        card = registry.entry(name)
        assert (card.params, round(card.macs / 1e9, 3)) == (params, giga)


def test_r3d_8_by_hand():
    # stem 1 x 16 x 27 at 8 x 16 x 16; each stage two convolutions of 27 and, from the second on, a projection
    stem, first = 16 * 27, 2 * 16 * 16 * 27
    second, third = 27 * (16 * 32 + 32 * 32) + 16 * 32, 27 * (32 * 64 + 64 * 64) + 32 * 64
    norms = 2 * (16 + 2 * 16 + 3 * 32 + 3 * 64)
    assert registry.entry("r3d_8").params == stem + first + second + third + norms + 64 * 10 + 10
    positions = (8 * 16 * 16, 8 * 16 * 16, 4 * 8 * 8, 2 * 4 * 4)
    macs = sum(n * w for n, w in zip(positions, (stem, first, second, third), strict=True))
    assert registry.entry("r3d_8").macs == macs + 64 * 10


def test_split_convolutions_have_about_the_weights_of_joint_ones():
    for c_in, c_out in ((64, 64), (64, 128), (256, 512)):
        middle = middle_of(c_in, c_out)
        whole = weights(joint(c_in, c_out, stride=1, middle=middle))
        parts = weights(split(c_in, c_out, stride=1, middle=middle))
        assert 0 <= whole - parts < 9 * c_in + 3 * c_out  # one more middle channel would have more


@pytest.mark.parametrize(("conv", "frames"), [(joint, 3), (split, 3), (spatial, 5)])
def test_a_block_halves_the_map_and_only_a_spatial_one_keeps_all_frames(conv, frames):
    block = residual(conv)(4, NARROW, stride=2).eval()
    assert block(torch.zeros(2, 4, 5, 7, 6)).shape == (2, 6, frames, 4, 3)


def test_a_joint_block_on_one_frame_is_the_block_of_two_dimensions():
    torch.manual_seed(0)
    from fovea.zoo.resnet import basic
    from fovea.zoo.resnet import residual as flat_residual

    block, flat = residual(joint)(3, NARROW, stride=2).eval(), flat_residual(basic)(3, NARROW, stride=2).eval()
    # of a clip of one frame only the middle of each kernel sees anything but padding
    middle = {k: v[:, :, v.shape[2] // 2] if v.ndim == 5 else v for k, v in block.state_dict().items()}
    flat.load_state_dict(middle)
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(block(x[:, :, None])[:, :, 0], flat(x))


def test_a_spatial_block_treats_each_frame_alone():
    torch.manual_seed(0)
    block, x = residual(spatial)(3, NARROW, stride=1).eval(), torch.randn(1, 3, 4, 5, 5)
    frames = [block(x[:, :, i : i + 1]) for i in range(4)]
    torch.testing.assert_close(block(x), torch.cat(frames, dim=2))


def test_stages_are_those_of_resnet18_and_of_the_small_table():
    with torch.device("meta"):
        networks = {name: registry.build(name) for name in ("r3d_18", "r3d_8")}
    for name, rows in (("r3d_18", TABLE_1[18]), ("r3d_8", SMALL)):
        blocks = [len(getattr(networks[name], f"stage{i}")) for i in range(1, len(rows) + 1)]
        assert blocks == [row.n for row in rows]

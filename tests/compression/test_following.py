"""What operations do to channels, by the channels at the two ends of a network of two convolutions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fovea.compression.following import followed
from fovea.compression.recording import recorded


class Between(nn.Module):
    """A convolution to 4 maps, some operations, a convolution of what they make."""

    def __init__(self, function, channels=4):
        super().__init__()
        self.first, self.function, self.last = nn.Conv2d(1, 4, 1), function, nn.Conv2d(channels, 1, 1)

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def ends(function, channels=4):
    """Return of each channel that the last convolution reads which of the first it is, None for others."""
    found = followed(recorded(Between(function, channels), (1, 6, 6)))
    sides = {(block.layer, block.side): found.of(block).tolist() for block in found.blocks}
    made = sides["first", "out"]
    return [made.index(label) if label in made else None for label in sides["last", "in"]], found


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: F.gelu(x) * 2 + 1, [0, 1, 2, 3]),
        (lambda x: F.hardswish(x).clamp(0, 6), [0, 1, 2, 3]),
        (lambda x: F.max_pool2d(F.avg_pool2d(x, 2), 3), [0, 1, 2, 3]),
        (lambda x: F.interpolate(x, scale_factor=2), [0, 1, 2, 3]),
        (lambda x: F.pad(x, (1, 2, 0, 1)), [0, 1, 2, 3]),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), [0, 1, 2, 3]),
        (lambda x: x[:, :, ::2, 1:], [0, 1, 2, 3]),
        (lambda x: x.flip(1), [3, 2, 1, 0]),
        (lambda x: x.roll(1, 1), [3, 0, 1, 2]),
        (lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), [0, 1, 2, 3]),
        (lambda x: x.reshape(1, 2, 2, 6, 6).transpose(1, 2).reshape(1, 4, 6, 6), [0, 2, 1, 3]),
        (lambda x: torch.cat([x.narrow(1, 2, 2), x.narrow(1, 0, 2)], 1), [2, 3, 0, 1]),
        (lambda x: x.mean((2, 3), keepdim=True), [0, 1, 2, 3]),
        (lambda x: x.amax((2, 3))[:, :, None, None], [0, 1, 2, 3]),
        (lambda x: x * x.new_ones(4, 1, 1), [0, 1, 2, 3]),
        (lambda x: x.softmax(2), [0, 1, 2, 3]),
        (lambda x: F.layer_norm(x, (6, 6)), [0, 1, 2, 3]),
    ],
)
def test_channels_are_followed_to_where_they_are_read(function, expected):
    assert ends(function)[0] == expected


def test_what_is_appended_is_none_of_them():
    assert ends(lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), channels=6)[0] == [None, 0, 1, 2, 3, None]
    assert ends(lambda x: torch.cat([x, x.new_zeros(1, 1, 6, 6)], 1), channels=5)[0] == [0, 1, 2, 3, None]


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x: x.softmax(1), "softmax"),
        (lambda x: F.layer_norm(x, (4, 6, 6)), "layer_norm"),
        (lambda x: F.group_norm(x, 2), "group_norm"),
        (lambda x: x.cumsum(1), "cumsum"),
        (lambda x: x - x.mean(1, keepdim=True), "mean"),
        (lambda x: x[:, [2, 0, 1, 3]], "index"),
        (lambda x: torch.einsum("nchw,ndhw->ncd", x, x)[..., None].expand(1, 4, 4, 6), "bmm"),
    ],
)
def test_what_mixes_channels_fixes_them(function, operation):
    found = ends(function)[1]
    first = next(block for block in found.blocks if (block.layer, block.side) == ("first", "out"))
    assert all(f"`{operation}`" in found.reasons[label] for label in found.of(first).tolist())


def test_in_place_on_a_part_fixes_what_comes_in():
    def function(x):
        x = x.clone()
        x[:, :2] += x[:, 2:]
        return x

    found = ends(function)[1]
    first = next(block for block in found.blocks if (block.layer, block.side) == ("first", "out"))
    assert all(label in found.reasons for label in found.of(first).tolist())

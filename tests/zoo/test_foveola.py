"""Foveola: sizes, the stem that can hold a whitening, filters that begin as the identity."""

import pytest
import torch

import fovea.zoo  # noqa: F401 (registers the networks)
from fovea.errors import ShapeError, UsageError
from fovea.registry import build
from fovea.training.initialisation import whiten_first_convolution


def maps(model, x):
    """Return the (C, H) of each child's output."""
    sizes = []
    for name in ("stem", "stage1", "stage2", "stage3"):
        x = getattr(model, name)(x)
        sizes.append((x.shape[1], x.shape[2]))
    return sizes


def test_the_maps_of_a_small_image():
    assert maps(build("foveola"), torch.zeros(2, 3, 32, 32)) == [(24, 31), (64, 15), (256, 7), (256, 3)]


def test_the_maps_of_a_photograph():
    model = build("foveola", size=96, stride=2, width=0.5)
    assert maps(model, torch.zeros(2, 3, 96, 96)) == [(24, 47), (32, 23), (128, 11), (128, 5)]


@pytest.mark.parametrize("c_in", [1, 3])
def test_the_stem_has_room_for_a_whitening_and_no_more(c_in):
    model = build("foveola", c_in=c_in)
    whiten_first_convolution(model, torch.randn(20, c_in, 32, 32, generator=torch.Generator().manual_seed(0)))
    weight = model.stem.conv.weight
    half = len(weight) // 2
    assert len(weight) == 2 * c_in * 2**2 and torch.equal(weight[:half], -weight[half:])


def test_filters_begin_as_the_identity():
    model = build("foveola")
    x = torch.randn(1, 24, 6, 6)
    torch.testing.assert_close(model.stage1.conv1(x)[:, :24], x)
    y = torch.randn(1, 256, 4, 4)
    torch.testing.assert_close(model.stage3.conv2(y), y)


def test_an_image_that_is_too_small_is_refused_with_the_smallest_size():
    assert build("foveola", size=9)(torch.zeros(2, 3, 9, 9)).shape == (2, 10)
    with pytest.raises(ShapeError, match=r"`stage3.pool`.*`size` \(=8\) must be at least 9\.$"):
        build("foveola", size=8)


@pytest.mark.parametrize("width", [0.0, -1.0, 0.005])
def test_a_width_without_channels_is_refused(width):
    with pytest.raises(UsageError, match=rf"`width` \(={width}\) must leave at least one of 64 channels\."):
        build("foveola", width=width)

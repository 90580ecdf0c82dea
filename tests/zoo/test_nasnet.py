import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401
from fovea import registry
from fovea.errors import ShapeError
from fovea.registry import Peer
from fovea.zoo.nasnet import NORMAL, REDUCTION, TIMM, Cell, Halved, Network, Pad, Pool, _nasnet, _squeeze

SMALL = Network(6, 192, 12, skips=True)


def on_meta(name, **arguments):
    with torch.device("meta"):
        return registry.build(name, **arguments)


@pytest.mark.parametrize(("size", "before", "after"), [(8, 1, 2), (7, 2, 2)])
def test_an_even_size_gets_a_pixel_less_before_it(size, before, after):
    x = torch.ones(1, 1, size, size)
    padded = Pad(5)(x)
    assert torch.equal(padded, F.pad(x, (before, after, before, after)))
    assert F.conv2d(padded, torch.ones(1, 1, 5, 5), stride=2).shape[2:] == (4, 4)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_pools_round_up_and_count_padding_only_in_averages_that_shrink(size):
    x, after = -torch.ones(1, 2, size, size), -(-size // 2)
    for kind in ("avg", "max"):
        assert torch.equal(Pool(kind, 1)(x), x)
    assert torch.equal(Pool("max", 2)(x), -torch.ones(1, 2, after, after))
    averages = Pool("avg", 2)(x)
    assert averages.shape == (1, 2, after, after) and averages[0, 0, -1, -1] == {1: -1 / 9}.get(size, -4 / 9)


def test_an_average_that_shrinks_an_even_size_begins_at_the_first_pixel_and_counts_zeros_behind_the_last():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    # sums of 0..2, 4..6, 8..10; 2, 3, 6, 7, 10, 11; 8..10, 12..14; 10, 11, 14, 15
    assert (9 * Pool("avg", 2)(x)).flatten().tolist() == pytest.approx([45, 39, 66, 50])


def test_halving_takes_every_second_pixel_and_those_between():
    layer, x = Halved(1, 2).eval(), torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    for conv in (layer.conv1, layer.conv2):
        nn.init.ones_(conv.weight)
    y = layer(x) * (1 + 1e-3) ** 0.5
    assert y.flatten().tolist() == pytest.approx([1, 3, 9, 11, 6, 8, 14, 16])


def test_a_normal_cell_keeps_the_maps_before_and_adds_five_sums():
    cell = Cell(NORMAL, 6, 4, prev=_squeeze(3, 4)).eval()
    last, before = torch.randn(1, 6, 5, 5), torch.randn(1, 3, 5, 5)
    out, handed = cell((last, before))
    assert out.shape == (1, 24, 5, 5) and handed is last
    h, prev = cell.squeeze(last), cell.adjust(before)
    assert torch.equal(out[:, :4], prev)
    torch.testing.assert_close(out[:, 12:16], Pool("avg", 1)(h) + prev)
    torch.testing.assert_close(out[:, 16:20], 2 * Pool("avg", 1)(prev))


@pytest.mark.parametrize("skips", [False, True])
def test_a_reduction_cell_halves_and_hands_on(skips):
    cell = Cell(REDUCTION, 6, 4, prev=_squeeze(3, 4), skips=skips)
    last, before = torch.randn(2, 6, 5, 6), torch.randn(2, 3, 5, 6)
    out, handed = cell((last, before))
    assert out.shape == (2, 16, 3, 3)
    assert handed is (before if skips else last)


@pytest.mark.parametrize(("name", "cells", "maps"), [("nasnet_mobile", 4, 44), ("nasnet_large", 6, 168)])
def test_repeats_and_maps_are_those_of_figure_2(name, cells, maps):
    model = on_meta(name)
    counts = [sum(isinstance(child, Cell) for child in getattr(model, f"stage{i}")) for i in (1, 2, 3)]
    assert counts == [cells, cells + 1, cells + 1]
    x, sizes = torch.empty(1, *registry.entry(name).input, device="meta"), []
    for child in ("stem", "stage1", "stage2"):
        x = getattr(model, child)(x)
        sizes.append(tuple(x[0].shape[1:]))
    side = {"nasnet_mobile": (28, 28, 14), "nasnet_large": (42, 42, 21)}[name]
    assert sizes == [(c, s, s) for c, s in zip((2 * maps, 6 * maps, 12 * maps), side, strict=True)]
    assert model.stage3(x).shape[1] == 24 * maps


def test_an_image_of_two_pixels_is_too_small():
    with pytest.raises(ShapeError, match=r"Layer `stem\.conv` .* must be at least 3"):
        registry.build("nasnet_mobile", size=2)


def test_same_weights_same_logits_and_gradients_as_timm(torchvision):
    pytest.importorskip("timm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
    torch.manual_seed(0)
    theirs = timm.create_model("nasnetalarge", num_features=SMALL.penultimate, stem_size=SMALL.stem).double().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
            module.running_mean.normal_(0, 0.1)
    ours, peer = _nasnet(SMALL, classes=1000, c_in=3).double().eval(), Peer("nasnetalarge", TIMM)
    ours.load_state_dict({peer.renamed(key): tensor for key, tensor in theirs.state_dict().items()})
    for size in (64, 65):
        images = torch.randn(2, 3, size, size, dtype=torch.float64)
        logits, expected = ours(images), theirs(images)
        assert (logits - expected).abs().max() < 1e-9 * expected.abs().max()
    for out in (logits, expected):
        out.square().sum().backward()
    own = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        gradient = own[peer.renamed(key)].grad
        assert (gradient - parameter.grad).abs().max() <= 1e-9 * parameter.grad.abs().max(), key

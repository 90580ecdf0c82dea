"""Kernels, maps and responses of layers, and the images that excite a channel most, against worked cases."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.errors import ShapeError, UsageError
from fovea.explanation.features.channels import feature_maps, filters, responses
from fovea.explanation.features.strongest import OUTSIDE, excited, fields, patches, strongest

X = torch.tensor([[1.0, -2.0], [3.0, 0.0]])[None, None]


class Shared(nn.Module):
    """Two 3x3 convolutions and one ReLU, in place, that runs behind both."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))


def sum_of_a_window():
    """A 3x3 convolution with padding whose two channels are the sum of the window, and its negative."""
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 1, 3, 3))
    return nn.Sequential(conv, nn.ReLU(inplace=True)).eval()


def test_kernels_are_in_colour_where_the_layer_sees_the_image():
    model = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Conv2d(3, 2, 1))
    x = torch.rand(2, 3, 12, 12)
    first = filters(model, x)
    assert (first.layer, first.kind, first.weights.shape) == ("0", "colour", (4, 3, 5, 5))
    assert torch.equal(first.weights, model[0].weight.detach())
    assert filters(model, x, "2").kind == "signed"
    assert filters(model, x, "3").kind == "signed"  # three channels, but not those of the image


def test_a_dense_layers_rows_are_templates_of_what_was_flattened():
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7))
    found = filters(mlp, torch.rand(1, 3, 4, 5))
    assert found.kind == "templates" and torch.equal(found.weights, mlp[1].weight.detach().view(7, 3, 4, 5))
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten(), nn.Linear(24, 5), nn.Linear(5, 2))
    found = filters(net, torch.rand(1, 1, 4, 4), "2")
    assert found.kind == "signed" and found.weights.shape == (5, 6, 2, 2)
    assert filters(net, torch.rand(1, 1, 4, 4), "3").weights.shape == (2, 5, 1, 1)


def test_transposed_and_grouped_kernels():
    up = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2))
    found = filters(up, torch.rand(1, 4, 5, 5)).weights
    assert found.shape == (6, 2, 3, 3)
    assert torch.equal(found[4, 1], up[0].weight[3, 1])  # second group: output 4 is its second, input 3 its second
    depthwise = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3))
    found = filters(depthwise, torch.rand(1, 3, 5, 5))
    assert found.weights.shape == (3, 1, 3, 3) and found.kind == "signed"


def test_scaled_kernels_and_their_pixels():
    model = nn.Sequential(nn.Conv2d(1, 2, (1, 2), bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -4.0], [0.0, 0.0]]).view(2, 1, 1, 2))
    found = filters(model, torch.rand(1, 1, 4, 4))
    assert found.scaled.flatten().tolist() == [0.5, -1, 0, 0]
    assert found.pixels.flatten().tolist() == [191, 0, 128, 128]


def test_layers_without_kernels_are_refused():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(UsageError, match="`1` has no kernels; layers with some: `0`"):
        filters(model, torch.rand(1, 1, 4, 4), "1")
    with pytest.raises(UsageError, match="Unknown layer `9`"):
        filters(model, torch.rand(1, 1, 4, 4), "9")


def test_maps_are_those_of_the_layer_and_of_its_last_call():
    model = Shared().eval()
    x = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(feature_maps(model, x, "relu"), model(x).detach())
    torch.testing.assert_close(feature_maps(model, x, "a"), model.a(x).detach())  # before the ReLU in place
    with pytest.raises(ShapeError, match="not a feature map"):
        feature_maps(nn.Sequential(nn.Flatten(2)), x, "0")


def test_responses_by_hand_whatever_the_batches():
    model = sum_of_a_window()
    images = torch.stack([torch.eye(3)[None], torch.zeros(1, 3, 3)])
    found = responses(model, [images], "1")
    # of the identity all nine windows: 2 2 1 / 2 3 2 / 1 2 2
    assert found.mean.tolist() == pytest.approx([17 / 18, 0]) and found.largest.tolist() == [3, 0]
    assert found.active.tolist() == [0.5, 0] and found.in_images.tolist() == [0.5, 0] and found.images == 2
    assert found.deviation[0] ** 2 == pytest.approx(35 / 18 - (17 / 18) ** 2)
    apart = responses(model, images.split(1), "1")
    assert torch.equal(apart.mean, found.mean) and torch.equal(apart.largest, found.largest)
    with pytest.raises(UsageError, match="at least one batch"):
        responses(model, [], "1")


def photographs():
    """Five images 8 x 8 with one bright pixel each, the later the brighter, at places of their own."""
    pixels = np.zeros((5, 8, 8, 1), np.uint8)
    for index, (row, column) in enumerate([(4, 4), (0, 0), (2, 5), (7, 7), (3, 1)]):
        pixels[index, row, column] = 50 * (index + 1)
    return pixels


def as_inputs(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


def test_the_strongest_images_and_places_whatever_the_batches():
    model, x = sum_of_a_window(), as_inputs(photographs())
    found = strongest(model, x.split(2), "1", count=3)
    assert found.images[0].tolist() == [4, 3, 2]
    assert found.values[0].tolist() == pytest.approx([250 / 255, 200 / 255, 150 / 255])
    assert (found.rows[0, 0], found.columns[0, 0]) == (2, 0)  # the first window that holds (3, 1)
    whole = strongest(model, [x], "1", count=3)
    assert torch.equal(whole.images, found.images) and torch.equal(whole.rows, found.rows)
    assert found.images[1].tolist() == [0, 1, 2]  # all are 0: the earlier stand first
    assert strongest(model, [x], "1").values.shape == (2, 5)  # no more than there are


def test_patches_are_what_the_unit_sees():
    model, pixels = sum_of_a_window(), photographs()
    found = strongest(model, [as_inputs(pixels)], "1", count=3)
    measured = fields(model, (1, 8, 8))
    first, second, _ = patches(found, 0, pixels, measured)
    assert first.image == 4 and first.seen.rows == (1, 4) and first.seen.columns == (-1, 2)
    expected = np.array([[OUTSIDE, 0, 0], [OUTSIDE, 0, 0], [OUTSIDE, 0, 250]])
    assert np.array_equal(first.pixels[:, :, 0], expected)
    assert second.pixels.max() == 200
    with pytest.raises(UsageError, match=r"`channel` \(=2\) must be from 0 to 1"):
        patches(found, 2, pixels, measured)


def test_nothing_outside_a_patch_changes_the_value():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU()).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 1), dtype=np.uint8)
    found = strongest(model, [as_inputs(pixels)], "3", count=2)
    for patch in excited(model, found, 1, pixels, as_inputs):
        other = np.full((1, 24, 24, 1), 77, np.uint8)
        (top, bottom), (left, right) = ((int(a), int(b)) for a, b in patch.seen)
        other[0, top:bottom, left:right] = patch.pixels
        maps = feature_maps(model, as_inputs(other), "3")[0, 1]
        assert float((maps - patch.value).abs().min()) < 1e-6


def test_a_layer_that_runs_twice_sees_what_its_last_call_sees():
    model, pixels = Shared().eval(), photographs()
    found = strongest(model, [as_inputs(pixels)], "relu", count=1)
    assert patches(found, 0, pixels, fields(model, (1, 8, 8)))[0].pixels.shape == (5, 5, 1)


def test_projections_are_cropped_as_the_images_are():
    model, pixels = sum_of_a_window(), photographs()
    found = strongest(model, [as_inputs(pixels)], "1", count=2)
    for patch in excited(model, found, 0, pixels, as_inputs, project=lambda _, x, layer, channel: x):
        inside = patch.pixels != OUTSIDE
        np.testing.assert_allclose(patch.projection[inside], patch.pixels[inside] / 255)
        assert (patch.projection[~inside] == 0).all()


def test_a_dense_layer_is_excited_by_whole_images():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    pixels = photographs()
    found = strongest(model, [as_inputs(pixels)], "1", count=2)
    patch = excited(model, found, 2, pixels, as_inputs)[0]
    assert np.array_equal(patch.pixels, pixels[patch.image])

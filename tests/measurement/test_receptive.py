"""Receptive fields: the figures of the lectures, and the pixels that a unit really depends on."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fovea.zoo  # noqa: F401  registers the networks
from fovea.measurement.network import measure_network
from fovea.measurement.receptive import Axis, beside, collapsed, pixels, resampled, united
from fovea.registry import build

LECTURE_002 = nn.Sequential(
    nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
)


def test_the_table_of_lecture_002():
    rows = [(row.output_shapes[0][-1], row.field) for row in measure_network(LECTURE_002, (3, 256, 256)).layers]
    assert [(n, axes[0].start, axes[0].jump, axes[0].size) for n, axes in rows] == [
        *((256, 0.5, 1, 1), (128, 0.5, 2, 7), (128, 0.5, 2, 7), (128, 0.5, 2, 7), (64, 0.5, 4, 11)),
    ]
    assert all(axes[0] == axes[1] for _, axes in rows)


def test_unit_1_1_of_lecture_002_sees_six_rows_clipped_and_seven_unclipped():
    axis = measure_network(LECTURE_002, (3, 256, 256)).layers[2].field[0]
    assert axis.unit(1) == (-1, 6)  # pixels -1..5; the slide's (0, 6.0) is half-open and clipped


@pytest.mark.parametrize(("kernel", "layers"), [(3, 3), (3, 7), (5, 2), (7, 1)])
def test_l_layers_see_1_plus_l_times_k_minus_1(kernel, layers):
    # lectures 000, 001: three 3x3 convolutions see 3, 5, 7, as one 7x7
    net = nn.Sequential(*(nn.Conv2d(1, 1, kernel) for _ in range(layers)))
    sizes = [row.field[0].size for row in measure_network(net, (1, 40, 40)).layers]
    assert sizes == [1 + n * (kernel - 1) for n in range(layers + 1)]


def test_axes_are_counted_apart():
    field = measure_network(nn.Conv2d(1, 1, (3, 5), stride=(1, 2), padding=(1, 0)), (1, 9, 9)).layers[1].field
    assert [(axis.size, axis.jump, axis.start) for axis in field] == [(3, 1, 0.5), (5, 2, 2.5)]
    field = measure_network(nn.Conv1d(1, 1, 3, dilation=2), (1, 9)).layers[1].field
    assert [(axis.size, axis.jump, axis.start) for axis in field] == [(5, 1, 2.5)]
    assert len(measure_network(nn.Conv3d(1, 1, 2), (1, 4, 4, 4)).layers[1].field) == 3


def test_units_of_equal_index_that_meet_see_the_union():
    narrow = resampled(pixels(9), 7, scale=1, first=0, last=2)
    wide = resampled(pixels(9), 7, scale=1, first=-1, last=1)
    assert united(narrow, wide) == Axis(lo=-1, hi=3, jump=1, count=7)


def test_what_comes_from_everywhere_is_seen_by_every_unit_and_the_jump_stays():
    own, whole = resampled(pixels(8), 4, scale=2, first=0, last=1), collapsed(pixels(8))
    gated = united(own, whole)
    assert (gated.unit(0), gated.unit(3), gated.size, gated.jump, gated.start) == ((0, 8), (0, 8), 8, 2, 1)
    assert beside(gated, (-1, 3)).unit(3) == (-1, 8)
    assert united(gated, resampled(pixels(8), 4, scale=2, first=-1, last=2)).everywhere == (0, 8)


class Chain(nn.Module):
    """A function of the map after a first convolution."""

    def __init__(self, forward):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.gate = nn.Conv2d(4, 4, 1)
        self.up = nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.mixer = nn.Linear(4, 4)
        self.function = forward

    def forward(self, x):
        return self.function(self, self.first(x))


def squeezed(net, x):
    return net.second(x * torch.sigmoid(net.gate(x.mean((2, 3), keepdim=True))))


def tokens(net, x):
    return net.mixer(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)


def attention(net, x):
    q = x.flatten(2).transpose(1, 2)
    return (F.softmax(q @ q.transpose(1, 2), -1) @ q).transpose(1, 2).reshape(x.shape)


def shuffled(net, x):
    N, C, H, W = x.shape
    return net.second(x.view(N, 2, C // 2, H, W).transpose(1, 2).reshape(N, C, H, W)[:, [2, 0, 3, 1]])


FUNCTIONS = {
    "strided": lambda net, x: net.second(x),
    "residual of other size": lambda net, x: net.second(x) + x[:, :, ::2, ::2],
    "concatenation": lambda net, x: torch.cat([net.second(x), F.avg_pool2d(x, 2)], 1),
    "dilated": lambda net, x: F.conv2d(x, net.first.weight[:, :1].expand(-1, 4, -1, -1), dilation=2),
    "squeeze and excitation": squeezed,
    "overlapping pooling that rounds up": lambda net, x: F.avg_pool2d(x, 3, 2, ceil_mode=True, count_include_pad=False),
    "transposed": lambda net, x: net.first(net.up(net.second(x))[:, :1]),
    "nearest": lambda net, x: F.interpolate(net.second(x), scale_factor=2),
    "bilinear": lambda net, x: F.interpolate(net.second(x), scale_factor=2, mode="bilinear"),
    "adaptive": lambda net, x: F.adaptive_avg_pool2d(x, 3),
    "global": lambda net, x: x.mean((2, 3)),
    "padded": lambda net, x: net.second(F.pad(x, (1, 0, 0, 1))),
    "cropped": lambda net, x: net.second(x[:, :, 1:, 2:-1]),
    "pixel shuffle": lambda net, x: F.pixel_shuffle(net.second(x), 2),
    "pixel unshuffle": lambda net, x: F.pixel_unshuffle(x, 2),
    "group norm": lambda net, x: net.second(net.norm(x)),
    "tokens": tokens,
    "attention": attention,
    "channels shuffled": shuffled,
    "transposed axes": lambda net, x: net.second(x.transpose(2, 3)),
    "stacked and unbound": lambda net, x: sum(torch.stack([net.second(x), net.second(x)], 2).unbind(2)),
    "chunks": lambda net, x: torch.cat([x.chunk(2, 1)[0], net.second.weight.mean() * x.chunk(2, 1)[1]], 1),
}


def positive(model):
    """Return the network in float64 with weights whose outputs cannot cancel."""
    model = model.double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = 1 / parameter[0].numel() if parameter.ndim > 1 else 0 if name.endswith("bias") else 1
            parameter.fill_(value)
    return model


def seen_by(output, x, unit):
    """Return, per axis, the first and last + 1 pixel of `x` with a gradient from one unit of a map, all channels."""
    picked = output[(0, slice(None), *unit)] if unit else output[0]
    weights = torch.linspace(1, 2, picked.numel(), dtype=x.dtype)
    (gradient,) = torch.autograd.grad((picked * weights).sum(), x, retain_graph=True)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    return [(int(found[0]), int(found[-1]) + 1) for found in (rows, columns)]


def clipped(field, unit, size):
    return [(max(0, lo), min(size, hi)) for lo, hi in (axis.unit(i) for axis, i in zip(field, unit, strict=True))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_field_is_the_bounding_box_of_the_gradients(name):
    torch.manual_seed(0)
    net = positive(Chain(FUNCTIONS[name]))
    measured = measure_network(net, (1, 12, 12))
    assert "receptive_field" not in measured.missing
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    output = net(x)
    field = measured.groups[0].field
    units = [(0, 0), (1, 1), tuple(n - 1 for n in output.shape[2:])] if output.ndim == 4 else [()]
    for unit in units:
        # where resizing is not regular a unit gets the widest field of all, and padding counts as the pixels it hides
        exact = name not in ("nearest", "bilinear", "transposed", "adaptive", "pixel shuffle", "cropped")
        for (lo, hi), (low, high) in zip(seen_by(output, x, unit), clipped(field, unit or (0, 0), 12), strict=True):
            assert low <= lo and hi <= high
            assert (low, high) == (lo, hi) if exact else high - low <= hi - lo + 4


def averaging(model):
    """Return the network with averages in place of maxima: they see the same, and every pixel gets a gradient."""
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            pool = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, pool)
    return model


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 65), ("mobilenet_v2", 96), ("shufflenet_v2_05", 65), ("vgg_block3", 33)]
)
def test_networks_of_the_zoo_see_what_their_gradients_say(name, size):
    torch.manual_seed(0)
    model = positive(averaging(build(name, size=size)))
    measured = measure_network(model, (3, size, size))
    last = max(group.stop for group in measured.groups if group.path.startswith("stage") and "." not in group.path)
    x = (0.1 * torch.rand(1, 3, size, size, dtype=torch.float64)).requires_grad_()
    features = model.features(x)
    for unit in ((0, 0), (1, 1)):
        assert seen_by(features, x, unit) == clipped(measured.layers[last - 1].field, unit, size)


def test_an_operation_without_a_rule_loses_the_field_and_says_where():
    measured = measure_network(Chain(lambda net, x: net.second(torch.roll(x, 1, 2))), (1, 8, 8))
    assert measured.missing["receptive_field"] == "from `roll()` on: no rule for the operation `roll`"
    assert [row.field is None for row in measured.layers][:4] == [False, False, True, True]


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda net, x: net.second(torch.cat([x, x], 2)), "rows or columns are concatenated"),
        (lambda net, x: net.second(F.pad(x, (1, 1, 1, 1), mode="circular")), "a tensor is written part by part"),
        (lambda net, x: x.unfold(2, 3, 1).mean(-1), "a view takes rows or columns apart"),
        (lambda net, x: F.conv1d(x.flatten(2), net.first.weight.flatten(2)[:, :1].expand(-1, 4, -1)), "flattened"),
        (lambda net, x: x[:, :, [1, 0]], "rows or columns are indexed"),
        (lambda net, x: x[:, [[0]], [[1]]], "several dimensions are indexed together"),
    ],
)
def test_what_is_not_followed_is_said(forward, reason):
    assert reason in measure_network(Chain(forward), (1, 8, 8)).missing["receptive_field"]


def test_branches_that_meet_have_their_own_fields_and_the_union():
    net = Chain(FUNCTIONS["concatenation"])
    (row,) = [row for row in measure_network(net, (1, 12, 12)).layers if row.type == "cat"]
    assert [branch[0].size for branch in row.branches] == [5, 4]
    assert row.field[0].size == 5 and row.field[0].jump == 2

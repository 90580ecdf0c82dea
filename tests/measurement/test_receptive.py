"""Receptive fields: the figures of the lectures, and the pixels that a unit really depends on."""

from itertools import product

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
        self.mixed = nn.Conv2d(4, 4, 3, padding=1)
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
    """Return what a unit of a map sees inside an image, by the dimension along which each axis of the input lies."""
    seen = [axis.span if axis.dim is None else axis.unit(unit[axis.dim - 2]) for axis in field]
    return [(max(0, lo), min(size, hi)) for lo, hi in seen]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_field_is_the_bounding_box_of_the_gradients(name):
    torch.manual_seed(0)
    net = positive(Chain(FUNCTIONS[name]))
    measured = measure_network(net, (1, 12, 12))
    assert "receptive_field" not in measured.missing
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    output = net(x)
    field = measured.groups[0].field
    units = list(product(*map(range, output.shape[2:]))) if output.ndim == 4 else [()]
    for unit in units:
        # padding counts as the pixels that it hides
        exact = name != "cropped"
        for (lo, hi), (low, high) in zip(seen_by(output, x, unit), clipped(field, unit or (0, 0), 12), strict=True):
            assert low <= lo and hi <= high
            assert (low, high) == (lo, hi) if exact else high - low <= hi - lo + 4


def resized(**arguments):
    return lambda net, x: F.interpolate(net.second(x), **arguments)


RESIZED = {
    **{
        f"{mode} by {f}": resized(scale_factor=f, mode=mode)
        for mode in ("nearest", "nearest-exact")
        for f in (2, 3, 1.7)
    },
    **{f"{mode} by {f}": resized(scale_factor=f, mode=mode) for mode in ("bilinear", "bicubic") for f in (2, 3, 2.5)},
    **{f"{mode} to 7 x 9": resized(size=(7, 9), mode=mode) for mode in ("nearest", "nearest-exact", "bilinear")},
    "bilinear down": lambda net, x: F.interpolate(x, size=(5, 4), mode="bilinear"),
    "corners": resized(scale_factor=2, mode="bilinear", align_corners=True),
    "corners to 11": resized(size=11, mode="bicubic", align_corners=True),
    "adaptive to 5 x 7": lambda net, x: F.adaptive_avg_pool2d(x, (5, 7)),
    "adaptive to more": lambda net, x: F.adaptive_avg_pool2d(net.second(x), (8, 9)),
    "transposed, kernel 2": lambda net, x: F.conv_transpose2d(
        net.second(x), net.gate.weight.expand(4, 4, 2, 2), stride=2
    ),
    "transposed, kernel 4": lambda net, x: F.conv_transpose2d(
        net.second(x), net.gate.weight.expand(4, 4, 4, 4), stride=2, padding=1
    ),
    "transposed, dilated": lambda net, x: F.conv_transpose2d(
        x, net.gate.weight.expand(4, 4, 3, 3), stride=3, dilation=2
    ),
    "up, then convolved": lambda net, x: net.mixed(F.interpolate(net.second(x), scale_factor=2)),
    "up, convolved with a stride": lambda net, x: net.second(
        F.interpolate(net.second(x), scale_factor=3, mode="bilinear")
    ),
    "up, then pooled": lambda net, x: F.avg_pool2d(F.interpolate(net.second(x), scale_factor=3), 2),
    "up twice": lambda net, x: F.interpolate(F.interpolate(net.second(x), scale_factor=2), scale_factor=2),
    "up and a residual": lambda net, x: net.mixed(F.interpolate(net.second(x), scale_factor=2) + x),
    "up by two ways": lambda net, x: (
        F.interpolate(net.second(x), scale_factor=2) + net.up(net.second(x), output_size=(12, 12))
    ),
    "up and concatenated": lambda net, x: torch.cat([F.interpolate(net.second(x), size=12), x], 1),
    "up, a slice": lambda net, x: F.interpolate(net.second(x), scale_factor=2)[:, :, 1::2, 3:],
    "up, transposed axes": lambda net, x: F.interpolate(net.second(x), size=(9, 13)).transpose(2, 3),
    "adaptive, then up": lambda net, x: F.interpolate(F.adaptive_avg_pool2d(x, 5), size=(8, 8), mode="bilinear"),
    "pixel shuffle, convolved": lambda net, x: net.first(F.pixel_shuffle(net.second(x), 2)),
}


@pytest.mark.parametrize("name", RESIZED)
def test_each_unit_behind_a_resizing_has_the_rectangle_of_its_own_gradient(name):
    torch.manual_seed(0)
    net = positive(Chain(RESIZED[name]))
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    output, field = net(x), measure_network(net, (1, 12, 12)).groups[0].field
    for unit in product(*map(range, output.shape[2:])):
        rows, columns = clipped(field, unit, 12)
        gradient = torch.autograd.grad(output[(0, slice(None), *unit)].sum(), x, retain_graph=True)[0].abs().sum((0, 1))
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            assert gradient.sum() == 0
        else:
            assert seen_by(output, x, unit) == [rows, columns]


def test_the_unit_of_a_map_of_twice_the_size_sees_what_its_source_sees():
    # a convolution of 3, then nearest neighbours: unit 8 is a copy of unit 4, which sees pixels 3 to 5
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Upsample(scale_factor=2))
    (axis, _) = measure_network(net, (1, 16, 16)).layers[2].field
    assert [axis.unit(i) for i in (7, 8, 9, 10)] == [(2, 5), (3, 6), (3, 6), (4, 7)]
    assert (axis.size, axis.jump) == (3, 0.5)


# operations that work in place


def transposed(net, x):
    x.transpose_(2, 3)
    return net.second(x)


def written_by_name(net, x):
    result = torch.empty_like(x)
    torch.add(net.mixed(x).detach(), 1, out=result)
    return result + x


def added_to(net, x):
    x += net.mixed(x)
    return net.second(x)


def of_another_shape(net, x):
    x.unsqueeze_(0).squeeze_(0).swapaxes_(2, 3)
    return net.second(x)


def parts_changed(net, x):
    x[:, :2].relu_()
    return net.second(x)


IN_PLACE = {
    **{"transposed": (transposed, 5), "of another shape": (of_another_shape, 5), "added to": (added_to, 7)},
    **{"a part, element by element": (parts_changed, 5), "by name": (written_by_name, 5)},
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_works_in_place_keeps_the_field(name):
    forward, size = IN_PLACE[name]
    measured = measure_network(Chain(forward), (1, 12, 12))
    assert "receptive_field" not in measured.missing
    assert [axis.size for axis in measured.groups[0].field] == [size, size]


def pooled_under_a_view(net, x):
    view = x.view(1, 4, -1)
    x.add_(x.mean((2, 3), keepdim=True))
    return view.mean(-1)


def changed_in_a_list(net, x):
    copy = x.detach().clone()
    torch._foreach_add_([copy], [net.mixed(x).detach()])
    return net.second(copy)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (pooled_under_a_view, "a tensor is changed in place while other tensors share its memory"),
        (changed_in_a_list, "`_foreach_add_` changes tensors in place"),
        (lambda net, x: net.second(x.detach().clone().index_fill_(2, torch.tensor([0]), 0)), "`index_fill_`"),
    ],
)
def test_what_in_place_is_not_followed_is_named(forward, reason):
    assert reason in measure_network(Chain(forward), (1, 8, 8)).missing["receptive_field"]


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
        (lambda net, x: net.second(F.pad(x, (1, 1, 1, 1), mode="circular")), "a tensor is written piece by piece"),
        (lambda net, x: x.unfold(2, 3, 1).mean(-1), "a view splits rows or columns"),
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

"""Networks along one axis and along three, those of a user included: figures by hand, and fields by gradients."""

from itertools import product

import pytest
import torch
from torch import nn

from fovea.measurement.latency import time_forward
from fovea.measurement.memory import estimate_memory
from fovea.measurement.network import measure_network
from fovea.measurement.tables import Choice, leftover_lines, remarks, totals
from fovea.measurement.text_table import text_table

# 2 x 20 -> conv 5/2, padding 1 -> 4 x 9 -> max pool 3/2 -> 4 x 4 -> average of 2 -> 4 x 2 -> 8 -> 3
SERIES = nn.Sequential(
    nn.Conv1d(2, 4, 5, stride=2, padding=1), nn.MaxPool1d(3, 2), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(8, 3)
)
# 1 x 6 x 8 x 8 -> conv 3x3x3/1x2x2, padding 1 -> 2 x 6 x 4 x 4 -> max pool 2x2x2 -> 2 x 3 x 2 x 2 -> conv 3x1x1
CLIPS = nn.Sequential(
    nn.Conv3d(1, 2, 3, stride=(1, 2, 2), padding=1, bias=False), nn.MaxPool3d(2), nn.Conv3d(2, 5, (3, 1, 1))
)


def test_a_network_of_series_by_hand():
    measured = measure_network(SERIES, (2, 20))
    rows = measured.layers
    assert [row.output_shapes[0][1:] for row in rows] == [(2, 20), (4, 9), (4, 4), (4, 2), (8,), (3,)]
    assert [row.parameters for row in rows] == [0, 2 * 4 * 5 + 4, 0, 0, 0, 8 * 3 + 3]
    assert [row.macs for row in rows] == [0, 9 * 2 * 4 * 5, 0, 0, 0, 8 * 3]
    assert [row.activation_bytes for row in rows] == [4 * n for n in (40, 36, 16, 8, 0, 3)]
    # the input and the first map are needed backward; max pooling keeps its indices of 8 bytes; Flatten's is a view
    assert [row.kept_bytes for row in rows] == [4 * 40, 4 * 36, 4 * 16 + 8 * 16, 4 * 8, 0, 0]
    fields = [[(axis.size, axis.jump, axis.start) for axis in row.field] for row in rows[:4]]
    assert fields == [[(1, 1, 0.5)], [(5, 2, 1.5)], [(9, 4, 3.5)], [(13, 8, 5.5)]]
    assert rows[5].field[0].span == (-1, 20)  # two units of 13 steps, 8 apart: from -1 to 12 and from 7 to 20


def test_a_network_of_clips_by_hand():
    measured = measure_network(CLIPS, (1, 6, 8, 8))
    rows = measured.layers
    assert [row.output_shapes[0][1:] for row in rows] == [(1, 6, 8, 8), (2, 6, 4, 4), (2, 3, 2, 2), (5, 1, 2, 2)]
    assert [row.parameters for row in rows] == [0, 2 * 27, 0, 5 * 2 * 3 + 5]
    assert [row.macs for row in rows] == [0, 6 * 4 * 4 * 2 * 27, 0, 2 * 2 * 5 * 2 * 3]
    assert [row.activation_bytes for row in rows] == [4 * n for n in (384, 192, 24, 20)]
    fields = [[(axis.size, axis.jump, axis.start) for axis in row.field] for row in rows]
    assert fields == [
        [(1, 1, 0.5)] * 3,
        [(3, 1, 0.5), (3, 2, 0.5), (3, 2, 0.5)],
        [(4, 2, 1), (5, 4, 1.5), (5, 4, 1.5)],
        [(8, 2, 3), (5, 4, 1.5), (5, 4, 1.5)],
    ]


LAYERS = {
    "series": {
        "dilated, in groups": nn.Conv1d(2, 4, 3, padding=2, dilation=2, groups=2),
        "an even kernel, same padding": nn.Conv1d(2, 4, 4, padding="same"),
        "causal": nn.Sequential(nn.ZeroPad1d((4, 0)), nn.Conv1d(2, 3, 3, dilation=2)),
        "averages that round up": nn.AvgPool1d(4, 3, ceil_mode=True, count_include_pad=False),
        "adaptive": nn.AdaptiveAvgPool1d(5),
        "transposed": nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1),
        "interpolated": nn.Upsample(scale_factor=2, mode="linear"),
        "two strides": nn.Sequential(nn.Conv1d(2, 3, 5, stride=2), nn.AvgPool1d(2), nn.Conv1d(3, 2, 3, padding=1)),
    },
    "clips": {
        "each axis its own": nn.Conv3d(2, 3, (3, 1, 5), stride=(2, 1, 1), padding=(1, 0, 2), dilation=(1, 1, 1)),
        "space, then time": nn.Sequential(nn.Conv3d(2, 3, (1, 3, 3)), nn.Conv3d(3, 2, (3, 1, 1), stride=(2, 1, 1))),
        "averages": nn.AvgPool3d((1, 2, 3), stride=(1, 2, 2)),
        "adaptive": nn.AdaptiveAvgPool3d((2, None, 3)),
        "transposed": nn.ConvTranspose3d(2, 3, 2, stride=2),
        "interpolated": nn.Upsample(scale_factor=(1, 2, 2), mode="trilinear"),
        "frames averaged": nn.Sequential(nn.Conv3d(2, 2, 3, padding=1), nn.AdaptiveAvgPool3d((1, None, None))),
    },
}
HOLES = {"dilated, in groups", "causal", "two strides"}
SIZES = {"series": (2, 20), "clips": (2, 5, 6, 7)}
CASES = [(kind, name) for kind, layers in LAYERS.items() for name in layers]


even_kernels = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


@even_kernels
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_each_unit_sees_the_box_of_its_own_gradient(kind, name):
    model, shape = LAYERS[kind][name].double(), SIZES[kind]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)  # so that nothing cancels
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    output, field = model(x), measure_network(model, shape).groups[0].field
    assert len(field) == len(shape) - 1
    for unit in product(*map(range, output.shape[2:])):
        picked = output[(0, slice(None), *unit)].sum()
        gradient = torch.autograd.grad(picked, x, retain_graph=True)[0].abs().sum((0, 1))
        for dim, axis in enumerate(field):
            others = [d for d in range(gradient.ndim) if d != dim]
            seen = (gradient.sum(others) if others else gradient).nonzero().flatten()
            low, high = axis.span if axis.dim is None else axis.unit(unit[axis.dim - 2])
            first, last = int(seen[0]), int(seen[-1]) + 1
            assert low <= first and last <= high
            # where padding meets a window with holes, it hides pixels that count all the same
            if name not in HOLES or (low >= 0 and high <= shape[dim + 1]):
                assert (first, last) == (max(0, low), min(shape[dim + 1], high))


@even_kernels
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_multiply_adds_are_what_pytorch_counts(kind, name):
    from torch.utils.flop_counter import FlopCounterMode

    model = LAYERS[kind][name].float()
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(1, *SIZES[kind]))
    assert 2 * measure_network(model, SIZES[kind]).total.macs == counter.get_total_flops()


def test_what_a_stride_leaves_uncovered_is_a_step_or_a_frame():
    series = measure_network(nn.Sequential(nn.MaxPool1d(2), nn.MaxPool1d(3)), (1, 7))
    assert leftover_lines(series.layers[1]) == ["0 does not fit, (7 - 2) / 2 + 1 = 3.5: step 6 not covered."]
    clips = measure_network(nn.Sequential(nn.AvgPool3d(2)), (1, 3, 4, 5))
    assert list(remarks(clips))[:2] == [
        "0 does not fit, (3 - 2) / 2 + 1 = 1.5: frame 2 not covered.",
        "0 does not fit, (5 - 2) / 2 + 1 = 2.5: column 4 not covered.",
    ]
    assert list(remarks(clips))[2] == "Every stride divides for inputs of 2/4 by 4 by 4/6."


def test_totals_say_what_one_input_is():
    for model, shape, noun in ((SERIES, (2, 20), "a series"), (CLIPS, (1, 6, 8, 8), "a clip")):
        assert f" {noun}; training keeps" in list(totals(measure_network(model, shape)))[1]
    assert " an input; " in list(totals(measure_network(nn.Linear(4, 2), (4,))))[1]


def test_memory_and_latency_take_any_number_of_axes():
    memory = estimate_memory(SERIES, (2, 20), batch=3)
    # input and first map live at once, or the map, its half and the indices of 8 bytes
    assert memory.inference_bytes == memory.weight_bytes + 4 * 3 * (40 + 36 + 16) + 8 * 3 * 16
    assert "for 3 series," in memory.summary()[0]
    timed = time_forward(CLIPS, (1, 6, 8, 8), macs=5_304, seconds=0.01)
    assert timed.summary()[0].split(", ")[0].endswith("ms a clip")
    assert timed.macs_per_s > 0


def test_the_type_of_a_layer_with_weight_norm_is_that_of_the_layer():
    conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(1, 1, 2))
    table = list(text_table(measure_network(nn.Sequential(conv), (1, 4)), Choice(depth=1)))
    assert table[4].split()[:5] == ["0", "Conv1d", "1x3", "4", "100"]  # direction 2, length 1, bias 1

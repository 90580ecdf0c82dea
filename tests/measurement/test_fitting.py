"""Sizes that strides divide, and what is left uncovered where they do not."""

import pytest
from torch import nn

import fovea.zoo  # noqa: F401  registers the networks
from fovea.measurement.fitting import nearest
from fovea.measurement.network import measure_network
from fovea.measurement.tables import fitting_text, leftover_lines
from fovea.registry import build


def said(model, shape):
    measured = measure_network(model, shape)
    return [line for row in measured.layers for line in leftover_lines(row)], measured.fitting


def test_three_by_three_with_stride_three_on_seven_by_seven_does_not_fit():
    # lectures 000, 001, 003, 004
    lines, fitting = said(nn.Sequential(nn.Conv2d(1, 1, 3, stride=3)), (1, 7, 7))
    assert lines == ["0 does not fit, (7 - 3) / 3 + 1 = 2.33: row 6 and column 6 not covered."]
    assert fitting == ((6, 9), (6, 9))
    assert said(nn.Conv2d(1, 1, 3, stride=3, padding=1), (1, 7, 7)) == ([], ())  # 004: with padding it gives 3


def test_lecture_002_leaves_a_row_and_a_column_of_the_padding_uncovered():
    # figure 2.7: 6x6, kernel 3, padding 1, stride 2
    (leftovers,) = [row.leftovers for row in measure_network(nn.Conv2d(1, 1, 3, 2, 1), (1, 6, 6)).layers[1:]]
    assert [(item.axis, item.uncovered, item.padding) for item in leftovers] == [(0, (), 1), (1, (), 1)]


def test_rows_and_columns_are_told_apart():
    lines, fitting = said(nn.Sequential(nn.MaxPool2d((5, 2))), (1, 8, 9))
    assert lines == [
        "0 does not fit, (8 - 5) / 5 + 1 = 1.6: rows 5 to 7 not covered.",
        "0 does not fit, (9 - 2) / 2 + 1 = 4.5: column 8 not covered.",
    ]
    assert fitting == ((5, 10), (8, 10))


def test_the_proposed_sizes_fit_a_whole_network():
    model = build("resnet18")
    assert said(model, (3, 224, 224))[1] == ((193, 225), (193, 225))
    assert said(model, (3, 225, 193)) == ([], ())
    lines, _ = said(model, (3, 224, 224))
    assert (
        "stage2.block1.shortcut.conv does not fit, (56 - 1) / 2 + 1 = 28.5: row 55 and column 55 not covered." in lines
    )


def test_slices_and_pads_on_the_way_count_and_pooling_that_rounds_up_asks_nothing():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.pad, self.up, self.pool = nn.ZeroPad2d(1), nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(2)

        def forward(self, x):
            return self.pool(self.up(self.pad(x)[:, :, 1:, ::2]))

    lines, ((below, above), _) = said(Net(), (1, 10, 20))
    assert lines and said(Net(), (1, below, 20))[0] != lines and said(Net(), (1, above, 20))[0] != lines
    rows = measure_network(Net(), (1, above, 20)).layers[-1].leftovers
    assert [item.axis for item in rows] in ([], [1])


def test_nothing_fits_where_branches_contradict_each_other():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.even, self.odd = nn.MaxPool2d(2), nn.Conv2d(1, 1, 1, stride=2)

        def forward(self, x):
            return self.even(x) + self.odd(x)

    measured = measure_network(Net(), (1, 8, 8))
    assert measured.fitting == ((), ())
    assert fitting_text(measured) == "No input size near this one makes every stride divide."


@pytest.mark.parametrize(
    ("strided", "size", "expected"),
    [
        ([((0, 2),), ((0, 2), (0, 2))], 30, (28, 32)),
        ([((0, 2),)], 1, (2,)),
        ([((0, 2),)], 8, (8,)),
        ([()], 5, (5,)),
        ([((-2, 5), (1, 1)), ((-2, 5), (1, 3))], 20, (16, 27)),
    ],
)
def test_the_nearest_sizes(strided, size, expected):
    assert nearest(strided, size) == expected

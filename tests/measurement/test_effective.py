import pytest
import torch
from torch import nn

from fovea.errors import ShapeError, UsageError
from fovea.measurement.effective import Rectangle, Unit, effective_field, output_of, seen_rectangle
from fovea.measurement.network import measure_network


def stem():
    """The worked example of lecture 002: 7x7/2, batch norm, ReLU, max pooling 3x3/2."""
    conv = nn.Conv2d(3, 4, 7, stride=2, padding=3)
    return nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))


def linear(*kernels):
    """Convolutions of one channel whose weights are all 1."""
    model = nn.Sequential(*(nn.Conv2d(1, 1, k, bias=False) for k in kernels))
    for layer in model:
        nn.init.ones_(layer.weight)
    return model


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.long = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=2))
        self.short = nn.Conv2d(4, 4, 1, padding=1)
        self.end = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.stem(x)
        return self.end(self.long(x) + self.short(x))


def positive(model):
    """Return the network with positive weights: then no two paths cancel, and ReLU lets everything pass."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.5, 1)
    return model.double().eval()


@pytest.mark.parametrize("layer", ["0", "1", "2"])
def test_unit_1_1_of_the_lectures_sees_rows_and_columns_0_to_5_and_with_padding_from_minus_1(layer):
    # facts/README.md, deck 002: 256x256, layer 2; the slide's 6.0 is half-open
    rectangle = seen_rectangle(measure_network(stem(), (3, 256, 256)), Unit(layer, 1, 1))
    assert rectangle == Rectangle((-1, 6), (-1, 6))
    assert rectangle.clipped(256, 256) == Rectangle((0, 6), (0, 6))
    assert rectangle.text == "rows -1 to 5, columns -1 to 5 (7 x 7)"


def test_after_the_pooling_a_unit_sees_11_pixels():
    measured = measure_network(stem(), (3, 256, 256))
    assert seen_rectangle(measured, Unit("3", 10, 63)) == Rectangle((35, 46), (247, 258))


def test_rectangle_that_lies_in_the_padding_alone_has_no_part_in_the_image():
    assert Rectangle((-3, 0), (-3, 0)).clipped(8, 8) is None


def test_fractions_of_pixels_are_taken_whole():
    model = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3, padding=1))
    rectangle = seen_rectangle(measure_network(model, (1, 8, 8)), Unit("1", 5, 5))
    assert rectangle.rows[0] <= 2 and rectangle.rows[1] >= 4 and all(low == int(low) for low, _ in rectangle)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 4), (8, 8)])
@pytest.mark.parametrize("layer", ["stem", "long", "long.0", "end"])
def test_nonzero_gradients_span_the_clipped_rectangle(layer, row, column):
    torch.manual_seed(0)
    model = positive(Residual())
    unit = Unit(layer, min(row, 7), min(column, 7))
    rectangle = seen_rectangle(measure_network(model, (2, 16, 16)), unit).clipped(16, 16)
    x = torch.rand(1, 2, 16, 16, dtype=torch.float64, requires_grad=True)
    output_of(model, layer, x)[:, :, unit.row, unit.column].sum().backward()
    rows, columns = (torch.nonzero(x.grad.sum(dim)).flatten() for dim in ((0, 1, 3), (0, 1, 2)))
    assert rectangle == Rectangle((rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1))


def test_mass_of_two_box_filters_is_a_tent():
    found = effective_field(linear(3, 3), Unit("1", 2, 2), (1, 9, 9), inputs=2)
    tent = torch.tensor([0, 0, 1, 2, 3, 2, 1, 0, 0]).double() / 9
    assert torch.allclose(found.mass, torch.outer(tent, tent), atol=1e-7)


def test_effective_size_is_the_root_of_the_pixels_above_4_55_percent_of_the_largest():
    found = effective_field(linear(3, 3), Unit("1", 2, 2), (1, 9, 9), inputs=2)
    # of the 5x5 pixels i j, with i and j from 1, 2, 3, 2, 1, all are above 0.0455 x 9 = 0.41
    assert found.size == 5
    found = effective_field(linear(3, 3, 3), Unit("2", 0, 0), (1, 7, 7), inputs=2)
    # 1, 3, 6, 7, 6, 3, 1: above 0.0455 x 49 = 2.23 are all but those where both factors are 1: 49 - 4
    assert found.size == pytest.approx(45**0.5)


def test_rectangle_leaves_less_than_2_275_percent_of_the_mass_on_either_side():
    found = effective_field(linear(*[3] * 8), Unit("7", 0, 0), (1, 17, 17), inputs=1)
    box = torch.ones(1, 1, 3).double()
    profile = torch.ones(1, 1, 1).double()
    for _ in range(8):
        profile = nn.functional.conv1d(profile, box, padding=2)
    cumulative = (profile / profile.sum()).flatten().cumsum(0)
    first = int((cumulative < 0.02275).sum())
    assert found.rectangle == Rectangle((first, 17 - first), (first, 17 - first))
    assert 0 < first < 8


def test_mass_is_a_distribution_within_the_rectangle():
    torch.manual_seed(0)
    model, unit = Residual(), Unit("end", 1, 6)
    (top, bottom), (left, right) = seen_rectangle(measure_network(model, (2, 16, 16)), unit).clipped(16, 16)
    found = effective_field(model, unit, (2, 16, 16), inputs=5)
    assert float(found.mass.sum()) == pytest.approx(1)
    assert float(found.mass[int(top) : int(bottom), int(left) : int(right)].sum()) == pytest.approx(1)
    assert found.size**2 <= (bottom - top) * (right - left)


def test_same_unit_gives_the_same_mass_and_leaves_no_gradient_and_no_hook():
    torch.manual_seed(0)
    model, counts = Residual(), []
    first, again = (
        effective_field(model, Unit("long", 2, 2), (2, 16, 16), inputs=6, progress=lambda *c: counts.append(c))
        for _ in range(2)
    )
    assert torch.equal(first.mass, again.mass)
    assert counts == [(2, 6), (4, 6), (6, 6)] * 2
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("text", ["stage3", "stage3:5", ":5,7", "stage3:5,-7", "stage3:5,7,9", "stage3:a,b"])
def test_unit_in_another_form_is_refused(text):
    with pytest.raises(UsageError, match="must be LAYER:ROW,COLUMN, counted from 0"):
        Unit.parse(text)


def test_unit_is_read_from_the_last_colon_on():
    assert Unit.parse("stage3:5, 7") == Unit("stage3", 5, 7)


def test_unknown_layer_lists_near_ones():
    with pytest.raises(UsageError, match="Unknown layer `shorts`; did you mean `short`"):
        seen_rectangle(measure_network(Residual(), (2, 16, 16)), Unit("shorts", 0, 0))


def test_unit_outside_the_map_says_its_size():
    with pytest.raises(UsageError, match=r"outside the map of `end`, which is 10 x 10: rows 0 to 9, columns 0 to 9"):
        seen_rectangle(measure_network(Residual(), (2, 16, 16)), Unit("end", 3, 10))


def test_layer_without_a_map_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(UsageError, match="the output of `1` is 3 and has no rows and columns"):
        seen_rectangle(measure_network(model, (1, 4, 4)), Unit("1", 0, 0))


def test_gradient_that_does_not_arrive_is_said():
    model = linear(3)
    nn.init.zeros_(model[0].weight)
    with pytest.raises(ShapeError, match="No finite gradient of `0` reaches the input"):
        effective_field(model, Unit("0", 0, 0), (1, 5, 5), inputs=1)


def test_a_unit_of_a_transposed_map_sees_by_its_column_what_its_row_saw():
    class Swapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.end = nn.Conv2d(1, 2, 3, padding=1, stride=2), nn.Identity()

        def forward(self, x):
            return self.end(self.conv(x).transpose(2, 3))

    measured = measure_network(Swapped(), (1, 16, 8))
    assert seen_rectangle(measured, Unit("conv", 6, 1)) == Rectangle((11, 14), (1, 4))
    assert seen_rectangle(measured, Unit("end", 1, 6)) == Rectangle((11, 14), (1, 4))


def test_a_unit_between_the_taps_of_a_transposed_convolution_sees_nothing():
    # kernel 1, stride 2: every other row and column is bias alone
    measured = measure_network(nn.Sequential(nn.ConvTranspose2d(1, 1, 1, stride=2)), (1, 4, 4))
    assert seen_rectangle(measured, Unit("0", 2, 4)) == Rectangle((1, 2), (2, 3))
    with pytest.raises(ShapeError, match=r"`unit` \(=0:1,2\) has no pixel of the input"):
        seen_rectangle(measured, Unit("0", 1, 2))

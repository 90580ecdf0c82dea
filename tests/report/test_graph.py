import re

import pytest
import torch
from torch import nn

from fovea.measurement.network import measure_network
from fovea.report.graph import drawn, edges_of


class Module(nn.Module):
    """A small Inception module, and a shortcut past it."""

    def __init__(self, c=8):
        super().__init__()
        self.one = nn.Conv2d(c, 4, 1)
        self.three = nn.Sequential(nn.Conv2d(c, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 3, padding=1))

    def forward(self, x):
        return x + torch.cat([self.one(x), self.three(x)], 1)


def network():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Module(), nn.Sequential(nn.Flatten(), nn.Linear(8 * 36, 10)))


@pytest.fixture(scope="module")
def measured():
    return measure_network(network(), (3, 6, 6), name="small")


def by_name(drawing):
    return {box.name: box for box in drawing.boxes}


def test_every_layer_is_a_box_with_its_type_and_shape(measured):
    boxes = by_name(drawn(measured))
    assert boxes["0"].detail == "Conv2d 8x6x6"
    assert boxes["1.three.2"].detail == "Conv2d 4x6x6"
    assert boxes["1.cat()"].detail == "cat 8x6x6"
    assert len(boxes) == len(measured.layers) == 10


def test_branches_are_side_by_side_and_every_box_below_what_it_depends_on(measured):
    drawing = drawn(measured)
    boxes = by_name(drawing)
    assert boxes["1.one"].y == boxes["1.three.0"].y
    assert abs(boxes["1.one"].x - boxes["1.three.0"].x) > drawing.box_width
    for source, target in edges_of(measured, measured.layers):
        assert drawing.boxes[source].y + drawing.box_height < drawing.boxes[target].y


def test_modules_at_the_depth_are_one_box_each_with_their_sums(measured):
    drawing = drawn(measured, 1)
    assert [box.name for box in drawing.boxes] == ["input", "0", "1", "2"]
    module = by_name(drawing)["1"]
    assert module.detail == "Module 8x6x6"
    # 1x1: 8 4 + 4, 8 2 + 2; 3x3: 2 4 9 + 4
    assert "130 parameters" in module.note
    assert drawing.depth == 1 and drawn(measured, 99).depth is None


def test_edges_of_collapsed_modules_join_their_outsides_only(measured):
    from fovea.measurement.tables import folded

    assert edges_of(measured, folded(measured, 1)) == [(0, 1), (1, 2), (2, 3)]


def test_arrows_begin_below_one_box_and_end_above_another(measured):
    drawing = drawn(measured)
    tops = {(round(box.x + drawing.box_width / 2, 1), box.y) for box in drawing.boxes}
    for arrow in drawing.arrows:
        x, y = map(float, re.match(r"M(\S+) (\d+)", arrow).groups())
        end = float(re.search(r"V(\d+)$|(\d+)$", arrow).group().lstrip("V"))
        assert any(abs(x - tx) < 0.2 and y == ty + drawing.box_height for tx, ty in tops)
        assert end in {ty for _, ty in tops}
    assert len(drawing.arrows) == len(edges_of(measured, measured.layers))


def test_the_drawing_holds_all_its_boxes(measured):
    drawing = drawn(measured)
    assert all(0 <= box.x <= drawing.width - drawing.box_width for box in drawing.boxes)
    assert all(0 <= box.y <= drawing.height - drawing.box_height for box in drawing.boxes)


def test_shares_of_the_macs_sum_to_one(measured):
    assert sum(box.share for box in drawn(measured).boxes) == pytest.approx(1)
    assert {box.kind for box in drawn(measured).boxes if box.share} == {"weights"}


def test_notes_tell_what_is_known(measured):
    note = by_name(drawn(measured))["1.three.2"].note
    assert note.splitlines() == [
        "1.three.2 (Conv2d)",
        "in: 2x6x6",
        "out: 4x6x6",
        "76 parameters",
        "2.59 k MACs, 17.3 % of the network's",
        "activations: 0.000576 MB",
        "a unit sees 5 pixels; the next is 1 further",
    ]

"""Charts as numbers: where points, marks and bars come to lie."""

import pytest

from fovea.report.charts import BOTTOM, DOTS, HEIGHT, LEFT, RIGHT, TABLED, TOP, WIDTH, Axis, Chart, Line


def chart(*lines, **more):
    axes = {"x": Axis(label="x", low=0.0, high=10.0), "y": Axis(label="y", low=0.0, high=1.0)}
    return Chart(title="t", lines=lines, **{**axes, **more})


def test_corners_of_the_plot():
    drawn = chart()
    assert drawn.place((0, 0)) == (LEFT, HEIGHT - BOTTOM)
    assert drawn.place((10, 1)) == (WIDTH - RIGHT, TOP)


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 40, [0, 10, 20, 30, 40]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.07, 2.3, [0.5, 1, 1.5, 2]),
        (-5.6, 4.2, [-4, -2, 0, 2, 4]),
    ],
)
def test_marks_are_round(low, high, marks):
    assert Axis(label="", low=low, high=high).marks == pytest.approx(marks)


def test_a_logarithmic_axis_holds_whole_powers_of_ten():
    axis = Axis.over("", [0.02, 3.0, 0.0], log=True)
    assert (axis.low, axis.high) == (pytest.approx(0.01), 10)
    assert axis.marks == pytest.approx([0.01, 0.1, 1, 10])
    assert axis.share(0.1) == pytest.approx(1 / 3) and axis.share(0.0) == 0
    assert Axis.over("", [1.0], log=True).high == 10


def test_an_axis_has_a_length_whatever_its_values():
    for values in ([], [0.0], [3.0, 3.0], [float("nan"), 2.0], [float("inf")]):
        axis = Axis.over("", values)
        assert axis.high > axis.low and axis.marks


def test_zero_is_on_the_axis_where_wanted():
    assert Axis.over("", [2.0, 3.0], zero=True).low == 0 and Axis.over("", [-2.0, -3.0], zero=True).high == 0


def test_lines_are_paths_with_notes_and_without_points_are_left_out():
    (line,) = chart(Line("loss", [(0, 0), (10, 1)]), Line("empty", [])).drawn
    assert line.path == f"M{LEFT} {HEIGHT - BOTTOM}L{WIDTH - RIGHT} {TOP}"
    assert [dot.note for dot in line.dots] == ["loss: 0 at 0", "loss: 1 at 10"]


def test_levels_lie_at_their_height():
    assert chart(levels=[0.0, 0.5, 1.0]).marked_levels == [HEIGHT - BOTTOM, (HEIGHT - BOTTOM + TOP) / 2, TOP]
    assert chart().marked_levels == []


def test_the_points_of_a_long_line_are_not_marked():
    (line,) = chart(Line("long", [(0, 0)] * (DOTS + 1))).drawn
    assert line.dots == [] and line.path.count("L") == DOTS


def test_bars_stand_on_the_axis():
    ((x, y, width, height),) = chart(bars=[(0, 5, 0.5)]).boxes
    assert (x, width) == (LEFT, (WIDTH - LEFT - RIGHT) / 2)
    assert y + height == pytest.approx(HEIGHT - BOTTOM) and height == pytest.approx((HEIGHT - TOP - BOTTOM) / 2)


def test_a_band_goes_along_the_first_line_and_back_along_the_last():
    band = chart(Line("a", [(0, 0), (10, 0)]), Line("b", []), Line("c", [(0, 1), (10, 1)])).band
    right, left, top, bottom = WIDTH - RIGHT, LEFT, TOP, HEIGHT - BOTTOM
    assert band == f"M{left} {bottom}L{right} {bottom}L{right} {top}L{left} {top}Z"


def test_a_table_has_a_row_for_each_x_and_a_column_for_each_line():
    found = chart(Line("train", [(1, 0.5), (2, 0.25)]), Line("val", [(2, 0.125)]), Line("empty", [])).values()
    assert found == (["x", "train", "val"], [["1", "0.5", ""], ["2", "0.25", "0.125"]], 0)


def test_a_table_holds_notes_where_points_have_some_and_points_of_no_line():
    assert chart(Line("a", [(1, 0.5)], ["half, of two"])).values().rows == [["1", "half, of two"]]
    assert chart().values([(3.0, 0.25)]) == (["x", "y"], [["3", "0.25"]], 0)


def test_a_long_table_says_how_many_rows_it_leaves_out():
    found = chart(Line("long", [(n, 0) for n in range(3 * TABLED)])).values()
    assert len(found.rows) == TABLED and found.left_out == 2 * TABLED


def test_an_axis_that_begins_above_0_is_cut():
    def cut(low, **more):
        return chart(y=Axis(label="", low=low, high=100.0, **more)).cut

    assert cut(80.0) and not cut(0.0) and not cut(-5.0) and not cut(0.01, log=True)
    assert Axis(label="", low=83.2, high=95.0).from_mark().low == 80


def test_100_percent_lies_below_the_top():
    axis = Axis.percent("")
    assert axis.share(0.0) == 0 and 0.9 < axis.share(100.0) < 1 and axis.marks[-1] == 100


def test_a_spread_goes_along_its_low_ends_and_back_along_its_high_ones():
    (line,) = chart(Line("a", [(0, 0.5), (10, 0.5)], spread=[(0, 1), (0, 1)])).drawn
    right, left, top, bottom = WIDTH - RIGHT, LEFT, TOP, HEIGHT - BOTTOM
    assert line.band == f"M{left} {bottom}L{right} {bottom}L{right} {top}L{left} {top}Z"

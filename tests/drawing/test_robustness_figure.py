"""The picture of robustness: its axis follows what is measured."""

import pytest

from fovea.drawing.robustness import robustness_figure
from fovea.evaluation.robustness import Curve, Point, Robustness
from fovea.tasks.number import Number
from fovea.tasks.score import ACCURACY


def robustness(metric, *scores, interval=(0.25, 0.5)):
    points = [Point(level=float(i), metric=metric, score=s, interval=interval) for i, s in enumerate(scores)]
    curves = tuple(Curve(disturbance=name, unit="pixels", points=tuple(points)) for name in ("shift", "blur", "noise"))
    return Robustness(images=2, metric=metric, score=scores[0], curves=curves)


def panels(**found):
    return [axes for axes in robustness_figure(found).axes if axes.lines]


def test_accuracies_stand_between_0_and_100_percent():
    first, second, _ = panels(a=robustness(ACCURACY, 0.9, 0.5), b=robustness(ACCURACY, 0.8, 0.7))
    assert first.get_ylabel() == "accuracy, %" and first.get_ylim() == second.get_ylim() == (0, 104)
    assert [list(line.get_ydata()) for line in first.lines] == [[90, 50], [80, 70]]
    assert [line.get_label() for line in first.lines] == ["a", "b"]
    assert (first.get_title(loc="left"), first.get_xlabel()) == ("Shift", "pixels")


def test_errors_stand_in_their_unit_from_0_on_and_all_can_be_seen():
    first, second, _ = panels(a=robustness(Number.metric, 3.0, 12.0), b=robustness(Number.metric, 40.0, 2.0))
    assert first.get_ylabel() == "mean absolute error" and first.get_ylim() == second.get_ylim()
    low, high = first.get_ylim()
    assert low == 0 and high > 40
    assert list(first.lines[0].get_ydata()) == [3, 12]


@pytest.mark.parametrize(("interval", "band"), [((0.25, 0.5), (25, 50)), (None, (90, 90))])
def test_intervals_are_bands(interval, band):
    axes, *_ = panels(a=robustness(ACCURACY, 0.9, interval=interval))
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx(band)

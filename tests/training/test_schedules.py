"""Schedules by hand-worked values, and the plateau's state."""

import math

import pytest

from fovea.training.schedules import SCHEDULES, Plateau, warmed_up

ROOT_HALF = math.sqrt(0.5)

WORKED = {
    # progress:   0     0.3                            0.5                           0.75                          1
    "constant": (1.0, 1.0, 1.0, 1.0, 1.0),
    "linear": (1.0, 0.7, 0.5, 0.25, 0.0),
    "step": (1.0, 1.0, 0.1, 0.01, 0.01),
    "cosine": (1.0, 0.5 + 0.5 * math.cos(0.3 * math.pi), 0.5, 0.5 - 0.5 * ROOT_HALF, 0.0),
    "one-cycle": (0.04, 1.0, 0.5 + 0.5 * math.cos(2 / 7 * math.pi), 0.5 + 0.5 * math.cos(9 / 14 * math.pi), 0.0),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_has_its_worked_values(name):
    values = [SCHEDULES[name](progress) for progress in (0.0, 0.3, 0.5, 0.75, 1.0)]
    assert values == pytest.approx(WORKED[name], abs=1e-12)


def test_one_cycle_rises_by_half_a_cosine():
    assert SCHEDULES["one-cycle"](0.15) == pytest.approx((0.04 + 1) / 2)


def test_warmup_rises_in_a_straight_line_and_then_leaves_the_schedule_alone():
    schedule = warmed_up(SCHEDULES["linear"], warmup=0.2)
    assert [schedule(p) for p in (0.0, 0.1, 0.2, 0.6)] == pytest.approx([0.0, 0.5 * 0.9, 0.8, 0.4])


def test_no_warmup_is_the_schedule_itself():
    assert warmed_up(SCHEDULES["cosine"], warmup=0.0) is SCHEDULES["cosine"]


def test_plateau_divides_by_ten_after_more_than_three_epochs_without_gain():
    plateau = Plateau()
    factors = []
    for loss in (1.0, 0.5, 0.5, 0.6, 0.5, 0.7, 0.4, 0.4, 0.4, 0.4, 0.4):
        plateau.observe(loss)
        factors.append(plateau.factor)
    assert factors == pytest.approx([1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01])
    assert (plateau.best, plateau.epochs_without_gain) == (0.4, 0)


def test_plateau_takes_less_than_a_ten_thousandth_for_no_gain():
    plateau = Plateau(patience=0)
    plateau.observe(1.0)
    plateau.observe(0.99995)
    assert plateau.factor == pytest.approx(0.1)
    plateau.observe(0.9998)
    assert plateau.factor == pytest.approx(0.1)

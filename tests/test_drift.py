"""How far what a network sees has moved from what it was validated on."""

import json
import math

import numpy as np
import pytest

from fovea.drift import BINS, MEASURES, Histogram, Reference, counted, measures_of, stability_index


def test_measures_of_an_image_are_confidence_brightness_and_contrast():
    samples = np.zeros((2, 4, 4, 3), np.uint8)
    samples[1, :, 2:] = 255
    rows = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert measures_of(samples, rows) == pytest.approx(np.array([[0.8, 0, 0], [0.6, 0.5, 0.5]]))


def test_large_images_are_measured_at_places_spread_over_them():
    samples = np.zeros((1, 1024, 1024, 1), np.uint8)
    samples[0, 512:] = 255
    ((_, brightness, contrast),) = measures_of(samples, np.ones((1, 1)))
    assert (brightness, contrast) == pytest.approx((0.5, 0.5), abs=0.02)


def test_series_of_floats_are_measured_in_their_own_unit():
    samples = np.array([[[3.0], [5.0]]], np.float32)
    assert measures_of(samples, np.array([[7.0]])).tolist() == [[7, 4, 1]]


def test_bins_hold_equally_many_of_the_reference():
    histogram = Histogram.of(np.arange(1000.0))
    assert histogram.counts == (100,) * BINS


def test_values_that_many_share_make_fewer_bins():
    histogram = Histogram.of(np.array([0.5, *[1.0] * 99]))
    assert (histogram.edges, histogram.counts) == ((1.0,), (1, 99))


def test_an_edge_belongs_to_the_bin_above():
    assert counted(np.array([0.0, 1.0, 2.0]), [1.0]).tolist() == [1, 2]


def test_the_index_of_equal_shares_is_nothing_and_worked_by_hand_else():
    assert stability_index([10, 10], [100, 100]) == 0
    p, q = 10.5 / 21, 0.5 / 21
    assert stability_index([10, 10], [0, 20]) == pytest.approx(
        (p - q) * math.log(p / q) + (1 - q - p) * math.log((1 - q) / p)
    )


def test_darker_images_are_noticed():
    generator = np.random.default_rng(0)
    before = Histogram.of(generator.normal(0.5, 0.1, 2000))
    same = counted(generator.normal(0.5, 0.1, 2000), before.edges)
    darker = counted(generator.normal(0.35, 0.1, 2000), before.edges)
    assert stability_index(before.counts, same.tolist()) < 0.05
    assert stability_index(before.counts, darker.tolist()) > 0.5


def reference():
    return Reference.of("val", np.random.default_rng(0).random((300, len(MEASURES))))


def test_a_reference_passes_through_a_card():
    section = json.loads(json.dumps(reference().to_dict()))
    assert Reference.from_card({"validation": section}) == reference()


@pytest.mark.parametrize(
    "change",
    [
        {"images": "300"},
        {"split": 1},
        {"confidence": None},
        {"confidence": {"edges": [1, 0], "counts": [1, 1, 1]}},
        {"confidence": {"edges": [0.5], "counts": [1, 1, 1]}},
        {"confidence": {"edges": [0.5], "counts": [0, 0]}},
        {"confidence": {"edges": [0.5], "counts": [-1, 2]}},
        {"confidence": {"edges": [True], "counts": [1, 2]}},
        {"confidence": {"edges": [10**400], "counts": [1, 2]}},
        {"confidence": {"edges": list(range(10)), "counts": [1] * 11}},
    ],
)
def test_what_is_no_reference_on_a_card_is_left_alone(change):
    assert Reference.from_card({"validation": {**reference().to_dict(), **change}}) is None


def test_a_card_without_one_has_none():
    assert Reference.from_card({}) is None

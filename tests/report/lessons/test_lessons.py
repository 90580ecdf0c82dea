"""The live pictures: each of the course is drawn in all of its settings, and shows the figures it is said to show."""

import itertools
import re

import numpy as np
import pytest

from fovea.course.contents import TOPICS
from fovea.errors import UsageError
from fovea.report.lessons.cells import KERNEL, coarser
from fovea.report.lessons.curves import path
from fovea.report.lessons.kinds import drawn

PICTURES = sorted(
    {
        (picture.kind, tuple(sorted({**picture.settings, **dict(zip(picture.choices, values, strict=True))}.items())))
        for topic in TOPICS.values()
        for picture in topic.pictures
        if picture.kind not in ("grid", "network")
        for values in itertools.product(*picture.choices.values())
    }
)


def words(kind, **settings):
    return drawn(kind, settings).words


def test_every_picture_of_the_course_is_drawn_in_each_of_its_settings():
    for kind, settings in PICTURES:
        html = drawn(kind, dict(settings)).html()
        assert re.search("<svg|<table|<img", html) and not re.search(r"\bnan\b", html), (kind, settings)


def test_a_network_is_measured_layer_by_layer():
    found = drawn("network", {"network": "lenet5"})
    assert "61,706 parameters" in found.words
    assert [row.cells[-1] for row in found.rows if row.share] == ["156", "2,416", "48,120", "10,164", "850"]


def test_a_large_network_is_shown_by_stages():
    found = drawn("network", {"network": "cifar_resnet56"})
    assert [row.cells[0] for row in found.rows] == ["stem", "stage1", "stage2", "stage3", "head"]


def test_the_example_of_deck_004_costs_28326_parameters():
    assert "28,326" in words("counts", side="16", channels="1")


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({"layers": "3", "kernel": "3", "dilation": "1", "stride": "1", "causal": "no"}, 7),
        ({"layers": "4", "kernel": "2", "dilation": "1", "stride": "1", "causal": "yes"}, 5),
        ({"layers": "4", "kernel": "2", "dilation": "doubling", "stride": "1", "causal": "yes"}, 16),
        ({"layers": "2", "kernel": "3", "dilation": "1", "stride": "2", "causal": "no"}, 7),
    ],
)
def test_a_stack_sees_as_far_as_its_kernels_dilations_and_strides_say(settings, inputs):
    assert f"depends on {inputs} neighbouring" in words("stack", **settings)


def test_a_causal_stack_reads_nothing_later():
    stack = drawn("stack", {"layers": "3", "kernel": "3", "dilation": "1", "stride": "1", "causal": "yes"}).stack
    assert stack.high == 0 and all(place <= to for _, to, place in stack.edges)


def test_low_and_high_pass_add_up_to_the_signal():
    low, high = (drawn("signal", {"kernel": f"{name}-41"}).chart.lines for name in ("low-pass", "high-pass"))
    total = [a[1] + b[1] for a, b in zip(low[1].points, high[1].points, strict=True)]
    assert np.allclose(total, [y for _, y in low[0].points])


def test_plain_descent_zigzags_and_a_large_rate_leaves_the_valley():
    assert len(path("sgd", 0.15)) == 41 and len(path("sgd", 0.3)) < 41
    across = path("sgd", 0.15)[:5, 1]
    assert all(a * b < 0 for a, b in itertools.pairwise(across))


@pytest.mark.parametrize(
    ("way", "zeros", "values"),
    [("third pruned", 3, 7), ("half pruned", 4, 6), ("two thirds pruned", 6, 4), ("binary", 0, 2), ("4 levels", 0, 3)],
)
def test_a_kernel_made_coarser_has_fewer_values(way, zeros, values):
    made = coarser(KERNEL, way)
    assert (int((made == 0).sum()), len(np.unique(made.round(9)))) == (zeros, values)


def test_signs_are_scaled_by_the_mean_size():
    assert np.allclose(np.abs(coarser(KERNEL, "binary")), 0.38)


def test_batch_norm_gives_the_mean_and_spread_that_are_asked_for():
    assert words("batch", gamma="2", beta="-2").endswith("-2.00 and 2.00 after.")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("none", {}),
        ("network", {"network": "<script>"}),
        ("filter", {"kernel": "no"}),
        ("stack", {"layers": "99", "kernel": "3", "dilation": "1", "stride": "1", "causal": "no"}),
        ("softmax", {"temperature": "x"}),
        ("weights", {"way": "1 levels"}),
    ],
)
def test_what_there_is_not_is_told_in_one_line(kind, settings):
    with pytest.raises(UsageError) as told:
        drawn(kind, settings)
    assert "\n" not in str(told.value)

"""Counters are summed over processes, and outlive them."""

import os
import tempfile

import pytest

from fovea.serving.meters import ALL, CODES, Meters, size_bytes


@pytest.fixture
def make_meters():
    """Return a function that gives the counters as the process of a slot sees them."""
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), size_bytes(2, 3))
        yield lambda slot: Meters(file.fileno(), ["cats", "dogs"], slots=3, slot=slot)


def lines(meters, start):
    return [line for line in meters.text({}).splitlines() if line.startswith(start)]


def test_counts_of_all_processes_are_summed(make_meters):
    make_meters(0).answered("cats", 200, 0.003)
    make_meters(2).answered("cats", 200, 0.2)
    make_meters(1).answered("dogs", 503, 0.001)
    assert lines(make_meters(1), "fovea_requests_total") == [
        'fovea_requests_total{model="cats",code="200"} 2',
        'fovea_requests_total{model="dogs",code="503"} 1',
    ]


def test_a_histogram_counts_what_is_not_above_its_bounds(make_meters):
    meters = make_meters(0)
    for value in (1, 2, 3, 200):
        meters.observe("cats", "batch_size", value)
    buckets = {
        line.split('"')[3]: float(line.split()[-1]) for line in lines(meters, 'fovea_batch_size_bucket{model="cats"')
    }
    assert buckets == {"1": 1, "2": 2, "4": 3, "8": 3, "16": 3, "32": 3, "64": 3, "128": 3, "+Inf": 4}
    assert lines(meters, 'fovea_batch_size_sum{model="cats"') == ['fovea_batch_size_sum{model="cats"} 206']
    assert lines(meters, 'fovea_batch_size_count{model="cats"') == ['fovea_batch_size_count{model="cats"} 4']


def test_a_process_that_takes_the_place_of_another_goes_on_from_its_counts(make_meters):
    before = make_meters(1)
    before.count("cats", "images_total", 5)
    before.set("cats", "queue_depth", 7)
    make_meters(0).restarted(1)
    after = make_meters(1)
    after.count("cats", "images_total")
    assert after.total("cats", "images_total") == 6
    assert after.total("cats", "queue_depth") == 0
    assert lines(after, "fovea_worker_restarts_total") == ["fovea_worker_restarts_total 1"]


def test_requests_that_name_no_model_are_counted_without_one(make_meters):
    meters = make_meters(0)
    meters.answered(ALL, 404, 0.1)
    meters.answered("no-such-model", 418, 0.1)
    assert lines(meters, "fovea_requests_total") == [
        'fovea_requests_total{model="",code="404"} 1',
        'fovea_requests_total{model="",code="other"} 1',
    ]


def test_drift_is_told_by_model_and_measure(make_meters):
    text = make_meters(0).text({"cats": {"confidence": 0.25}})
    assert 'fovea_drift{model="cats",measure="confidence"} 0.25' in text


def test_every_line_is_a_comment_or_a_sample(make_meters):
    meters = make_meters(0)
    for code in CODES:
        meters.answered("cats", code, 1.0)
    for line in meters.text({}).splitlines():
        if not line.startswith("# "):
            name, value = line.rsplit(" ", 1)
            assert name.startswith("fovea_") and float(value) >= 0

"""Targets, and the chains that are chosen for them."""

from dataclasses import replace

import pytest

from fovea.compression.planning import TABLE_BYTES, chosen, target_of, verdict, wants_integers
from fovea.compression.table import Row, Timing
from fovea.errors import UsageError


def row(*, latency_s=0.004, macs=40_000_000, file_bytes=1_000_000, card_bytes=-TABLE_BYTES):
    timing = Timing(median_s=latency_s, p10_s=latency_s, p90_s=latency_s, passes=10)
    return Row(
        **{"step": "as given", "split": "val", "images": 1, "metric": "accuracy", "score": 0.9, "interval": None},
        **{
            "drop": 0.0,
            "parameters": 1,
            "nonzero": 1,
            "macs": macs,
            "file_bytes": file_bytes,
            "tensor_bytes": file_bytes - card_bytes,
        },
        **{"latency": {1: timing, 16: timing}, "runs": "PyTorch", "threads": 1, "seconds": 0.0},
    )


def planned(target, first):
    return chosen(target, first, steps_per_epoch=1000)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("macs=2x", "fold,prune=0.5,finetune=3"),
        ("macs=10M", "fold,prune=0.75,finetune=5"),
        ("bytes=3x", "share=8bit"),
        ("bytes=200k", "share=5bit"),
        ("latency=2ms", "fold,prune=0.5:latency,finetune=3"),
        ("latency=4x", "fold,prune=0.5:latency,finetune=3,int8"),
    ],
)
def test_a_target_chooses_a_chain_and_says_why_for_each_step(text, steps):
    found = planned(target_of(text), row())
    assert found.steps == steps
    assert [reason.partition(": ")[0] for reason in found.reasons] == steps.split(",")


@pytest.mark.parametrize(
    ("integers", "steps"),
    [
        (2.5, "fold,prune=0.375:latency,finetune=3,int8"),
        (5.0, "fold,int8"),
        (0.7, "fold,prune=0.75:latency,finetune=5"),
    ],
)
def test_what_integers_gain_when_measured_decides_what_is_left_to_prune(integers, steps):
    target = target_of("latency=4x")
    assert wants_integers(target, row()) and not wants_integers(target_of("latency=2x"), row())
    assert chosen(target, row(), steps_per_epoch=1000, integers=integers).steps == steps


def test_less_than_asked_for_counts_within_the_tolerance_and_is_said_beyond():
    first, target = row(), target_of("macs=2x")
    assert [target.met(macs, first) for macs in (20.1e6, 20e6, 19.5e6, 19e6)] == [False, True, True, False]
    assert "asked for" not in verdict(target, first, row(macs=19_500_000))[1]
    assert "5.0 % below the target" in verdict(target, first, row(macs=19_000_000))[1]
    assert "5.0 % above the target" in verdict(target, first, row(macs=21_000_000))[1]


def test_a_small_data_set_is_seen_more_often():
    steps = [chosen(target_of("macs=2x"), row(), steps_per_epoch=count).steps for count in (300, 30, 1)]
    assert [text.rpartition("=")[2] for text in steps] == ["3", "20", "100"]


def test_forty_times_fewer_bytes_are_nine_tenths_of_zeros():
    """As Han et al. 2015 prune LeNet-5, to 8 % of its weights, for 39 times fewer bytes."""
    assert planned(target_of("bytes=39x"), row()).steps == "sparsify=0.904,finetune=10,share=5bit"


def test_the_card_counts_among_the_bytes_of_a_small_file():
    """Of 100 kB a tenth is 10 kB, of which a card of 1 kB and its table leave 4 for 99 kB of tensors."""
    found = planned(target_of("bytes=10x"), row(file_bytes=100_000, card_bytes=1_000))
    assert found.steps == f"sparsify={1 - 32 * 4 / (8.5 * 99):.3f},finetune=10,share=5bit"
    with pytest.raises(UsageError, match="the card of the file alone needs about 6 kB"):
        planned(target_of("bytes=20x"), row(file_bytes=100_000, card_bytes=1_000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency", "must be one of latency, macs, bytes with a value, for example latency=4x"),
        ("energy=2x", "must be one of latency, macs, bytes"),
        ("macs=-3", "with a value"),
        ("macs=1x", "the factor must be above 1x and at most 8x"),
        ("macs=3ms", "expected a number with one of these units: x, nothing, k, m, g"),
        ("latency=3", "number with one of these units: x, us, ms, s"),
        ("bytes=0k", "expected a number with one of these units"),
    ],
)
def test_another_form_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        target_of(text)


def test_what_is_there_already_or_out_of_reach_is_refused():
    with pytest.raises(UsageError, match="the network already reaches it"):
        planned(target_of("macs=50M"), row())
    with pytest.raises(UsageError, match="is 40 times less than now, and the limit is 8"):
        planned(target_of("macs=1M"), row())
    with pytest.raises(UsageError, match="macs of this network are unknown"):
        planned(target_of("macs=1M"), row(macs=None))


def test_the_verdict_compares_the_last_row_with_the_first():
    first = row()
    assert verdict(target_of("macs=2x"), first, row(macs=20_000_000))[0]
    assert not verdict(target_of("macs=2x"), first, row(macs=21_000_000))[0]
    reached, line = verdict(target_of("bytes=300k"), first, row(file_bytes=250_000))
    assert reached
    assert line == "reaches `bytes=300k`: 250 kB, 4 times less than 1 MB, 16.7 % below the target"


def test_a_latency_that_was_timed_elsewhere_is_said_to_be():
    last = replace(row(latency_s=0.001), runs="onnxruntime")
    line = verdict(target_of("latency=4x"), row(), last)[1]
    assert line == "reaches `latency=4x`: 1 ms, 4 times less than 4 ms; timed in onnxruntime, the original in PyTorch"

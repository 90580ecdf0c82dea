"""The table of a chain: rows as JSON and back, golden text, and what strangers may have written."""

import json

import pytest

from fovea.compression.table import Row, Timing, check_max_drop, rows_in, scaled, table_of
from fovea.errors import UsageError

TIMING = Timing(median_s=0.00123, p10_s=0.0012, p90_s=0.0014, passes=10)


def row(**changes):
    given = {
        **{"step": "prune=0.5", "split": "val", "images": 500, "metric": "accuracy", "score": 0.912, "drop": 0.5},
        **{"interval": (0.89, 0.93), "parameters": 431_080, "nonzero": 40_000, "macs": 2_293_000},
        **{"file_bytes": 1_728_000, "tensor_bytes": 1_724_320, "latency": {1: TIMING, 16: TIMING}},
        **{"runs": "PyTorch", "threads": 1, "seconds": 2.5, "notes": ("half of it",)},
    }
    return Row(**{**given, **changes})


def test_rows_survive_json():
    for found in (row(), row(interval=None, macs=None, test={"score": 0.9, "images": 3})):
        assert Row.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(("name", "value"), [("score", "x"), ("images", -1), ("file_bytes", 1.5), ("step", 3)])
def test_a_row_of_wrong_types_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` is of the wrong type"):
        Row.from_dict({**row().to_dict(), name: value})


def test_a_row_as_a_person_reads_it():
    table = table_of([row().to_dict()], task="classes")
    assert table.columns[:3] == ("step", "accuracy, val", "drop")
    assert table.rows == (
        (
            *("prune=0.5", "91.20 % (89 to 93)", "+0.50", "431,080", "40,000", "2.29 M", "1.73 MB"),
            *("1.23 (1.2 to 1.4)", "1.23 (1.2 to 1.4)"),
        ),
    )
    assert table.lines == ("prune=0.5: half of it",)


def test_below_the_table_stand_test_scores_and_where_a_row_was_timed():
    found = row(test={"score": 0.9, "interval": [0.88, 0.92], "images": 1000}, notes=(), runs="onnxruntime")
    assert table_of([found.to_dict()], task="classes").lines == (
        "test: prune=0.5: accuracy 90.00 % (88 to 92), 1,000 samples",
        "prune=0.5: timed in onnxruntime; the rows above in PyTorch",
    )


@pytest.mark.parametrize(
    "hostile",
    [
        {},
        {"score": "x", "interval": 3, "latency": [1], "parameters": None, "notes": "text", "test": 1},
        {
            "latency": {"1": {"median_s": float("nan")}},
            "macs": True,
            "drop": [],
            "interval": ["a", "b"],
            "score": 1e300,
        },
    ],
)
def test_what_strangers_wrote_is_a_dash(hostile):
    table = table_of([hostile], task="nothing")
    assert set(table.rows[0][1:]) == {"-"}


@pytest.mark.parametrize("card", [{}, {"shrunk": 1}, {"shrunk": {"rows": {}}}, {"shrunk": {"rows": [1, "x"]}}])
def test_a_card_without_a_table_has_no_rows(card):
    assert rows_in(card) == []


def test_counts_have_three_digits():
    assert [scaled(value) for value in (0, 999, 1000, 999_600, 5e9)] == ["0 ", "999 ", "1 k", "1000 k", "5 G"]


@pytest.mark.parametrize("value", [-1, 101, float("nan"), True])
def test_a_drop_that_cannot_be_allowed_is_refused(value):
    with pytest.raises(UsageError, match=r"`--max-drop` .* must be points from 0 to 100"):
        check_max_drop(value)

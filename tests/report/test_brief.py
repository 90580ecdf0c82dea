"""What a model file is, in a few lines: the result first, in words, whatever the card holds."""

import pytest

from fovea.report.brief import brief, licences, time_text

CARD = {
    "architecture": "lenet5",
    "task": "classes",
    "classes": ["cat", "dog"],
    "preprocess": {"size": [32, 32], "channels": 1},
    "training": {
        "data": {"name": "pets", "images": {"train": 1200, "val": 100}},
        "epochs": 1,
        "seconds": 75.2,
        "device": "cpu",
        "seed": 3,
        "recipe": {},
    },
    "licences": {"data": "unknown", "weights": "unknown"},
    "results": [
        {"split": "val", "accuracy": 0.9, "interval": [0.85, 0.95], "images": 100},
        {"split": "test", "accuracy": 0.5},
    ],
}


def told(**changes):
    return dict(brief({**CARD, **changes}, values=61_706, size=248_000))


def test_the_result_comes_first_and_the_test_split_before_validation():
    rows = brief(CARD, values=61_706, size=248_000)
    assert rows[0] == (
        "Result",
        "accuracy 50.00 % on test; accuracy 90.00 % on val (85.00 to 95.00 %), 100 images",
    )
    assert len(rows) <= 8
    assert dict(rows) == {
        "Result": rows[0][1],
        "Network": "lenet5, 61,706 parameters and buffers, 0.2 MB",
        "Predicts": "classes: cat, dog",
        "Input": "32 x 32, 1 channel",
        "Data": "pets: 1,200 train, 100 val",
        "Training": "1 epoch in 75 s on cpu, seed 3",
        "Licences": "weights: yours; data: unknown",
    }


def test_weights_from_elsewhere_are_not_called_yours():
    assert licences({**CARD, "origin": {"file": "a.pth"}}) == "weights: unknown; data: unknown"
    assert licences({"licences": {"weights": "unknown"}}) == "weights: unknown"
    assert told(origin={"file": "a.pth"})["Weights"] == "from a.pth"


def test_a_probe_was_fitted_and_not_trained():
    probed = {**CARD["training"], "recipe": {"probe": True}, "seconds": 9.2}
    assert told(training=probed)["Training"] == "the last layer fitted in closed form in 9 s on cpu"


def test_many_classes_are_counted():
    assert told(classes=[f"c{n}" for n in range(12)])["Predicts"].endswith("c7, ... (12 in all)")
    assert told(classes=[str(n) for n in range(1000)])["Predicts"] == "classes: 0 to 999"


@pytest.mark.parametrize(
    "strange",
    [
        {"results": [3, {"split": [], "accuracy": "high"}, {"accuracy": 0.5, "interval": ["a", 1]}]},
        {"results": None, "training": {"data": 3, "recipe": 5, "seconds": "long"}},
        {"task": "smell", "classes": 7, "preprocess": {"size": "large"}, "licences": {"weights": ["a"]}},
        {"training": {"seconds": float("nan")}, "origin": {"file": 3}},
    ],
)
def test_a_strange_card_is_told_as_far_as_it_goes(strange):
    assert told(**strange)["Network"] == "lenet5, 61,706 parameters and buffers, 0.2 MB"


def test_times_are_in_the_unit_that_people_use():
    assert [time_text(s) for s in (0.4, 119, 121, 7300)] == ["0 s", "119 s", "2 min", "2.0 h"]

"""What a page says of a card, whatever the card holds."""

import pytest

from fovea.card import licences_of
from fovea.report.facts import card_facts, temperature_note, uncalibrated_note

FITTED = {"temperature": 1.5, "calibration": {"split": "val", "images": 40}}
REASON = "no validation split, which the temperature needs"


def test_a_temperature_says_where_it_was_fitted():
    assert temperature_note(FITTED) == (
        "The temperature was fitted on val (40 images), where it minimises the negative log-likelihood of labels that "
        "are not taken for certain (Platt 1999). It is stored in the model file; all probabilities use it."
    )


def test_thresholds_are_spoken_of_where_there_are_any():
    thresholds = {"target": {"thresholds": [0.5]}}
    assert temperature_note({**FITTED, **thresholds}).endswith(" The thresholds are those of the highest F1 there.")
    assert temperature_note({"uncalibrated": REASON, **thresholds}).endswith(" No thresholds were chosen either.")


@pytest.mark.parametrize(
    ("card", "note"),
    [
        ({"uncalibrated": REASON, "temperature": 1.0}, f"Its confidence is not calibrated: {REASON}."),
        (
            {"temperature": 1.0},
            "No temperature was fitted, so its confidence is not calibrated: that needs a validation split.",
        ),
        ({"temperature": 1.5}, "The temperature is stored in the model file."),
        ({}, "The temperature is stored in the model file."),
    ],
    ids=("reason", "no reason", "given", "unknown"),
)
def test_a_network_without_a_fitted_temperature_is_said_to_be_so(card, note):
    assert temperature_note(card) == note


def test_a_card_that_says_nothing_needs_no_caution():
    assert uncalibrated_note(FITTED) == uncalibrated_note({"temperature": 1.0}) == ""
    assert uncalibrated_note({"uncalibrated": REASON}) == f"Its confidence is not calibrated: {REASON}."


def test_what_the_task_keeps_is_among_the_facts_each_value_behind_its_name():
    def network(**card):
        return dict(card_facts(card)["network"])

    assert network(classes=["a", "b"], target={"thresholds": [0.25, 0.5]})["target thresholds"] == "a 0.25, b 0.5"
    assert network(classes=["a"], target={"thresholds": [0.25, 0.5]})["target thresholds"] == "0.25, 0.5"
    numbers = network(classes=[], target={"mean": 3.0, "std": 2.0})
    assert (numbers["target mean"], numbers["target std"]) == ("3", "2")
    assert not [name for name in network(target="nothing") if name.startswith("target")]


def test_weights_of_ones_own_training_are_ones_own():
    card = {"training": {"epochs": 1}, "licences": {"weights": "unknown", "data": "CC BY 4.0"}}
    assert licences_of(card) == {"weights": "yours", "data": "CC BY 4.0"}
    assert licences_of({**card, "origin": {"file": "a.pth"}})["weights"] == "unknown"
    assert licences_of({"licences": ["unknown"]}) == {}
    assert dict(card_facts(card)["data"])["licence of weights"] == "yours"


def test_a_field_is_shown_in_words():
    recipe = dict(card_facts({"training": {"recipe": {"lr": 0.1, "weight_decay": 0.5}}})["recipe"])
    assert recipe == {"learning rate": "0.1", "weight decay": "0.5"}

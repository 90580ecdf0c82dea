"""The card of a model file: typed inside, the same JSON outside, checked before anything uses it."""

import json
from pathlib import Path

import pytest

from fovea.card import MAX_CARD_LENGTH, Card, check_card, json_object
from fovea.errors import BundleError
from fovea.model.container import read_card
from fovea.tasks.classes import Classes
from fovea.tasks.grade import Grade
from fovea.tasks.labels import SeveralLabels
from fovea.tasks.number import Number

BUNDLES = sorted((Path(__file__).parent / "earlier" / "bundles").glob("*.safetensors"))
NUMBER = {
    **{"task": "number", "loss": "mse", "classes": [], "outputs": 1, "target": {"mean": 30.0, "std": 5.0}},
    "arguments": {"classes": 1, "c_in": 3, "size": 4, "widths": [3]},
}
LABELS = {"format": 2, "task": "labels", "loss": "bce", "target": {"thresholds": [0.5, 0.25, 0.75]}}
GRADE = {"format": 2, "task": "grade", "loss": "corn", "outputs": 2}
GRADE |= {"arguments": {"classes": 2, "c_in": 3, "size": 4, "widths": [3]}}
TRAINING = {
    "data": {"name": "made", "fingerprint": "ab", "images": {"train": 8}, "val_fraction": 0.1, "notes": ["a note"]},
    **{"recipe": {"epochs": 2}, "seed": 3, "threads": 2, "device": "cpu", "versions": {"torch": "2"}, "epochs": 2},
    **{"seconds": 1.5, "pflop": 0.25},
}


def written(path):
    """Return the JSON in a model file, read without the code under test."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["fovea"])


def refused(card, message):
    for read in (check_card, lambda card, source: Card.from_dict(card, source=source)):
        with pytest.raises(BundleError, match=message):
            read(card, "x")
    with pytest.raises(BundleError, match=message):
        Card.parse(json.dumps(card), "x")


# what comes back


def test_the_fields_are_those_of_the_json(make_card):
    card = Card.from_dict(make_card(training=TRAINING, results=[{"split": "test", "accuracy": 0.5}]), source="x")
    assert card.target == Classes(names=("red", "green", "blue"))
    assert card.preprocess.to_dict() == make_card()["preprocess"]
    assert (card.architecture, card.fovea, card.format) == ("mlp", "0.1.0", 1)
    assert (card.training.seed, card.training.seconds, card.training.processes) == (3, 1.5, None)
    assert (card.trained_on.name, card.trained_on.images, card.trained_on.notes) == ("made", {"train": 8}, ["a note"])
    assert card.results == ({"split": "test", "accuracy": 0.5},)
    assert Card.from_dict(make_card(**NUMBER), source="x").target == Number(mean=30.0, std=5.0)


def test_each_kind_of_target_has_the_oldest_format_that_can_hold_it(make_card):
    names = ("red", "green", "blue")
    labels = Card.from_dict(make_card(**LABELS), source="x")
    assert labels.target == SeveralLabels(names=names, thresholds=(0.5, 0.25, 0.75))
    grade = Card.from_dict(make_card(**GRADE), source="x")
    assert grade.target == Grade(names=names)
    cards = labels, grade, Card.from_dict(make_card(), source="x"), Card.from_dict(make_card(**NUMBER), source="x")
    for card, number in zip(cards, (2, 2, 1, 1), strict=True):
        fresh = Card(
            architecture="mlp", arguments=card.arguments, target=card.target, preprocess=card.preprocess, results=()
        )
        assert (fresh.format, fresh["format"]) == (number, number)
        assert Card.parse(fresh.text("x"), "x").target == card.target


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**LABELS, "format": 1}, "`x` has format 1, and task `labels` needs format 2."),
        ({**GRADE, "format": 1}, "`x` has format 1, and task `grade` needs format 2."),
        ({**LABELS, "format": 5}, "`x` has format 5, and this version of Fovea reads up to format 4; upgrade Fovea."),
        ({**GRADE, "outputs": 3}, "task `grade`, loss `corn`, 3 outputs and 3 classes contradict each other."),
        ({**LABELS, "loss": "corn"}, "task `labels`, loss `corn`, 3 outputs and 3 classes contradict each other."),
        ({**LABELS, "target": {"thresholds": [0.5]}}, "`target` must hold the `thresholds` of the labels"),
    ],
)
def test_cards_of_labels_and_grades_are_checked(make_card, fields, message):
    refused(make_card(**fields), message)


def test_nothing_is_known_of_the_data_of_an_untrained_network(make_card):
    card = Card.from_dict(make_card(), source="x")
    assert card.training is None and card.trained_on.name is None and card.trained_on.to_dict() == {}


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_the_card_of_an_earlier_file_comes_back_as_it_was_written(path):
    card = read_card(path)
    assert card.to_dict() == written(path)
    assert Card.from_dict(card.to_dict(), source="x").to_dict() == card.to_dict()
    assert Card.parse(card.text("x"), "x").to_dict() == card.to_dict()


@pytest.mark.parametrize(
    "changes",
    [
        *[{}, {"fovea": None}, {"fovea": 3}, {"notes": {"deep": [1, None]}}, {"target": "of no use here"}],
        *[{"class_ids": ["n1", "n2", "n3"]}, {"temperature": 2.5, "calibration": {"split": "val", "by": "hand"}}],
        *[{"calibration": {}}, {"origin": {}}, {"origin": {"file": 3, "more": True}}, {"licences": {}}],
        *[{"results": []}, {"results": [{}, {"split": 4, "accuracy": "good"}]}],
        *[{"training": {}}, {"training": {"data": {}}}, {"training": TRAINING}, {"training": {"data": {}, "mood": 1}}],
        {"training": {**TRAINING, "seed": "three", "recipe": ["long"], "threads": None, "pflop": {}, "mood": "good"}},
        {"training": {**TRAINING, "data": {"name": 5, "images": "many", "notes": None, "val_fraction": "a tenth"}}},
        {"training": {"processes": 2, "device": 0, "epochs": 1.5, "seconds": 3, "data": {"mood": [{}]}}},
        *[NUMBER, {**NUMBER, "target": {"mean": 3, "std": 0.5}}, {**NUMBER, "class_ids": [], "training": TRAINING}],
    ],
)
def test_what_is_not_known_or_of_an_odd_type_is_kept_untouched(make_card, changes):
    values = json.loads(json.dumps(make_card(**changes)))
    card = Card.from_dict(values, source="x")
    assert card.to_dict() == values == make_card(**changes)
    assert Card.from_dict(card.to_dict(), source="x").to_dict() == values
    assert json.loads(card.text("x")) == values


def test_a_field_of_an_odd_type_is_none_where_its_type_is_asked_for(make_card):
    training = {"seed": "three", "data": {"notes": "none"}}
    card = Card.from_dict(make_card(training=training), source="x")
    assert card.training.seed is None and card.training.other == {"seed": "three"}
    assert card.trained_on.notes is None and card.trained_on.other == {"notes": "none"}


def test_a_card_reads_as_a_mapping(make_card):
    values = make_card(results=[{"split": "val"}], training=TRAINING, mood="good")
    card = Card.from_dict(values, source="x")
    assert card == values and dict(card) == values and len(card) == len(values)
    assert card["results"][0]["split"] == "val" and card["mood"] == "good"
    assert "licences" not in card and card.get("licences", {}) == {} and "training" in card
    with pytest.raises(KeyError):
        card["licences"]


def test_text_keeps_letters_of_all_languages(make_card):
    assert '"grün"' in Card.from_dict(make_card(classes=["rot", "grün", "blau"]), source="x").text("x")


# what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 5}, "^`x` has format 5, and this version of Fovea reads up to format 4; upgrade Fovea.$"),
        ({"format": True}, "`x`: the card's `format` is missing or of the wrong type"),
        ({"architecture": None}, "`architecture` is missing or of the wrong type"),
        ({"classes": "abc"}, "`classes` is missing or of the wrong type"),
        ({"classes": ["a", "a", "b"]}, "`x`: `classes` must be distinct names.$"),
        ({"classes": ["a", "b", 3]}, "must be distinct names"),
        ({"class_ids": ["a", "a", "b"]}, "`class_ids` must be as many distinct names as there are `classes`"),
        ({"class_ids": ["a", "b"]}, "`class_ids` must be as many distinct names as there are `classes`"),
        ({"class_ids": "abc"}, "`class_ids` must be as many distinct names as there are `classes`"),
        ({"classes": ["a", "b"]}, "task `classes`, loss `cross-entropy`, 3 outputs and 2 classes contradict"),
        ({"outputs": 4}, "contradict"),
        ({"arguments": {"classes": 4}}, "contradict"),
        ({"task": "number"}, "contradict"),
        ({"task": "boxes"}, "task `boxes`"),
        ({"loss": "binary", "outputs": 1}, "contradict"),
        ({"temperature": 0}, "must be from"),
        ({"temperature": 10**400}, "must be from 1e-06 to 1e.06"),
        ({"temperature": 1e-320}, "must be from 1e-06 to 1e.06"),
        ({"task": "number", "loss": "mse", "classes": [], "outputs": 1, "arguments": {}}, "`target` must hold"),
        ({**NUMBER, "target": {"mean": 1.0, "std": "wide"}}, "`target` must hold the `mean` and `std` of the numbers"),
        ({**NUMBER, "classes": ["a"]}, "contradict"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused_on_both_ways(make_card, changes, message):
    refused(make_card(**changes), message)


def test_preprocessing_that_cannot_be_used_is_refused(make_card):
    for read in (lambda card: Card.from_dict(card, source="x"), lambda card: Card.parse(json.dumps(card), "x")):
        with pytest.raises(BundleError, match="^`x`: its preprocessing cannot be used. "):
            read(make_card(preprocess={"size": [4, 4]}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("training", "long"), ("training.data", 5), ("licences", ["MIT"]), ("calibration", None), ("origin", 1)],
        *[("results", {}), ("results", ["good"])],
    ],
)
def test_what_is_for_people_is_of_its_type_too(make_card, field, value):
    change = {"training": {"data": value}} if field == "training.data" else {field: value}
    refused(make_card(**change), f"the card's `{field}` is of the wrong type")


@pytest.mark.parametrize(
    "key",
    ["format", "architecture", "arguments", "task", "outputs", "loss", "preprocess", "classes", "temperature"],
)
def test_every_required_field_is_missed(make_card, key):
    card = make_card()
    del card[key]
    refused(card, f"`{key}` is missing")


def test_a_card_that_would_not_be_read_is_not_written(make_card):
    card = Card.from_dict(make_card(), source="x")
    newer = Card(**{**vars(card), "format": 5})
    with pytest.raises(BundleError, match="`x` has format 5"):
        newer.text("x")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_a_card_of_other_than_json_values_is_not_written(make_card, value):
    card = Card.from_dict(make_card(results=[{"accuracy": value}]), source="x")
    with pytest.raises(BundleError, match="^The card of `x` may contain only JSON values"):
        card.text("x")


def test_the_card_is_bounded_both_ways(make_card):
    values = make_card(notes="x" * MAX_CARD_LENGTH)
    with pytest.raises(BundleError, match="^`x`: its card has [0-9]+ characters; the limit is 1000000"):
        Card.parse(json.dumps(values), "x")
    with pytest.raises(BundleError, match="^The card of `x` has [0-9]+ characters; the limit is 1000000"):
        Card.from_dict(values, source="x").text("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "^`x`: its card must be a JSON object.$"),
        ("{'a': 1}", r"^`x`: its card is not valid JSON \("),
        ('{"a": NaN}', "its card is not valid JSON .NaN is not a JSON number"),
        (f'{{"a": {"[" * 40}{"]" * 40}}}', "^`x`: its card is nested deeper than 32 levels.$"),
        ("[" * 100_000, "its card is not valid JSON"),
    ],
)
def test_text_that_is_no_card_is_refused(text, message):
    with pytest.raises(BundleError, match=message):
        json_object(text, "x", what="card")
    with pytest.raises(BundleError, match=message):
        Card.parse(text, "x")

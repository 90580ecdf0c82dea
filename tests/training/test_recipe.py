"""The recipe: every rule with its message, changes, and its forms as text and as plain values."""

import dataclasses
import json

import pytest

from fovea import tasks
from fovea.errors import UsageError
from fovea.training.recipe import FIELDS, Optimisation, Recipe, Running, Transfer

REFUSED = [
    ({"batch": 0}, "`batch` (=0) must be 1 or more."),
    ({"accumulate": 0}, "`accumulate` (=0) must be 1 or more."),
    ({"lr": 0.0}, "`lr` (=0.0) must be above 0, and finite."),
    ({"lr": float("inf")}, "`lr` (=inf) must be above 0, and finite."),
    ({"lr": float("nan")}, "`lr` (=nan) must be above 0, and finite."),
    ({"lr_rest": -1.0}, "`lr_rest` (=-1.0) must be above 0, and finite."),
    ({"checkpoint_minutes": 0.0}, "`checkpoint_minutes` (=0.0) must be above 0, and finite."),
    ({"label_smoothing": 1.0}, "`label_smoothing` (=1.0) must be in [0, 1)."),
    ({"momentum": -0.1}, "`momentum` (=-0.1) must be in [0, 1)."),
    ({"ema": 1.0}, "`ema` (=1.0) must be in [0, 1)."),
    ({"warmup": 1.5}, "`warmup` (=1.5) must be in [0, 1)."),
    ({"epochs": -1}, "`epochs` (=-1) must not be negative."),
    ({"budget_s": -1.0}, "`budget_s` (=-1.0) must not be negative."),
    ({"aux_weight": -0.3}, "`aux_weight` (=-0.3) must not be negative."),
    ({"weight_decay": -1e-4}, "`weight_decay` (=-0.0001) must not be negative."),
    ({"clip": -1.0}, "`clip` (=-1.0) must not be negative."),
    ({"patience": -1}, "`patience` (=-1) must not be negative."),
    ({"threads": -1}, "`threads` (=-1) must not be negative."),
    ({"seed": -1}, "`seed` (=-1) must not be negative."),
    ({"epochs": 0}, "`epochs` (=0) or `budget_s` must be above 0, not both."),
    ({"budget_s": 5.0}, "`epochs` (=20) or `budget_s` must be above 0, not both."),
    ({"epochs": 0, "budget_s": 5.0, "schedule": "plateau"}, "`schedule` (=plateau) cannot be combined with a budget."),
    ({"class_weights": True, "balanced": True}, "`class_weights` (=True) and `balanced` cannot be used together."),
    ({"loss": "mse", "class_weights": True}, "`class_weights` (=True) needs classes; `loss` (=mse) has none."),
    ({"loss": "mse", "balanced": True}, "`balanced` (=True) needs classes; `loss` (=mse) has none."),
    ({"epochs": 2.5}, "`epochs` (=2.5) must be a whole number."),
    ({"batch": True}, "`batch` (=True) must be a whole number."),
    ({"lr": "fast"}, "`lr` (=fast) must be a number."),
    ({"nesterov": 1}, "`nesterov` (=1) must be true or false."),
    ({"augment": "flip"}, "`augment` (=flip) must be a list of texts."),
    ({"loss": "hinge"}, f"Unknown loss `hinge`. Known: {', '.join(sorted(tasks.losses()))}."),
    ({"optimiser": "adamm"}, "Unknown optimiser `adamm`; did you mean `adam` or `adamw`?"),
    ({"schedule": "one-cicle"}, "Unknown schedule `one-cicle`; did you mean `one-cycle`?"),
    ({"initialisation": "hee"}, "Unknown initialisation `hee`; did you mean `he`?"),
    ({"precision": "float16"}, "Unknown precision `float16`; did you mean `bfloat16`"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=[str(fields) for fields, _ in REFUSED])
def test_what_is_not_allowed_is_refused_with_its_rule(fields, message):
    with pytest.raises(UsageError) as caught:
        Recipe(**fields)
    assert str(caught.value).startswith(message)


def test_threads_are_bounded_by_the_machine():
    with pytest.raises(UsageError, match=r"^`threads` \(=1000000000\) must be at most \d+; this machine has \d+ proc"):
        Recipe(threads=10**9)
    assert Recipe(threads=64).threads == 64  # a run of a larger machine goes on here


def test_whole_numbers_are_numbers():
    assert Recipe(lr=1, epochs=0, budget_s=300).budget_s == 300


def test_replace_changes_only_what_is_named():
    changed = Recipe(lr=0.3).replace(batch=7)
    assert (changed.lr, changed.batch) == (0.3, 7)


def test_replace_takes_lists_as_json_has_them():
    assert Recipe().replace(augment=["flip"]).augment == ("flip",)


def test_replace_lists_the_neighbours_of_an_unknown_field():
    with pytest.raises(UsageError, match="^Unknown recipe field `momentun`; did you mean `momentum`?"):
        Recipe().replace(momentun=0.8)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(epochs=0, budget_s=30.0, augment=("flip", "shift 2")),
        Recipe(optimiser="muon", whiten=True, seed=7, ema=0.99),
    ],
    ids=("default", "budget", "muon"),
)
def test_a_recipe_survives_json(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_missing_values_are_the_defaults():
    assert Recipe.from_dict({}) == Recipe()
    assert Recipe.from_dict({"budget_s": 4.0}) == Recipe(epochs=0, budget_s=4.0)


def test_from_dict_refuses_what_no_recipe_has():
    with pytest.raises(UsageError, match="Unknown recipe field `epoch`; did you mean `epochs`?"):
        Recipe.from_dict({"epoch": 3})


def test_text_becomes_the_type_of_its_field():
    texts = {
        "epochs": "3",
        "lr": "1e-2",
        "nesterov": "No",
        "whiten": "true",
        "augment": "flip, shift 4,",
        "optimiser": "adam",
    }
    values = {"epochs": 3, "lr": 0.01, "nesterov": False, "whiten": True, "augment": ("flip", "shift 4")}
    assert Recipe.parsed(texts) == {**values, "optimiser": "adam"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("epochs", "2.5", "`epochs` must be a whole number, not `2.5`."),
        ("lr", "fast", "`lr` must be a number, not `fast`."),
        ("whiten", "maybe", "`whiten` must be true or false, not `maybe`."),
        ("batchsize", "3", "Unknown recipe field `batchsize`; did you mean `batch`"),
        ("replace", "3", "Unknown recipe field `replace`"),
    ],
)
def test_text_that_does_not_fit_is_refused(name, text, message):
    with pytest.raises(UsageError) as caught:
        Recipe.parsed({name: text})
    assert str(caught.value).startswith(message)


def test_every_field_is_listed():
    assert set(Recipe().to_dict()) == set(FIELDS)


@pytest.mark.parametrize("group", [Optimisation, Transfer, Running])
def test_a_group_has_fewer_than_twenty_fields(group):
    assert 0 < len(dataclasses.fields(group)) < 20


def test_the_groups_part_the_fields():
    groups = [{field.name for field in dataclasses.fields(group)} for group in (Optimisation, Transfer, Running)]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(FIELDS)


def test_a_recipe_is_written_in_the_order_of_its_fields():
    assert tuple(Recipe().to_dict()) == FIELDS
    assert FIELDS[:3] == ("epochs", "budget_s", "batch") and FIELDS[-1] == "checkpoint_minutes"

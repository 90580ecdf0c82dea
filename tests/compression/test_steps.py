"""Reading the steps of a chain, and the errors of each kind in one line."""

import pytest

from fovea.compression import steps
from fovea.compression.steps import KINDS, Kind, kind_named, parsed
from fovea.errors import UsageError


def test_steps_are_read_in_order_with_their_values():
    asked = parsed(" finetune = 3, distil=0.5 ,soup")
    assert [(step.text, step.value) for step in asked] == [("finetune=3", 3.0), ("distil=0.5", 0.5), ("soup", "greedy")]


def test_a_list_serves_as_well():
    assert parsed(["soup=uniform"])[0].value == "uniform"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name steps with commas between"),
        ("finetune=3,,soup", "must name steps with commas between"),
        ("finetun=3", "Unknown step `finetun`; did you mean `finetune`?"),
        ("finetune", "`finetune` needs a value; write `finetune=EPOCHS`"),
        ("finetune=", "`finetune=` has nothing behind `=`; write `finetune=EPOCHS`"),
        ("finetune=three", "`finetune=three` cannot be read; write `finetune=EPOCHS`"),
        ("finetune=-1", r"`finetune=-1` cannot be read; write `finetune=EPOCHS` \(above 0, up to 10000\)"),
        ("finetune=nan", "above 0"),
        ("finetune=inf", "above 0"),
        ("soup=thick", r"`soup=thick` cannot be read; write `soup=greedy|uniform`"),
        (",".join(["soup"] * 51), "names 51 steps; at most 50"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as error:
        parsed(text)
    assert "\n" not in str(error.value)


def test_nothing_trains_weights_that_are_on_a_grid(monkeypatch):
    share = Kind("share", "", "", str, "x:y", settles=True)
    monkeypatch.setattr(steps, "KINDS", (*KINDS, share))
    parsed("finetune=1,share,soup")
    with pytest.raises(UsageError, match="`finetune=1` after `share` would move weights off the few values they have"):
        parsed("share,finetune=1")


def test_what_closes_a_chain_is_last(monkeypatch):
    last = Kind("int8", "", "", str, "", closes=True)
    monkeypatch.setattr(steps, "KINDS", (*KINDS, last))
    parsed("finetune=1,int8")
    with pytest.raises(UsageError, match="`int8` must be the last step"):
        parsed("int8,finetune=1")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_step_is_documented_and_has_what_its_form_needs(kind):
    assert kind.does and kind_named(kind.name) is kind
    if kind.default:
        kind.reads(kind.default)

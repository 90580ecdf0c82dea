"""Reading the steps of a chain, and the errors of each kind in one line."""

import re
from pathlib import Path

import pytest

from fovea.compression.steps import KINDS, kind_named, parsed
from fovea.errors import UsageError

PAGE = (Path(__file__).parents[2] / "docs" / "shrink.md").read_text()


def test_steps_are_read_in_order_with_their_values():
    asked = parsed(" finetune = 3, distil=0.5 ,soup")
    assert [(step.text, step.value) for step in asked] == [("finetune=3", 3.0), ("distil=0.5", 0.5), ("soup", "greedy")]


def test_a_list_serves_as_well():
    assert parsed(["soup=uniform"])[0].value == "uniform"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name steps separated by commas"),
        ("finetune=3,,soup", "must name steps separated by commas"),
        ("finetun=3", "Unknown step `finetun`; did you mean `finetune`?"),
        ("finetune", "`finetune` needs a value; write `finetune=EPOCHS`"),
        ("finetune=", "`finetune=` has no value after `=`; write `finetune=EPOCHS`"),
        ("finetune=three", "`finetune=three` cannot be read; write `finetune=EPOCHS`"),
        ("finetune=-1", r"`finetune=-1` cannot be read; write `finetune=EPOCHS` \(above 0, up to 10000\)"),
        ("finetune=nan", "above 0"),
        ("finetune=inf", "above 0"),
        ("soup=thick", r"`soup=thick` cannot be read; write `soup=greedy|uniform`"),
        ("fold=1", r"`fold=1` cannot be read; write `fold` alone"),
        ("prune=1.5", r"write `prune=SHARE.* \(above 0 and below 1\)"),
        ("prune=0.5:speed", r"\(macs or params or bytes or latency or energy\)"),
        ("share=9bit", r"write `share=5bit\[:EPOCHS\]` \(from 1bit to 8bit\)"),
        ("sparsify=0.9:x", "write `sparsify="),
        (",".join(["soup"] * 51), "names 51 steps; the limit is 50"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(text, message):
    with pytest.raises(UsageError, match=message) as error:
        parsed(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("grid", ["share=5bit", "quantise=1", "inq=5bit", "binarise=1", "xnor=1"])
def test_nothing_trains_weights_that_are_on_a_grid(grid):
    parsed(f"finetune=1,{grid},fold")
    with pytest.raises(
        UsageError, match=(f"`finetune=1` after `{grid}` would change weights that have few distinct values")
    ):
        parsed(f"{grid},finetune=1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("prune=0.5", (0.5, "macs")),
        ("prune=0.25:latency", (0.25, "latency")),
        ("sparsify=0.9", (0.9, 3.0)),
        ("sparsify=0.9:5", (0.9, 5.0)),
        ("share=5bit", (5, 3.0)),
        ("share=4:0.5", (4, 0.5)),
        ("inq=5bit:2", (5, 2.0)),
        ("predefined=2", (2, 3.0)),
        ("separable", 3.0),
        ("fold", None),
    ],
)
def test_each_step_reads_its_value(text, value):
    assert parsed(text)[0].value == value


def test_what_closes_a_chain_is_last():
    parsed("finetune=1,int8")
    with pytest.raises(UsageError, match="`int8` must be the last step"):
        parsed("int8,finetune=1")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_step_is_documented_and_has_what_its_form_needs(kind):
    assert kind.does and kind_named(kind.name) is kind
    assert re.search(rf"^\| `{kind.name}(=[^`]*)?` \|", PAGE, re.M)
    if kind.default:
        kind.reads(kind.default)

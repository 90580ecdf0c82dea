"""Rows of verdicts: as they fall, as a table, and as badges."""

import json

import torch

from fovea.explanation.attribution.methods import METHODS
from fovea.explanation.trust.badge import Badge
from fovea.explanation.trust.curves import Areas
from fovea.explanation.trust.planted import Found
from fovea.explanation.trust.result import COLUMNS, Row, Verdicts
from fovea.explanation.trust.sanity import Sanity, Step
from fovea.explanation.trust.table import Located, Trust
from fovea.texts import strict_json


def areas(insertion, deletion):
    return Areas(insertion=torch.tensor([insertion, 0.5]), deletion=torch.tensor([deletion, 0.25]))


def row(*, insertion=0.9, deletion=0.1, correlation=0.125, lift=3.0, located=None, sanity=True):
    last = Step(layer="stem", correlation=correlation, similarity=0.25)
    trust = Trust(
        method="gradcam",
        areas=areas(insertion, deletion),
        random=areas(0.5, 0.5),
        centre=areas(0.6, 0.3),
        sanity=Sanity(steps=(last,)) if sanity else None,
        located=located,
        seconds=0.0125,
    )
    cue = None if lift is None else Found(mass=0.3, lift=lift, decoy=0.1, pointing=0.75, seconds=0.1)
    return Row(method=METHODS["gradcam"], trust=trust, cue=cue)


def verdicts(*rows, located=None):
    return Verdicts(
        model="net.safetensors",
        sha256="00",
        data="pets",
        split="test",
        images=["a", "b"],
        answers=["cat", "dog"],
        followed="the probability",
        layer="stage2",
        rows=rows,
        rivals={"random": (areas(0.5, 0.5), located), "centre": (areas(0.6, 0.3), located)},
        accuracy=1.0,
        notes=[],
    )


def test_each_check_falls_alone():
    assert (row().badge, row().verdict) == (Badge(sanity=True, insertion=True, cue=True), "pass")
    assert (row(correlation=0.75).badge.sanity, row(correlation=0.75).verdict) == (False, "fails sanity")
    assert (row(lift=1.0).badge.cue, row(lift=1.0).verdict) == (False, "fails cue")
    # above a random map only; the verdict goes by what deletion says, too
    assert row(insertion=0.55).badge.insertion is False and row(insertion=0.55).verdict == "pass"
    assert row(insertion=0.55, deletion=0.5).verdict == "fails centre"


def test_what_was_not_checked_is_in_no_badge():
    assert row(sanity=False, lift=None).badge.checks == {"insertion": True}
    none = Row(method=METHODS["cam"], reason="no pooled head")
    assert none.badge.checks == {} and none.to_dict() == {"reason": "no pooled head"}


def test_the_table_has_the_columns_that_apply():
    columns, rows = verdicts(row(), Row(method=METHODS["cam"], reason="no")).table
    assert columns == [column for column in COLUMNS if column not in ("pointing", "energy")]
    assert rows[0] == ["random map", "0.500", "0.375", *[""] * 7]
    # the second image is the same to all, so it is above none
    assert rows[2] == [
        "gradcam",
        "0.700",
        "0.175",
        "1 of 2",
        "1 of 2",
        "pass (0.12, 0.25)",
        "3.0",
        "75 %",
        "0.013",
        "pass",
    ]
    assert rows[3] == ["cam", *[""] * 8, "does not apply"]
    where = Located(pointing=0.5, energy=0.25, share=0.1, images=1)
    found = verdicts(row(located=where), located=where)
    columns, rows = found.table
    assert columns == list(COLUMNS) and rows[0][6:8] == rows[2][6:8] == ["50 %", "25 %"] and found.boxed == 1


def test_the_json_has_the_checks_and_the_numbers():
    said = json.loads(strict_json(verdicts(row(), Row(method=METHODS["cam"], reason="no")).to_dict()))
    assert said["images"] == [{"image": "a", "answer": "cat"}, {"image": "b", "answer": "dog"}]
    found = said["methods"]["gradcam"]
    assert found["checks"] == {"sanity": True, "insertion": True, "cue": True} and found["cue"]["found"] is True
    assert found["better_than"] == {"random": 0.5, "centre": 0.5} and found["sanity"]["steps"][0]["layer"] == "stem"
    assert said["rivals"]["random"]["deletion"] == 0.375 and said["methods"]["cam"] == {"reason": "no"}

"""A budget from the start of a command to its end, and what is said of a training before it begins."""

import dataclasses
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fovea.display import Display
from fovea.jobs.train import train
from fovea.plans.budget import FEWEST_SHARE
from fovea.runs import preparation, timekeeping
from fovea.runs.comparison import compared
from fovea.runs.folder import Run
from fovea.runs.request import prepared
from fovea.runs.stored import read_stored
from fovea.runs.summary import read_summary
from fovea.runs.timekeeping import FITTED_SHARE, planned_lines, within_budget
from fovea.training.frozen_maps import FrozenMaps

FAST = {"threads": 1, "precision": "float32", "device": "cpu"}
BUDGET_S = 1000.0
TOOK = {"float32": 1.0, "bfloat16": 0.25}
"""Seconds per image."""


@pytest.fixture(scope="module")
def ready():
    """Return the training of digits that a budget gets, with a validation split."""
    display = Display(quiet=True)
    return prepared("digits", display=display, model="lenet5", size=32, budget=BUDGET_S, val_fraction=0.1, **FAST)


@pytest.fixture
def told(monkeypatch):
    """Return what a display notes."""
    notes = []
    monkeypatch.setattr(Display, "note", lambda self, text: notes.append(text))
    return notes


def waiting_since(seconds):
    return Display(quiet=True, began_at=time.monotonic() - seconds)


def evaluating_for(monkeypatch, seconds):
    monkeypatch.setattr(timekeeping, "evaluation_seconds", lambda _: seconds)
    monkeypatch.setattr(timekeeping, "step_seconds", lambda _: 0.1)


def test_training_gets_what_decoding_and_planning_have_left_and_evaluation_will_not_need(ready, monkeypatch, told):
    evaluating_for(monkeypatch, 2.0)
    shared, step_s = within_budget(ready, waiting_since(10))
    left = BUDGET_S - 10 - 2 - timekeeping.REPORT_S
    assert left - 5 < shared.plan.recipe.budget_s <= left and step_s == 0.1 and not told


def test_training_gets_a_share_in_any_case_and_a_budget_too_short_is_said(ready, monkeypatch, told):
    evaluating_for(monkeypatch, 900.0)
    shared, _ = within_budget(ready, waiting_since(410))
    assert shared.plan.recipe.budget_s == FEWEST_SHARE * BUDGET_S
    assert re.fullmatch(
        r"plan: 1000 s are too short: decoding and planning took 41\d s, evaluation and report take about 903 s; "
        "training gets 250 s",
        told[0],
    )


def test_a_head_that_is_fitted_needs_little_training(ready, monkeypatch, told):
    evaluating_for(monkeypatch, 900.0)
    fitted = dataclasses.replace(ready, plan=ready.plan.replace(fit_head=True, freeze="all"))
    assert within_budget(fitted, waiting_since(90))[0].plan.recipe.budget_s == FITTED_SHARE * BUDGET_S


def test_features_are_counted_in_the_precision_of_the_training(ready, monkeypatch):
    monkeypatch.setattr(timekeeping, "_image_seconds", lambda _, rows, precision: TOOK[precision])
    parts = ready.dataset.parts
    val, test, train = (len(parts[name]) for name in ("val", "test", "train"))
    plan = ready.plan.replace(refit_head=True, test_flip=False, precision="bfloat16")
    half = dataclasses.replace(ready, plan=plan)
    assert timekeeping.evaluation_seconds(half) == pytest.approx(2 * val + test + 0.25 * (val + train))
    kept = dataclasses.replace(half, maps=FrozenMaps(torch.zeros(0), (), torch.device("cpu")))
    assert timekeeping.evaluation_seconds(kept) == pytest.approx(2 * val + test + 0.25 * val)


@pytest.mark.parametrize(("image_s", "passed"), [(0.001, [4, 16, 128]), (0.1, [4, 16])])
def test_an_image_is_timed_by_as_many_as_tell_it(ready, monkeypatch, image_s, passed):
    now, asked = [0.0], []

    def passing(model, rows, *_, **__):
        asked.append(len(rows))
        now[0] += image_s * len(rows)

    monkeypatch.setattr(timekeeping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(timekeeping, "predict_logits", passing)
    rows = np.zeros((300, 8, 8, 3), np.uint8)
    assert timekeeping._image_seconds(ready, rows, "float32") == pytest.approx(image_s)
    assert asked == passed


def test_a_time_of_the_training_itself_stays_as_it_is_and_so_do_epochs(ready):
    for plain in (
        dataclasses.replace(ready, budget_s=0.0),
        dataclasses.replace(ready, plan=ready.plan.replace(epochs=3, budget_s=0.0)),
    ):
        assert within_budget(plain, waiting_since(10)) == (plain, 0.0)


def test_timing_a_step_and_an_evaluation_leaves_the_network_as_it_is(ready):
    before = [tensor.clone() for tensor in ready.model.state_dict().values()]
    assert timekeeping.step_seconds(ready) > 0 and timekeeping.evaluation_seconds(ready) > 0
    assert all(a.equal(b) for a, b in zip(before, ready.model.state_dict().values(), strict=True))


def test_the_plan_says_what_will_be_done(ready):
    (line,) = planned_lines(ready, ready.trainer(), step_s=1.0)
    images, recipe = len(ready.dataset.parts["train"]), ready.plan.recipe
    about = f", about {round(recipe.budget_s / (images // recipe.batch))} epochs; "
    assert line.startswith(f"lenet5 at 32 px on {images:,} training images: {recipe.budget_s:.0f} s of training, ")
    assert line.endswith(f"adamw at 0.002, batches of {recipe.batch}; 1 thread, float32")
    assert about in line
    epochs = dataclasses.replace(ready, plan=ready.plan.replace(epochs=1, budget_s=0.0))
    assert "training images: 1 epoch; adamw" in planned_lines(epochs, epochs.trainer(), step_s=0.0)[0]


def test_the_run_keeps_the_share_of_training_and_the_time_that_was_asked_for(tmp_path, monkeypatch):
    evaluating_for(monkeypatch, 0.0)
    shares = []
    for seed in (0, 1):
        run = Run(tmp_path / str(seed))
        options = {"model": "lenet5", "seed": seed, "display": Display(quiet=True), **FAST}
        result = train("digits", budget=2.0, out=run.folder, **options)
        recipe = run.read_recipe()
        shares.append(recipe["training"]["budget_s"])
        assert recipe["budget_s"] == 2.0 and shares[-1] < 2 and result.seconds >= shares[-1]
        assert read_stored(run, recipe).plan.recipe.budget_s == shares[-1]
    assert read_summary(tmp_path / "0").alike == read_summary(tmp_path / "1").alike
    first, second = (read_summary(tmp_path / str(seed)) for seed in (0, 1))
    assert first.alike["budget_s"] == 2.0
    longer = dataclasses.replace(second, budget_s=4.0, settings={**second.settings, "training.budget_s": 3.0})
    assert compared([first, longer]).settings == {"budget_s": (2.0, 4.0)}


def test_where_decoding_does_not_fit_a_share_of_the_images_is_used_said_and_used_again(
    colour_folder, tmp_path, monkeypatch, told
):
    monkeypatch.setattr(preparation, "decoding_s", lambda *_, **__: 7.0)
    evaluating_for(monkeypatch, 0.0)
    folder, options = colour_folder("plain", count=6), {"model": "lenet5", "size": 16, "batch": 4}
    train(folder, budget=10.0, out=tmp_path / "run", display=waiting_since(8), **options, **FAST)
    assert any(note.startswith("data: 50 % of the images are used, stratified, seed 0: ") for note in told)
    run = Run(tmp_path / "run")
    stored = read_stored(run, run.read_recipe())
    assert stored.plan.fraction == 0.5
    monkeypatch.setattr(preparation, "decoding_s", lambda *_, **__: 0.0)
    assert train(resume=run.folder, display=Display(quiet=True)).results  # the same images, by their digest


def test_without_a_budget_all_images_are_used_however_long_they_take(colour_folder, monkeypatch):
    monkeypatch.setattr(preparation, "decoding_s", lambda *_, **__: 1e9)
    options = {"model": "lenet5", "size": 16, "epochs": 1, **FAST}
    assert prepared(colour_folder("plain"), display=Display(quiet=True), **options).plan.fraction == 1

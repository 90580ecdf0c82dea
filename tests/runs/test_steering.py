"""A training obeys the file in its folder: it waits, steps, stops and changes, and all of that is kept."""

import time
import tomllib

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fovea.display import Display
from fovea.errors import UsageError
from fovea.jobs.train import train
from fovea.model.bundle import load
from fovea.runs import steering
from fovea.runs.folder import Run
from fovea.runs.steering import PAUSED, RUNNING, STOPPED, Request, ask, read_request, refuse_steering
from fovea.runs.summary import read_summary
from fovea.training.engine import Trainer

FAST = {"model": "mlp", "size": 8, "batch": 6, "threads": 1, "precision": "float32", "device": "cpu", "seed": 1}
NEW = {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.0, "batch": 4}


class Heard(Display):
    """What a person would have read."""

    def __init__(self):
        super().__init__(quiet=True)
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Return a folder of bitmaps in two classes; steering is looked at after every step."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(steering, "EVERY_S", 0.0)
    for shade, name in ((60, "dark"), (190, "light")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for index in range(12):
            Image.new("L", (8, 8), shade + index).save(folder / f"{index}.bmp")
    return "images"


@pytest.fixture
def asking(monkeypatch):
    """Return a function that asks a run for values during its step with a number, counted from 1."""

    def asked(run, step, **values):
        train_step = Trainer.train_step

        def steered(trainer, indices):
            if trainer.clock.total_steps == step - 1 and not trainer.changes:
                ask(Run(run), **values)
            train_step(trainer, indices)

        monkeypatch.setattr(Trainer, "train_step", steered)

    return asked


def quiet(*arguments, display=None, **options):
    return train(*arguments, display=display or Display(quiet=True), **options)


def same_weights(one, other):
    ours, theirs = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_changes_stand_in_recipe_card_and_comparison(images, tmp_path, asking):
    plain = quiet(images, out="plain", epochs=4, **FAST)
    asking(tmp_path / "run", 5, **NEW)
    heard = Heard()
    result = quiet(images, out="run", epochs=4, display=heard, **FAST)
    values = tomllib.loads((result.run / "recipe.toml").read_text())
    assert values["changes"] == [{"step": 5, **NEW}] and values["training"]["batch"] == 6
    assert load(result.model).card["training"]["changes"] == [{"step": 5, **NEW}]
    assert "changed after step 5: lr 0.02, momentum 0.5, batch 4, weight_decay 0" in heard.notes
    assert "changed after step 5" in result.report.read_text()
    assert "changes" in read_summary(result.run).settings and "changes" not in read_summary(plain.run).settings
    assert not same_weights(plain.run, result.run)


def test_a_changed_run_that_dies_goes_on_to_the_same_weights(images, tmp_path, asking, dying_after):
    asking(tmp_path / "whole", 5, **NEW)
    whole = quiet(images, out="whole", epochs=4, **FAST)
    asking(tmp_path / "died", 5, **NEW)
    with dying_after(7):
        quiet(images, out="died", epochs=4, **FAST)
    died = quiet(resume="died")
    assert same_weights(whole.run, died.run)
    assert (whole.run / "recipe.toml").read_text() == (died.run / "recipe.toml").read_text()
    died.run.joinpath("last.safetensors").unlink()
    again = quiet(resume="died")
    assert same_weights(whole.run, again.run), "from its beginning it is changed at the same steps again"


@pytest.fixture
def during(monkeypatch):
    """Return a function that lets a run be asked in a step with a number, then does a thing at each look of a pause."""

    def script(run, step, first, *others):
        left, train_step = list(others), Trainer.train_step

        def steered(trainer, indices):
            if trainer.clock.total_steps == step - 1:
                first()
            train_step(trainer, indices)

        monkeypatch.setattr(Trainer, "train_step", steered)
        monkeypatch.setattr(steering.time, "sleep", lambda _: left.pop(0)())

    return script


def test_a_paused_training_waits_takes_single_steps_and_counts_no_time(images, tmp_path, during):
    run, heard = Run(tmp_path / "run"), Heard()

    def saved():
        assert run.last.exists() and run.is_held
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            pass

    during(
        run,
        3,
        lambda: ask(run, state=PAUSED),
        saved,
        lambda: ask(run, step=True),
        lambda: ask(run, step=True, lr=0.5),
        lambda: ask(run, state=RUNNING),
    )
    result = quiet(images, out="run", epochs=4, display=heard, **FAST)
    said = [note for note in heard.notes if note.startswith(("paused", "going", "changed"))]
    assert said == ["paused after step 3", "changed after step 4: lr 0.5", "going on"]
    assert result.seconds < 1 and not result.interrupted
    assert not run.is_held


def test_single_steps_are_counted_one_by_one(images, tmp_path, during):
    run = Run(tmp_path / "run")
    heard = Heard()
    during(run, 2, lambda: ask(run, step=True), lambda: ask(run, lr=0.5), lambda: ask(run, state=STOPPED))
    result = quiet(images, out="run", epochs=4, display=heard, **FAST)
    assert "paused after step 2" in heard.notes and "changed after step 3: lr 0.5" in heard.notes
    assert result.interrupted and load(result.model).card["training"]["epochs"] == 0


def test_a_stopped_run_goes_on_and_forgets_what_was_asked(images, tmp_path, during):
    run = Run(tmp_path / "run")
    during(run, 5, lambda: ask(run, state=STOPPED))
    assert quiet(images, out="run", epochs=4, **FAST).interrupted
    assert not run.steering.exists() and not quiet(resume="run").interrupted


def test_a_change_that_cannot_be_is_said_and_the_training_goes_on(images, tmp_path, monkeypatch):
    heard, train_step, run = Heard(), Trainer.train_step, Run(tmp_path / "run")

    def steered(trainer, indices):
        if trainer.clock.total_steps == 2:
            run.steering.write_text('{"state": "running", "steps": 0, "values": {"lr": -1, "momentum": 0.5}}')
        train_step(trainer, indices)

    monkeypatch.setattr(Trainer, "train_step", steered)
    result = quiet(images, out="run", epochs=2, display=heard, **FAST)
    assert any(note.startswith("not changed: `lr` (=-1)") for note in heard.notes)
    assert "changes" not in tomllib.loads((result.run / "recipe.toml").read_text())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"state": "flying", "steps": 0, "values": {}}', '{"state": "paused", "steps": 1e99}']
    + ['{"state": "paused", "steps": -1, "values": {}}', "[" * 4000, '{"state": ["paused"], "steps": 0, "values": {}}'],
)
def test_a_file_that_asks_for_nothing_sensible_asks_for_nothing(tmp_path, text):
    Run(tmp_path).steering.write_text(text)
    assert read_request(Run(tmp_path)) == Request()


def test_a_training_of_several_processes_is_not_steered(tmp_path):
    run = Run(tmp_path)
    refuse_steering(run, processes=2)
    with pytest.raises(UsageError, match=r"has 2 processes \(`torchrun`\), and cannot be changed or watched"):
        ask(run, state="paused")
    assert read_request(run).state == "running"


def test_what_is_asked_adds_up(tmp_path):
    run = Run(tmp_path)
    ask(run, step=True)
    ask(run, lr=0.1)
    assert (
        ask(run, step=True, batch=4)
        == read_request(run)
        == Request(state=PAUSED, steps=2, values={"lr": 0.1, "batch": 4})
    )
    with pytest.raises(UsageError, match="`state`"):
        ask(run, state="flying")
    with pytest.raises(UsageError, match="`momentum`"):
        ask(run, momentum=1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("changes = 3", "`changes` must be a list"),
        ("[[changes]]\nlr = 0.1", "`changes.0.step` is missing"),
        ("[[changes]]\nstep = 2\nepochs = 9", "`changes.0.epochs` is not a known field"),
        ("[[changes]]\nstep = 2\nlr = 0.0", "`lr` .=0.0. must be above 0"),
        (
            "[[changes]]\nstep = 2\nbatch = 1\n[[changes]]\nstep = 2\nbatch = 2",
            "must be above that of the change before",
        ),
    ],
)
def test_a_recipe_whose_changes_cannot_be_is_refused(images, changes, said):
    result = quiet(images, out="run", epochs=1, **FAST)
    recipe = result.run / "recipe.toml"
    text = recipe.read_text()
    recipe.write_text(f"{changes}\n{text}" if "[[" not in changes else f"{text}\n{changes}\n")
    with pytest.raises(UsageError, match=said):
        quiet(resume="run")

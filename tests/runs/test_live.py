"""What a training shows while it learns, to who looks: and that it learns the same, and shows nothing to nobody."""

import json
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fovea.display import Display
from fovea.jobs.train import train
from fovea.runs import live, steering
from fovea.runs.folder import Run
from fovea.runs.live import FRESH_S, Live, Looked, Losses, extent, read_view, read_watched, watch_run
from fovea.runs.steering import PAUSED, RUNNING, ask
from fovea.training.engine import Trainer

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes, c_in):
        super().__init__(
            nn.Conv2d(c_in, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Dropout(0.2), nn.Flatten(), nn.Linear(64, classes)
        )
"""
FAST = {"model": "net.py:Net", "size": 8, "batch": 8, "epochs": 3, "val_fraction": 0.25}
PLAIN = {"threads": 1, "precision": "float32", "device": "cpu"}
LAYER = "0"


def quiet(*arguments, **options):
    return train(*arguments, display=Display(quiet=True), **{**FAST, **PLAIN, **options})


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Return a folder of bitmaps in two classes; a training is looked at, and publishes, as often as it can."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("EVERY_S", 0.0), ("LOOKED_S", 0.0), ("SHARE", 1e9)):
        monkeypatch.setattr(live, name, value)
    monkeypatch.setattr(steering, "EVERY_S", 0.0)
    (tmp_path / "net.py").write_text(NET)
    noise = np.random.default_rng(0)
    for shade, name in ((60, "dark"), (90, "light")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = noise.integers(0, 100, (8, 8)) + shade
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.bmp")
    return "images"


@pytest.fixture
def views(monkeypatch):
    """Return a function that looks at a run in each of its steps, and the list of what it sees."""

    def look(run, *layers):
        found, train_step = [], Trainer.train_step

        def watched(trainer, indices):
            watch_run(run, Looked(layers=layers))
            train_step(trainer, indices)
            found.append(read_view(run))

        monkeypatch.setattr(Trainer, "train_step", watched)
        return found

    return look


def test_a_training_that_is_looked_at_learns_the_same_to_the_bit(images, tmp_path, views):
    alone = quiet(images, out="alone")
    seen = views(Run(tmp_path / "seen"), LAYER)
    looked_at = quiet(images, out="seen")
    assert len(seen) == 6 and None not in seen
    ours, theirs = load_file(alone.model), load_file(looked_at.model)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert {file.name for file in alone.run.iterdir()} == {file.name for file in looked_at.run.iterdir()}


def test_it_shows_loss_filters_maps_gradients_and_ranges(images, tmp_path, views):
    seen = views(Run(tmp_path / "run"), LAYER, "no such layer")
    quiet(images, out="run")
    story, arrays = seen[-1].story, seen[-1].arrays
    assert story["step"] == 6 and [step for step, _ in story["losses"]] == [1, 2, 3, 4, 5, 6]
    assert story["values"]["batch"] == 8 and story["asked"] == story["values"] and not story["paused"]
    table = {layer["name"]: layer for layer in story["layers"]}
    assert table[LAYER]["kind"] == "Conv2d" and table[LAYER]["shape"] == [4, 8, 8]
    low, high = table[LAYER]["gradient"]
    assert low < high and np.isclose(arrays[f"gradient.{LAYER}"].max(), high)
    assert arrays[f"maps.{LAYER}"].shape == (4, 8, 8) and arrays["sample"].shape[:2] == (8, 8)
    assert arrays["filters"].shape == arrays[f"weight.{LAYER}"].shape
    before = seen[-2].arrays[f"maps.{LAYER}"]
    assert not np.array_equal(before, arrays[f"maps.{LAYER}"]), "the same sample, seen by a network that has learned"
    assert np.array_equal(seen[-2].arrays["sample"], arrays["sample"])


def test_mistakes_of_the_batch_are_shown_with_their_images(images, tmp_path, views):
    seen = views(Run(tmp_path / "run"))
    quiet(images, out="run")
    view = next(view for view in seen if view.story["mistakes"])
    mistake = view.story["mistakes"][0]
    assert {mistake["truth"], mistake["answer"]} == {"dark", "light"} and 0.5 <= mistake["probability"] <= 1
    assert view.arrays["mistake.0"].dtype == np.uint8 and view.arrays["mistake.0"].shape[:2] == (8, 8)


def test_nothing_is_published_where_nobody_looks(images, tmp_path, monkeypatch):
    monkeypatch.setattr(Live, "_publish", lambda *_: pytest.fail("published"))
    run = Run(tmp_path / "run")
    train_step = Trainer.train_step

    def looked_at_long_ago(trainer, indices):
        watch_run(run, Looked())
        os.utime(run.watched, (0, time.time() - FRESH_S - 1))
        train_step(trainer, indices)

    monkeypatch.setattr(Trainer, "train_step", looked_at_long_ago)
    assert quiet(images, out="run").results


def test_publishing_takes_a_small_share_of_the_time(images, tmp_path, views, monkeypatch):
    monkeypatch.setattr(live, "SHARE", 0.02)
    # each look at its clock takes a second; the process keeps its own, by which servers in other threads sleep
    seconds = iter(range(10**6)).__next__
    clock = SimpleNamespace(monotonic=seconds, process_time=seconds, time=time.time)
    monkeypatch.setattr(live, "time", clock)
    seen = views(Run(tmp_path / "run"))
    quiet(images, out="run")
    assert len({view.story["step"] for view in seen if view}) == 1


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Return a function that tells when a training with steps of some length publishes, on a clock of its own."""
    clock = SimpleNamespace(now=0.0, processor=0.0)
    times = SimpleNamespace(monotonic=lambda: clock.now, process_time=lambda: clock.processor, time=time.time)
    monkeypatch.setattr(live, "time", times)
    monkeypatch.setattr(live, "read_watched", lambda _: Looked())
    trainer = SimpleNamespace(clock=SimpleNamespace(loss_sum=0.0, total_steps=0, step=0))

    def published(*, step_s, steps, takes_s, processor_s):
        shown, found = Live(Run(tmp_path), trainer, SimpleNamespace(pauses=False)), []

        def seen(*_):
            found.append(clock.now)
            clock.now, clock.processor = clock.now + takes_s, clock.processor + processor_s
            return "{}", {}

        monkeypatch.setattr(shown, "_seen", seen)
        for _ in range(steps):
            clock.now += step_s
            shown.observe(None)
        return found

    return published


@pytest.mark.parametrize("step_s", [0.01, 0.4, 0.6, 0.85])
def test_something_new_is_shown_each_second_and_hardly_more_often(publish, step_s):
    found = publish(step_s=step_s, steps=int(60 / step_s), takes_s=0.01, processor_s=0.01)
    assert 60 <= len(found) <= 70


def test_time_that_other_programs_take_is_no_cost_of_publishing(publish):
    crowded = publish(step_s=0.1, steps=300, takes_s=0.2, processor_s=0.01)
    slow = publish(step_s=0.1, steps=300, takes_s=0.2, processor_s=0.2)
    assert len(crowded) > 25 and 3 <= len(slow) <= 5


def test_what_fails_for_who_looks_does_not_stop_the_training(images, tmp_path, views, monkeypatch):
    monkeypatch.setattr(live, "look_at", lambda *_: 1 / 0)
    seen = views(Run(tmp_path / "run"))
    assert quiet(images, out="run").results and seen == [None] * 6


def test_a_paused_training_shows_itself_to_who_comes(images, tmp_path, monkeypatch):
    run, found, train_step = Run(tmp_path / "run"), [], Trainer.train_step

    def asked(trainer, indices):
        if trainer.clock.total_steps == 1:
            ask(run, state=PAUSED)
        train_step(trainer, indices)

    def look():
        found.append(read_view(run))
        watch_run(run, Looked(layers=(LAYER,)))

    def step():
        found.append(read_view(run))
        ask(run, step=True)

    actions = [look, step, step, lambda: (found.append(read_view(run)), ask(run, state=RUNNING))]
    monkeypatch.setattr(Trainer, "train_step", asked)
    monkeypatch.setattr(steering.time, "sleep", lambda _: actions.pop(0)())
    quiet(images, out="run")
    assert found[0] is None and [view.story["step"] for view in found[1:]] == [2, 3, 4]
    assert all(view.story["paused"] for view in found[1:])
    assert f"gradient.{LAYER}" not in found[1].arrays and f"gradient.{LAYER}" in found[2].arrays


@pytest.mark.parametrize("kind", ["labels", "grade", "number"])
def test_other_targets_are_shown_too(images, tmp_path, views, kind):
    labels = {"labels": ("x;y", "x", ""), "grade": ("0", "1", "2"), "number": ("0.5", "1.5", "7")}[kind]
    rows = [f"images/{name}/{index}.bmp,{labels[index % 3]}" for name in ("dark", "light") for index in range(12)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label", *rows]))
    seen = views(Run(tmp_path / "run"), LAYER)
    quiet("table.csv", out="run", task=kind)
    assert all(view.story["layers"] for view in seen)
    assert any(view.story["mistakes"] for view in seen) == (kind != "number")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"layers": [3], "sample": 0}', b'{"layers": [], "sample": -1}']
)
def test_a_file_that_looks_at_nothing_sensible_looks_at_nothing(tmp_path, content):
    Run(tmp_path).watched.write_bytes(content)
    assert read_watched(Run(tmp_path)) is None


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 8 + b"{}"])
def test_a_damaged_view_is_no_view(tmp_path, content):
    Run(tmp_path).live.write_bytes(content)
    assert read_view(Run(tmp_path)) is None


def test_many_losses_become_means_of_several_steps(monkeypatch):
    monkeypatch.setattr(live, "MOST_LOSSES", 4)
    losses = Losses()
    for step in range(1, 9):
        losses.add(step, float(step))
    assert losses.points == [(4, 2.5), (8, 6.5)] and losses.together == 4


def test_ranges_of_what_is_not_finite_are_left_out():
    assert extent(torch.tensor([1.0, -2.0])) == [-2.0, 1.0]
    assert extent(torch.tensor([1.0, float("nan")])) is None and extent(torch.empty(0)) is None
    assert json.dumps(extent(torch.tensor([1.0, float("inf")]))) == "null"

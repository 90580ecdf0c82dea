"""Timed settings and the learning-rate sweep."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fovea.errors import TrainingError
from fovea.tasks.classes import Classes
from fovea.training import tuning
from fovea.training.losses import make_loss
from fovea.training.recipe import Recipe
from fovea.training.tuning import (
    Sweep,
    available_threads,
    sweep_rates,
    thread_counts,
    time_settings,
)


def timed(net, *, model=None, progress=None, **fields):
    images, labels = torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 0, 1])
    options = {"recipe": (recipe := Recipe(**fields)), "seconds": 0.02, "progress": progress}
    return time_settings(model or net(), images, labels, loss=make_loss(Classes(names=("a", "b")), recipe), **options)


def test_what_the_recipe_leaves_open_is_timed(net, monkeypatch):
    monkeypatch.setattr(tuning, "available_threads", lambda: 2)
    settings = timed(net)
    assert {(s.threads, s.precision) for s in settings} == {(t, p) for t in (1, 2) for p in ("float32", "bfloat16")}
    assert [s.step_s for s in settings] == sorted(s.step_s for s in settings)
    assert all(s.step_s > 0 for s in settings)


def test_a_hopeless_setting_is_timed_by_one_step(net, monkeypatch):
    done, clock = [], [0.0]

    def step(*_given):
        precision = _given[-1]
        done.append(precision)
        clock[0] += {"float32": 1.0, "bfloat16": 5.5}[precision]

    monkeypatch.setattr(tuning, "_step", step)
    monkeypatch.setattr(tuning, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    fast, slow = timed(net, threads=1)
    assert [(s.precision, s.step_s) for s in (fast, slow)] == [("float32", 1.0), ("bfloat16", 5.5)]
    # a warm-up and a step in each of two rounds, or one warm-up alone
    assert done == ["float32"] * 2 + ["bfloat16"] + ["float32"] * 2


def test_timing_tells_how_far_it_is(net):
    shown = []
    timed(net, threads=1, progress=lambda done, total: shown.append((done, total)))
    assert shown == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_the_recipe_fixes_is_kept(net):
    (setting,) = timed(net, threads=1, precision="float32")
    assert (setting.threads, setting.precision) == (1, "float32")


def test_timing_changes_neither_the_network_nor_the_threads(net):
    model, threads = net(), torch.get_num_threads()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    timed(net, model=model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("available", "counts"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (48, [1, 2, 4, 8, 16, 32, 48])]
)
def test_thread_counts_double_up_to_all_there_are(available, counts):
    assert thread_counts(available) == counts


def test_no_more_threads_than_this_process_may_use():
    assert 1 <= available_threads() <= os.cpu_count()


def test_a_sweep_rises_and_suggests_a_tenth_of_the_best(make_trainer):
    progress = []
    sweep = sweep_rates(make_trainer(), steps=30, progress=lambda *seen: progress.append(seen))
    assert sweep.rates == sorted(sweep.rates) and sweep.rates[0] == 1e-6
    ratios = [b / a for a, b in zip(sweep.rates, sweep.rates[1:], strict=False)]
    assert ratios == pytest.approx([1e7 ** (1 / 29)] * len(ratios))
    assert len(sweep.losses) == len(sweep.rates) == len(progress)
    best = sweep.rates[sweep.losses.index(min(sweep.losses))]
    assert sweep.suggested == pytest.approx(best / 10)
    assert 1e-4 < sweep.suggested <= 1


def test_a_sweep_trains_at_the_rate_it_notes(make_trainer):
    trainer = make_trainer(optimiser="muon", lr=0.2, lr_rest=0.02)
    seen, update = [], trainer.update
    trainer.update = lambda: (update(), seen.append([o.param_groups[0]["lr"] for o in trainer.optimisers]))
    sweep = sweep_rates(trainer, steps=20, lowest=1e-3, highest=0.3, progress=lambda *_: None)
    assert [muon for muon, _ in seen] == pytest.approx(sweep.rates)
    assert [rest for _, rest in seen] == pytest.approx([rate / 10 for rate in sweep.rates])


def test_a_sweep_smooths_the_losses(make_trainer, monkeypatch):
    trainer = make_trainer()
    steps = iter([2.0, 1.0, 1.0, 20.0])
    monkeypatch.setattr(
        trainer, "train_step", lambda _: setattr(trainer.clock, "loss_sum", trainer.clock.loss_sum + next(steps))
    )
    sweep = sweep_rates(trainer, steps=4, lowest=1e-3, highest=1.0, progress=lambda *_: None)
    assert sweep.losses == pytest.approx([2.0, 1.8, 1.64, 0.8 * 1.64 + 0.2 * 20])
    assert sweep.rates == pytest.approx([1e-3, 1e-2, 1e-1, 1.0]) and sweep.suggested == pytest.approx(1e-2)


def test_a_sweep_ends_where_the_loss_explodes(make_trainer, net):
    sweep = sweep_rates(make_trainer(model=net(norm=False)), highest=1e6, steps=40, progress=lambda *_: None)
    assert len(sweep.rates) == len(sweep.losses) < 40


class Stubborn(nn.Module):
    """A network whose output does not depend on what it learns."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return torch.zeros(len(x), 2) + 0 * self.weight


def test_a_loss_that_never_falls_has_no_rate(make_trainer):
    with pytest.raises(TrainingError, match="^The loss did not fall at any learning rate; check the labels"):
        sweep_rates(make_trainer(model=Stubborn()), steps=5, progress=lambda *_: None)


def test_a_sweep_says_how_to_use_it():
    sweep = Sweep([1e-3, 1e-2], [2.0, 1.0], 1e-3)
    assert sweep.summary() == ["Suggested learning rate: 0.001 (use it with --lr 0.001)"]
    assert sweep.to_dict() == {"rates": [1e-3, 1e-2], "losses": [2.0, 1.0], "suggested": 1e-3, "picture": ""}
    assert replace(sweep, picture="rates.png").summary()[1:] == ["Picture: rates.png"]


def test_several_processes_divide_the_processors_of_a_machine(monkeypatch):
    monkeypatch.setattr("fovea.training.tuning.os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_threads() == 8
    for processes, each in (("3", 2), ("16", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert available_threads() == each

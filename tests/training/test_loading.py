"""The images of a training, made in the step or ahead of it."""

from types import SimpleNamespace

import pytest
import torch

from fovea.training import loading
from fovea.training.changes import Change
from fovea.training.loading import TRIED, TRIED_STEPS, Trial

AUGMENT = ("flip", "shift 1", "mixup 0.4")


@pytest.fixture
def always_ahead(monkeypatch):
    """Load every step ahead, whatever a trial would find; return how many were begun."""
    begun = []
    begin = loading.Loader._begin
    monkeypatch.setattr(Trial, "ahead", lambda trial: True)
    monkeypatch.setattr(loading.Loader, "_begin", lambda loader, *given: begun.append(given) or begin(loader, *given))
    return begun


def weights(trainer):
    return torch.cat([tensor.flatten() for tensor in trainer.model.state_dict().values()])


def trained(make_trainer, fit, *, changes=(), **fields):
    trainer = make_trainer(**{"augment": AUGMENT, "epochs": 2, **fields})
    trainer.changes = changes
    fit(trainer)
    return weights(trainer)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_loading_ahead_changes_no_bit(make_trainer, fit, monkeypatch, accumulate, request):
    monkeypatch.setattr(Trial, "ahead", lambda trial: False)
    inside = trained(make_trainer, fit, batch=5, accumulate=accumulate)
    begun = request.getfixturevalue("always_ahead")
    assert torch.equal(trained(make_trainer, fit, batch=5, accumulate=accumulate), inside)
    steps = 2 * (32 // (5 * accumulate))
    assert len(begun) == steps  # each step once: the next one is known but at the end of an epoch


def test_a_change_of_the_batch_drops_what_was_made_for_the_old_one(make_trainer, fit, monkeypatch, request):
    changes = [Change(2, {"batch": 4})]
    monkeypatch.setattr(Trial, "ahead", lambda trial: False)
    inside = trained(make_trainer, fit, changes=changes)
    begun = request.getfixturevalue("always_ahead")
    assert torch.equal(trained(make_trainer, fit, changes=changes), inside)
    assert len(begun) == 2 + 4 + 8 + 1


def test_nothing_is_loaded_ahead_outside_a_training(make_trainer, always_ahead):
    trainer = make_trainer()
    trainer.train_step(next(trainer.batches()))
    assert not always_ahead


@pytest.mark.usefixtures("always_ahead")
def test_an_error_in_the_other_thread_ends_the_training(make_trainer, fit, monkeypatch):
    trainer = make_trainer()

    def broken(*_given, **_options):
        raise OSError("gone")

    monkeypatch.setattr(trainer.loader, "load", broken)
    with pytest.raises(OSError, match="gone"):
        fit(trainer)


@pytest.mark.parametrize(("inside", "ahead", "kept"), [(2.0, 1.0, True), (1.0, 1.0, False), (1.0, 2.0, False)])
def test_the_trial_keeps_the_faster_way_after_both_were_tried_in_turn(monkeypatch, inside, ahead, kept):
    clock = [0.0]
    monkeypatch.setattr(loading, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    trial, ways = Trial(), []
    for _ in range(len(TRIED) * TRIED_STEPS + 3):
        ways.append(trial.ahead())
        clock[0] += ahead if ways[-1] else inside
    assert ways[: len(TRIED) * TRIED_STEPS] == [way for way in TRIED for _ in range(TRIED_STEPS)]
    assert set(ways[len(TRIED) * TRIED_STEPS :]) == {kept}

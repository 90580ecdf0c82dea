"""What is changed while a training runs counts from the next step on, and is repeated to the bit."""

import pytest
import torch

from fovea.errors import UsageError
from fovea.fields import Fields
from fovea.training.changes import Change, changed, with_change
from fovea.training.checkpoint import load_checkpoint, save_checkpoint
from fovea.training.recipe import Recipe


def same_weights(one, other):
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_change_at_the_beginning_is_another_recipe(make_trainer, fit):
    given, begun = make_trainer(lr=0.01, momentum=0.5, weight_decay=0.0), make_trainer()
    begun.changes = [Change(0, {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.0})]
    fit(given)
    fit(begun)
    same_weights(given, begun)


def test_the_rate_changes_from_the_next_step_on(make_trainer, fit):
    plain, faster = make_trainer(momentum=0.0, weight_decay=0.0), make_trainer(momentum=0.0, weight_decay=0.0)
    faster.changes = [Change(2, {"lr": 0.1})]
    moved = []
    for trainer in (plain, faster):
        fit(trainer, steps=2)
        before = trainer.model[0].weight.detach().clone()
        fit(trainer, steps=1)
        moved.append(trainer.model[0].weight.detach() - before)
    torch.testing.assert_close(moved[1], 2 * moved[0])


def test_the_momentum_of_an_optimiser_outlives_a_change(make_trainer, fit):
    trainer = make_trainer()
    fit(trainer, steps=2)
    weight = trainer.model[0].weight
    kept = trainer.optimisers[0].state[weight]["momentum_buffer"]
    trainer.go_by(Change(2, {"weight_decay": 0.0}))
    assert trainer.optimisers[0].state[weight]["momentum_buffer"] is kept


def test_another_batch_goes_on_with_the_images_that_are_left(make_trainer, fit):
    trainer, seen = make_trainer(epochs=2), []
    trainer.changes = [Change(2, {"batch": 4})]
    chunks = trainer.loader.chunks
    trainer.loader.chunks = lambda step: seen.extend(step.indices.tolist()) or chunks(step)
    (first, second) = fit(trainer)
    assert sorted(seen[:32]) == sorted(seen[32:]) == list(range(32))
    assert (first.images, second.images, trainer.clock.total_steps) == (32, 32, 2 + 4 + 8)
    assert trainer.images_seen == 64 and trainer.progress == 1


def test_progress_never_falls_and_ends_at_one(make_trainer):
    trainer, progress = make_trainer(epochs=3), []
    trainer.changes = [Change(1, {"batch": 3}), Change(9, {"batch": 16}), Change(10, {"batch": 5})]
    trainer.fit(on_step=lambda trainer: progress.append(trainer.progress), on_epoch=lambda *_: None)
    assert progress == sorted(progress) and progress[-1] == 1 and len(set(progress)) == len(progress)


CHANGES = [
    {"optimiser": "sgd"},
    {"optimiser": "sgd", "momentum": 0.0},
    {"optimiser": "rmsprop", "momentum": 0.0, "lr": 0.001},
    {"optimiser": "adamw", "lr": 0.01, "ema": 0.9},
    {"optimiser": "muon", "schedule": "one-cycle"},
]


@pytest.mark.parametrize("at", [5, 6, 8])
@pytest.mark.parametrize("fields", CHANGES, ids=str)
def test_a_changed_training_from_a_checkpoint_repeats_the_other_to_the_bit(tmp_path, make_trainer, fit, fields, at):
    """The checkpoint is written after step 6: after, at and before the change; 8 is the end of an epoch too."""
    values = {"lr": 0.02, "momentum": 0.8, "batch": 5} | ({} if fields["optimiser"] == "muon" else {"weight_decay": 0})
    changes = [Change(3, {"momentum": 0.0}), Change(at, values)]
    whole, first, resumed = (make_trainer(**fields) for _ in range(3))
    for trainer in (whole, first, resumed):
        trainer.changes = changes
    fit(whole)
    fit(first, steps=8 if at == 8 else 6)
    save_checkpoint(tmp_path / "last.safetensors", first)
    load_checkpoint(tmp_path / "last.safetensors", resumed)
    fit(resumed)
    same_weights(whole, resumed)
    assert {**vars(whole.clock), "elapsed_s": 0} == {**vars(resumed.clock), "elapsed_s": 0}


def test_what_waits_for_its_turn_to_learn_keeps_its_optimiser(make_trainer, fit):
    trainer = make_trainer(head_first=0.5)
    trainer.changes = [Change(1, {"lr": 0.01})]
    before = trainer.model[0].weight.detach().clone()
    fit(trainer)
    assert not torch.equal(before, trainer.model[0].weight)


def test_time_that_is_waited_spends_no_budget(make_trainer):
    trainer = make_trainer(epochs=0, budget_s=30.0)
    trainer.fit(
        on_step=lambda trainer: trainer.stand_still(-10.0),
        on_epoch=lambda *_: None,
        stopped=lambda: trainer.progress == 1,
    )
    assert trainer.clock.total_steps == 4  # each as if it had taken ten seconds more


def test_a_new_change_forgets_what_an_abandoned_training_did_later():
    changes = [Change(1, {"lr": 0.1}), Change(5, {"lr": 0.2}), Change(9, {"lr": 0.3})]
    assert with_change(changes, Change(5, {"batch": 4})) == [changes[0], Change(5, {"lr": 0.2, "batch": 4})]


@pytest.mark.parametrize(
    ("fields", "values", "said"),
    [
        ({}, {"epochs": 3}, "Unknown field to change while it runs `epochs`"),
        ({}, {"lr": -1.0}, "`lr`"),
        ({}, {"batch": 0}, "`batch`"),
        ({}, {"batch": 2.5}, "`batch`"),
        ({"optimiser": "muon"}, {"weight_decay": 0.1}, "`weight_decay` does nothing under `muon`"),
    ],
)
def test_a_change_that_cannot_be_is_refused(fields, values, said):
    with pytest.raises(UsageError, match=said):
        changed(Recipe(**fields), values)


def test_a_change_reads_as_it_is_written():
    change = Change(7, {"lr": 0.1, "batch": 16})
    assert Change.from_fields(Fields(change.to_dict(), ValueError)) == change
    with pytest.raises(ValueError, match="epochs"):
        Change.from_fields(Fields({"step": 1, "epochs": 3}, ValueError))

"""The training loop on a tiny network: what it learns, in which order, when it stops, and that it repeats itself."""

import dataclasses
import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fovea.data.augment.mixing import MixedLabels
from fovea.errors import TrainingError, UsageError
from fovea.tasks.score import Metric, Score
from fovea.training.engine import EpochResult, Trainer
from fovea.training.seeds import seed_of


def weights(trainer):
    return torch.cat([tensor.flatten().double() for tensor in trainer.model.state_dict().values()])


def steps_of(trainer):
    """Return what the trainer is trained on: (epoch, indices) of each step, as it is loaded."""
    seen, chunks = [], trainer.loader.chunks

    def spy(step):
        seen.append((step.epoch, step.indices.tolist()))
        return chunks(step)

    trainer.loader.chunks = spy
    return seen


def test_it_learns(make_trainer, images, fit):
    results = fit(make_trainer(val=images(20, seed=1), epochs=5))
    assert results[-1].loss < 0.5 * results[0].loss
    assert results[-1].val.value == 1.0 and results[-1].value > 0.9


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_it_learns_with_every_switch_on(make_trainer, images, fit, optimiser):
    switches = {"ema": 0.9, "clip": 1.0, "accumulate": 2, "batch": 4, "warmup": 0.1, "label_smoothing": 0.1}
    augment = {"augment": ("flip", "shift 1"), "precision": "bfloat16", "test_flip": True, "class_weights": True}
    trainer = make_trainer(val=images(20, seed=1), epochs=8, optimiser=optimiser, lr=0.02, **switches, **augment)
    assert fit(trainer)[-1].val.value > 0.9


def test_an_epoch_shows_every_image_once_in_another_order_each_time(make_trainer, fit):
    trainer = make_trainer(epochs=2)
    seen = steps_of(trainer)
    fit(trainer)
    epochs = [[index for epoch, indices in seen if epoch == e for index in indices] for e in range(2)]
    assert all(sorted(order) == list(range(32)) for order in epochs)
    assert epochs[0] != epochs[1] != list(range(32))


def test_a_resampled_training_sees_the_same_images_each_epoch_some_several_times(make_trainer, fit):
    trainer = make_trainer(epochs=2, resample=True)
    names = trainer.train_part.names
    assert len(names) == 32 and 10 < len(set(names)) < 28
    assert make_trainer(resample=True).train_part.names == names
    assert make_trainer(resample=True, seed=1).train_part.names != names
    assert fit(trainer)[-1].images == 32


def test_images_that_fill_no_step_wait_for_another_epoch(make_trainer, images, fit):
    trainer = make_trainer(train=images(30), batch=4, accumulate=2, epochs=2)
    results = fit(trainer)
    assert trainer.steps_per_epoch == 3
    assert [(r.epoch, r.images) for r in results] == [(0, 24), (1, 24)]
    assert (trainer.clock.total_steps, trainer.clock.epoch) == (6, 2)


@pytest.mark.parametrize(
    ("fields", "steps", "images_per_step"),
    [({"batch": 512}, 1, 32), ({"batch": 16, "accumulate": 4}, 1, 32), ({"batch": 1, "accumulate": 50}, 1, 32)],
)
def test_a_small_part_is_one_step(make_trainer, fit, fields, steps, images_per_step):
    trainer = make_trainer(**fields, epochs=1)
    assert (trainer.steps_per_epoch, trainer.images_per_step) == (steps, images_per_step)
    assert fit(trainer)[0].images == images_per_step


def test_progress_counts_steps(make_trainer, fit):
    trainer = make_trainer(epochs=2)
    progress = []
    trainer.fit(on_step=lambda t: progress.append(t.progress), on_epoch=lambda *_: None)
    assert progress == [step / 8 for step in range(1, 9)]


def test_the_rate_of_a_step_is_the_schedule_at_its_start(make_trainer):
    trainer = make_trainer(epochs=1, schedule="linear", lr=0.4)
    rates, update = [], trainer.update
    trainer.update = lambda: (update(), rates.append(trainer.optimisers[0].param_groups[0]["lr"]))
    trainer.fit(on_step=lambda _: None, on_epoch=lambda *_: None)
    assert rates == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_muon_and_adam_follow_the_same_schedule_from_their_own_rates(make_trainer, fit):
    trainer = make_trainer(epochs=1, schedule="linear", optimiser="muon", lr=0.4, lr_rest=0.04)
    fit(trainer)
    assert [o.param_groups[0]["lr"] for o in trainer.optimisers] == pytest.approx([0.1, 0.01])


@pytest.fixture
def clock(monkeypatch):
    """Let every look at the clock take a tenth of a second."""
    now = iter(range(1, 100_000))
    monkeypatch.setattr("fovea.training.engine.time", SimpleNamespace(monotonic=lambda: next(now) / 10))


def test_a_budget_is_progress_by_time(make_trainer, fit, clock):
    trainer = make_trainer(epochs=0, budget_s=1.0)
    progress = []
    trainer.fit(on_step=lambda t: progress.append(t.progress), on_epoch=lambda *_: None)
    assert progress == pytest.approx([step / 10 for step in range(1, 11)])
    assert trainer.clock.total_steps == 10 and trainer.clock.epoch == 3


def test_a_budget_validates_at_its_end_whatever_it_costs(make_trainer, images, fit, clock):
    results = fit(make_trainer(epochs=0, budget_s=1.0, val=images(8)))
    assert [result.val is not None for result in results] == [True, False, True]


def test_patience_stops_and_the_best_is_remembered(make_trainer, images, fit, monkeypatch):
    losses = iter([3.0, 2.0, 2.5, 2.4, 2.3, 1.0])
    monkeypatch.setattr(Trainer, "validate", lambda _: Score(next(losses), 0.5))
    trainer = make_trainer(epochs=6, patience=3, val=images(8))
    results = fit(trainer)
    assert [result.improved for result in results] == [True, True, False, False, False]
    assert (trainer.clock.best, trainer.clock.best_epoch) == (Score(2.0, 0.5), 1)


def test_plateau_lowers_the_rate(make_trainer, images, fit, monkeypatch):
    monkeypatch.setattr(Trainer, "validate", lambda _: Score(1.0, 0.5))
    results = fit(make_trainer(epochs=6, schedule="plateau", lr=0.05, val=images(8)))
    assert [result.lr for result in results] == pytest.approx([0.05] * 5 + [0.005])


@pytest.mark.parametrize("fields", [{"patience": 2}, {"schedule": "plateau"}])
def test_what_follows_the_validation_needs_one(make_trainer, fields):
    (name,) = fields
    with pytest.raises(UsageError, match=rf"^`{name}` .* needs a validation split; `--val-fraction 0.1` sets"):
        make_trainer(**fields)


class NotANumber(nn.Module):
    """The tiny network until its output is NaN, from the pass numbered `begin` on."""

    def __init__(self, body, begin):
        super().__init__()
        self.body, self.begin, self.passes = body, begin, 0

    def forward(self, x):
        self.passes += 1
        return self.body(x) * (math.nan if self.passes >= self.begin else 1)


def test_a_loss_that_is_no_number_stops_before_it_reaches_the_weights(make_trainer, net):
    trainer = make_trainer(model=NotANumber(net(), begin=6))
    with pytest.raises(TrainingError) as caught:
        trainer.fit(on_step=lambda _: None, on_epoch=lambda *_: None)
    assert str(caught.value) == (
        "The loss became nan at step 6 (epoch 2, learning rate 0.05). "
        "Try --lr 0.005 (a tenth), --set warmup=0.1 or --set clip=1."
    )
    assert torch.isfinite(weights(trainer)).all() and trainer.clock.total_steps == 5


def test_an_exploding_loss_stops(make_trainer, net, fit):
    with pytest.raises(TrainingError, match=r"^The loss became .*e\+\d+ at step \d .*learning rate 1e\+06"):
        fit(make_trainer(model=net(norm=False), lr=1e6))


def test_a_validation_loss_that_is_no_number_stops_and_is_not_the_best(make_trainer, net, images, fit):
    trainer = make_trainer(model=NotANumber(net(), begin=5), val=images(8), epochs=1)
    with pytest.raises(TrainingError, match="^The validation loss became nan after step 4 "):
        fit(trainer)
    assert trainer.clock.best is None


@pytest.mark.parametrize("mix", ["mixup 0.2", "cutmix 1"])
def test_it_learns_from_mixed_images(make_trainer, images, fit, mix):
    results = fit(make_trainer(val=images(20, seed=1), epochs=8, augment=("shift 1", mix)))
    assert results[-1].val.value == 1.0


@pytest.mark.parametrize(("share", "correct"), [(0.7, 2), (0.3, 1)])
def test_accuracy_on_mixed_images_counts_the_larger_share(make_trainer, share, correct):
    trainer = make_trainer()
    outputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    trainer.count(outputs, MixedLabels(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 0]), share))
    assert (trainer.clock.correct, trainer.clock.seen) == (correct, 3)


def test_mixing_without_strength_keeps_images_and_labels(make_trainer):
    plain, mixed = make_trainer(), make_trainer(augment=("mixup 0",))
    indices = torch.arange(8)
    (images, labels), (same, both) = (t.load(indices, torch.Generator().manual_seed(1)) for t in (plain, mixed))
    assert torch.equal(images, same) and torch.equal(labels, both.own) and both.share == 1.0


def test_the_same_seed_gives_the_same_weights_to_the_bit(make_trainer, fit):
    runs = [make_trainer(seed=seed, augment=("flip", "shift 1"), ema=0.9) for seed in (1, 1, 2)]
    for trainer in runs:
        torch.manual_seed(torch.seed() % 1000)  # the state it finds does not matter
        fit(trainer)
    first, again, other = map(weights, runs)
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_accumulation_equals_the_larger_batch(make_trainer, net, fit, optimiser):
    small, large = (
        make_trainer(model=net(norm=False), batch=batch, accumulate=count, optimiser=optimiser, lr=0.01, epochs=2)
        for batch, count in ((8, 2), (16, 1))
    )
    losses = [[result.loss for result in fit(trainer)] for trainer in (small, large)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    torch.testing.assert_close(weights(small), weights(large), atol=1e-6, rtol=0)


def test_clipping_bounds_the_norm_of_the_gradient(make_trainer, net):
    trainer = make_trainer(model=net(norm=False), clip=1e-3, lr=1.0, momentum=0.0, weight_decay=0.0)
    before = weights(trainer)
    trainer.train_step(next(trainer.batches()))
    assert (weights(trainer) - before).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_the_average_is_what_is_evaluated(make_trainer, images, fit):
    trainer = make_trainer(ema=0.9, val=images(8), epochs=1)
    assert trainer.evaluated_model is trainer.average.model
    fit(trainer)
    assert trainer.average.updates == 4
    assert not torch.equal(trainer.average.model[0].weight, trainer.model[0].weight)


def test_balanced_sampling_draws_every_class_equally_often(make_trainer, images):
    rare = dataclasses.replace(images(2000), labels=np.array([1] * 100 + [0] * 1900))
    trainer = make_trainer(train=rare, balanced=True)
    drawn = Counter(int(rare.labels[index]) for indices in trainer.batches() for index in indices)
    assert sum(drawn.values()) == 2000 and abs(drawn[1] - 1000) < 100


def test_class_weights_weigh_the_training_but_not_the_validation(make_trainer, images):
    rare = dataclasses.replace(images(32), labels=np.array([1] * 8 + [0] * 24))
    trainer = make_trainer(train=rare, class_weights=True)
    outputs, labels = torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 1])
    right, wrong = math.log(1 + math.exp(-3)), 3 + math.log(1 + math.exp(-3))
    weighed = (32 / 48 * right + 2 * wrong) / (32 / 48 + 2)
    assert trainer.loss(outputs, labels).item() == pytest.approx(weighed, rel=1e-5)
    assert trainer.val_loss(outputs, labels).item() == pytest.approx((right + wrong) / 2, rel=1e-5)


def test_a_number_per_image_trains(make_trainer, net, images, fit):
    part = images(32)
    numbers = dataclasses.replace(part, labels=(2.0 * part.labels - 1).astype(np.float32))
    results = fit(make_trainer(model=net(1), train=numbers, val=numbers, loss="mse", epochs=5))
    assert results[-1].val.loss < 0.05 < results[0].loss
    assert results[-1].value is None and results[-1].val.value is None


def test_one_sigmoid_unit_trains(make_trainer, net, images, fit):
    results = fit(make_trainer(model=net(1), loss="binary", val=images(20, seed=1), epochs=5))
    assert results[-1].val.value == 1.0 and results[-1].value > 0.9


class WithAuxiliaryHead(nn.Module):
    """The tiny network, and while it trains a second head of its own."""

    def __init__(self, main, side):
        super().__init__()
        self.main, self.side = main, side

    def forward(self, x):
        return (self.main(x), self.side(x)) if self.training else self.main(x)


def test_auxiliary_heads_train_with_their_weight(make_trainer, net, images, fit):
    heads = {
        weight: make_trainer(model=WithAuxiliaryHead(net(), net()), aux_weight=weight, val=images(20, seed=1), epochs=5)
        for weight in (0.0, 0.3)
    }
    before = net()[6].weight
    accuracies = {weight: fit(trainer)[-1].val.value for weight, trainer in heads.items()}
    assert accuracies[0.3] == 1.0
    change = {weight: (trainer.model.side[6].weight - before).norm() for weight, trainer in heads.items()}
    assert change[0.3] > 10 * change[0.0]


def test_a_stop_is_obeyed_after_the_step(make_trainer, fit):
    trainer = make_trainer()
    assert len(fit(trainer, steps=6)) == 1
    assert (trainer.clock.epoch, trainer.clock.step, trainer.clock.total_steps) == (1, 2, 6)


@pytest.mark.parametrize("steps", [1, 4, 5, 11, 12])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(make_trainer, images, fit, steps):
    def make():
        return make_trainer(val=images(8), augment=("shift 1",), schedule="cosine")

    whole, parts = make(), make()
    expected = fit(whole)
    results = fit(parts, steps=steps) + fit(parts)
    without_time = [[dataclasses.replace(r, elapsed_s=0) for r in rs] for rs in (expected, results)]
    assert without_time[0] == without_time[1]
    assert torch.equal(weights(whole), weights(parts))


def test_a_budget_run_that_was_stopped_in_its_last_step_still_validates(make_trainer, images, fit, clock):
    trainer = make_trainer(epochs=0, budget_s=1.0, val=images(8))
    fit(trainer, steps=9)
    assert trainer.progress == pytest.approx(1) and trainer.clock.step == 1
    (last,) = fit(trainer)
    assert last.val is not None and trainer.clock.total_steps == 9


def test_positions_that_differ_in_zeros_only_have_seeds_of_their_own():
    positions = [(0,), (0, 0), (0, 0, 0), (0, 0, 1), (1,), (1, 0)]
    assert len({seed_of(*position) for position in positions}) == len(positions)


def test_an_epoch_is_written_in_order_and_its_score_under_the_name_of_the_metric():
    result = EpochResult(2, 0.5, 0.75, 0.1, 32, 1.5, Score(0.25, 1.0), True)
    assert list(result.to_dict().items()) == [
        *(("epoch", 2), ("loss", 0.5), ("accuracy", 0.75), ("lr", 0.1), ("images", 32), ("elapsed_s", 1.5)),
        *(("val", {"loss": 0.25, "accuracy": 1.0}), ("improved", True)),
    ]
    error = Metric("mae", "mean absolute error", higher_is_better=False)
    other = EpochResult(2, 0.5, 3.0, 0.1, 32, 1.5, None, False, error).to_dict()
    assert (other["mae"], other["val"], "accuracy" in other) == (3.0, None, False)

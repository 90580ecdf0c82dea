"""A network that brings its own rule: with a loss of its own, or without any gradient."""

import numpy as np
import pytest
import torch
from torch import nn

from fovea.data.dataset import Part
from fovea.errors import UsageError
from fovea.training.checkpoint import load_checkpoint, save_checkpoint
from fovea.training.diagnosis import Diagnosis
from fovea.training.tuning import sweep_rates


class Doubling(nn.Sequential):
    """Learns by twice the loss of the recipe."""

    def learn(self, images, labels, *, loss, progress):
        logits = self(images)
        return 2 * loss(logits, labels), logits


class Means(nn.Module):
    """Keeps the mean image of each class, without gradients; the answer is the nearest."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 64))
        self.register_buffer("counts", torch.zeros(2))
        self.seen = []

    def forward(self, x):
        return -torch.cdist(x.flatten(1), self.weight)

    @torch.no_grad()
    def learn(self, images, labels, *, loss, progress):
        self.seen.append(progress)
        for image, label in zip(images.flatten(1), labels, strict=True):
            self.counts[label] += 1
            self.weight[label] += (image - self.weight[label]) / self.counts[label]
        logits = self(images)
        return loss(logits, labels), logits


def state(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_a_loss_of_its_own_is_descended(make_trainer, net, fit):
    """With plain SGD, twice the loss is twice the rate."""
    plain = {"momentum": 0.0, "weight_decay": 0.0}
    doubled, twice = make_trainer(model=Doubling(net()), lr=0.02, **plain), make_trainer(lr=0.04, **plain)
    fit(doubled), fit(twice)
    for own, other in zip(doubled.model.parameters(), twice.model.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_without_a_gradient_nothing_but_the_rule_changes_the_network(make_trainer, images, fit):
    trainer = make_trainer(model=Means(), val=images(20, seed=1), epochs=2, weight_decay=0.5, lr=10.0, momentum=0.0)
    results = fit(trainer)
    assert results[-1].val.value == 1.0
    assert trainer.model.counts.tolist() == [32, 32]
    assert trainer.model.seen == [step / 8 for step in range(8)]
    assert not trainer.optimisers[0].state


def test_a_moving_average_follows_the_rule_too(make_trainer, fit):
    trainer = make_trainer(model=Means(), ema=0.9)
    fit(trainer)
    assert trainer.average.model.weight.any() and not torch.equal(trainer.average.model.weight, trainer.model.weight)


def test_it_goes_on_from_a_checkpoint_to_the_same_bits(make_trainer, fit, tmp_path):
    whole = make_trainer(model=Means())
    fit(whole)
    stopped, resumed = make_trainer(model=Means()), make_trainer(model=Means())
    fit(stopped, steps=6)
    save_checkpoint(tmp_path / "last.safetensors", stopped)
    load_checkpoint(tmp_path / "last.safetensors", resumed)
    fit(resumed)
    assert all(torch.equal(tensor, state(whole)[name]) for name, tensor in state(resumed).items())


@pytest.mark.parametrize("make", [Means, lambda: Doubling(nn.Flatten(), nn.Linear(64, 2))])
def test_a_look_inside_changes_nothing(make_trainer, make):
    trainer = make_trainer(model=make())
    before = state(trainer)
    look = Diagnosis(trainer, "").look()
    assert len(look.percentiles) == 3
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(trainer).items())


def test_no_rate_is_looked_for_without_gradients(make_trainer):
    with pytest.raises(
        UsageError, match=r"`Means` learns without gradients, so it has no learning rate; leave out --find-lr\."
    ):
        sweep_rates(make_trainer(model=Means()), steps=5, progress=lambda *_: None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"augment": ("mixup 0.2",)}, "takes one class per image; leave `mixup` and `cutmix` out of `augment`"),
        ({"compile": True}, "`compile` does not support; leave it out"),
        ({"loss": "binary"}, "needs one of several classes per image and an output for each: --task classes"),
    ],
)
def test_what_leaves_it_no_way_to_learn_is_refused(make_trainer, fields, message):
    with pytest.raises(UsageError, match=message):
        make_trainer(model=Means(), **fields)


def test_numbers_are_refused(make_trainer, images):
    part = images(8)
    numbers = Part(labels=np.linspace(0, 1, 8, dtype=np.float32), names=part.names, pixels=part.decoded)
    with pytest.raises(UsageError, match="--task classes"):
        make_trainer(model=Means(), train=numbers, loss="mse")
